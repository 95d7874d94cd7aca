//! A gateway's VPN, as loud as `status` and `deploy` are where its clients are not kept apart.

use lockgate_model::GatewayName;
use lockgate_model::vpn::{DOES_NOT_RUN, NOT_KEPT_APART};
use serde::Deserialize;

use super::check::{Finding, State};

/// What `lockgate-agent vpn status` tells, as far as it is needed here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Told {
    state: String,
    isolated: bool,
    unisolated: Option<String>,
    problem: Option<Problem>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Problem {
    why: String,
    remedy: String,
}

/// Why it matters that clients are kept apart.
const WHY: &str = "a user container reaches the others, the host's networks and the build server";

/// The VPN of a gateway that serves an organization. `complaint` is what its last report says of it;
/// what it tells when it is asked is newer.
pub(super) fn vpn(
    gateway: &GatewayName,
    told: Result<&Told, &str>,
    complaint: Option<&str>,
) -> Finding {
    let told = match (told, complaint) {
        (Ok(told), _) => told,
        (Err(_), Some(complaint)) => {
            return Finding::of_note(State::Error, complaint).or_mended_by(start_again(gateway));
        }
        (Err(why), None) => {
            return Finding::error(format!(
                "whether the VPN's clients are kept apart is not known: {why}"
            ))
            .because(WHY)
            .mended_by(format!("`lockgate vpn status {} {gateway}`", gateway.env()));
        }
    };
    match (told.state.as_str(), told.isolated) {
        ("ready", true) => Finding::ok("it runs, and its clients are kept apart"),
        ("ready", false) => {
            let why = told.unisolated.as_deref().unwrap_or("nobody says why");
            Finding::error(format!("{NOT_KEPT_APART}: {why}"))
                .because(WHY)
                .mended_by(start_again(gateway))
        }
        ("starting", _) if told.problem.is_none() => Finding::warning("it is starting")
            .mended_by(format!("`lockgate vpn status {} {gateway}`", gateway.env())),
        (state, _) => {
            let why = told.problem.as_ref().map_or(state, |it| it.why.as_str());
            let remedy = told.problem.as_ref().map(|it| it.remedy.clone());
            Finding::error(format!("{DOES_NOT_RUN}: {why}"))
                .because("the organization's user containers cannot be reached")
                .mended_by(remedy.unwrap_or_else(|| start_again(gateway)))
        }
    }
}

/// What loads the rules again, from the host.
fn start_again(gateway: &GatewayName) -> String {
    format!(
        "`docker exec {gateway} sh -c 'lockgate-agent vpn stop && lockgate-agent vpn start'` loads the rules again"
    )
}

#[cfg(test)]
mod tests {
    use super::super::check::tests::check;
    use super::*;

    fn told(state: &str, isolated: bool, problem: Option<&str>) -> Told {
        Told {
            state: state.to_owned(),
            isolated,
            unisolated: (!isolated).then(|| "the rules are not there".to_owned()),
            problem: problem.map(|why| Problem {
                why: why.to_owned(),
                remedy: "install it".to_owned(),
            }),
        }
    }

    #[test]
    fn clients_that_are_not_kept_apart_are_an_error_in_loud_words() {
        let gateway = GatewayName::parse("gw-pool-dev-0").unwrap();
        let of = |told: Result<Told, &str>, complaint| {
            vpn(&gateway, told.as_ref().map_err(|why| *why), complaint)
        };
        let again = Some("docker exec gw-pool-dev-0");
        let loud = "THE VPN'S CLIENTS ARE NOT KEPT APART: the rules are not there";
        check(
            &of(Ok(told("ready", true, None)), None),
            State::Ok,
            "kept apart",
            None,
        );
        // What was reported before is old by now.
        check(
            &of(Ok(told("ready", true, None)), Some(loud)),
            State::Ok,
            "kept apart",
            None,
        );
        check(
            &of(Ok(told("ready", false, None)), None),
            State::Error,
            loud,
            again,
        );
        check(&of(Err("late"), Some(loud)), State::Error, loud, again);
        let unknown = Some("`lockgate vpn status dev gw-pool-dev-0`");
        check(
            &of(Err("late"), None),
            State::Error,
            "is not known: late",
            unknown,
        );
        check(
            &of(Ok(told("starting", false, None)), None),
            State::Warning,
            "starting",
            unknown,
        );
        let failed = told("failed", false, Some("no openvpn"));
        check(
            &of(Ok(failed), None),
            State::Error,
            "the VPN does not run: no openvpn",
            Some("install it"),
        );
        check(
            &of(Ok(told("off", false, None)), None),
            State::Error,
            "does not run: off",
            again,
        );
    }
}
