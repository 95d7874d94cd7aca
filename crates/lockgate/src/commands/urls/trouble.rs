//! What is wrong with something that is reached, each with the line that helps.

use std::net::IpAddr;

use lockgate_model::EnvName;
use time::OffsetDateTime;

use super::asked::{Asked, Found};
use super::listed::Listed;
use crate::certificates::Seen;
use crate::names::{HELP, leads_here};

/// What is wrong, and what helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) what: String,
    pub(super) help: String,
}

/// What is known beside the answers.
#[derive(Clone)]
pub(super) struct Around<'a> {
    pub(super) env: &'a EnvName,
    /// Whether a server runs.
    pub(super) server_runs: bool,
    /// Whether the home's authority signed a certificate.
    pub(super) is_ours: &'a dyn Fn(&Seen) -> bool,
    /// The stores of this machine that do not trust that authority.
    pub(super) distrusting: &'a [&'a str],
    pub(super) now: OffsetDateTime,
}

impl<'a> Around<'a> {
    /// The stores of this machine that do not trust a certificate, as far as that is known.
    pub(super) fn distrusting(&self, seen: &Seen) -> &'a [&'a str] {
        if (self.is_ours)(seen) {
            self.distrusting
        } else {
            &[]
        }
    }
}

/// Everything that is wrong with one that was asked for.
pub(super) fn troubles(listed: &Listed<'_>, asked: &Asked, around: &Around<'_>) -> Vec<Trouble> {
    let mut all = Vec::new();
    all.extend(unresolved(&asked.own).map(|what| trouble(what, HELP)));
    if let Some(containers) = &asked.containers
        && unresolved(&asked.own).is_none()
        && let Some(what) = unresolved(containers)
    {
        all.push(trouble(format!("a user container's name {what}"), HELP));
    }
    all.extend(uncertified(listed, &asked.own, around));
    let has_none = |found: &Found| found.certificate.is_none();
    if !has_none(&asked.own) && asked.containers.as_ref().is_some_and(has_none) {
        let what = "user containers have no certificate";
        all.push(trouble(what, "lockgate serve status"));
    }
    all.extend(unanswered(listed, &asked.own, around));
    all
}

fn trouble(what: impl Into<String>, help: impl Into<String>) -> Trouble {
    Trouble {
        what: what.into(),
        help: help.into(),
    }
}

/// Why a name does not lead to this host.
fn unresolved(found: &Found) -> Option<String> {
    match found.resolves.as_ref()? {
        Err(why) => Some(format!("does not resolve ({why})")),
        here if leads_here(here) => None,
        Ok(addresses) => Some(format!("leads to {}, not here", join(addresses))),
    }
}

/// Addresses as people read them.
pub(super) fn join(addresses: &[IpAddr]) -> String {
    let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    all.join(", ")
}

fn uncertified(listed: &Listed<'_>, found: &Found, around: &Around<'_>) -> Option<Trouble> {
    let seen = found.certificate.as_ref()?;
    if seen.not_after <= around.now {
        return Some(trouble(
            format!("its certificate ended on {}", seen.not_after.date()),
            "lockgate serve status",
        ));
    }
    let host = listed.host()?;
    let is_for = |name: &String| {
        let level = name.strip_prefix("*.");
        let above = host.split_once('.').map(|(_, above)| above);
        name == host || (level.is_some() && level == above)
    };
    if !seen.names.iter().any(is_for) {
        let what = format!("its certificate is for {}", seen.names.join(", "));
        return Some(trouble(what, "lockgate serve status"));
    }
    let distrusting = around.distrusting(seen);
    if distrusting.is_empty() {
        return None;
    }
    let what = format!("not trusted by {}", distrusting.join(", "));
    Some(trouble(what, "lockgate trust"))
}

/// Whether an answer says that nobody answers: the door's own, or as bad as that.
pub(super) fn is_of_the_door(status: u16) -> bool {
    matches!(status, 502..=504)
}

fn unanswered(listed: &Listed<'_>, found: &Found, around: &Around<'_>) -> Option<Trouble> {
    let env = around.env;
    if let Listed::Gateway { gateway, .. } = listed
        && around.server_runs
        && !gateway.enabled
    {
        let help = format!("lockgate start {env} {}", gateway.number);
        return Some(trouble("is stopped", help));
    }
    let what = match &found.answer {
        Ok(status) if is_of_the_door(*status) => format!("answers {status}"),
        Ok(_) => return None,
        Err(why) => format!("does not answer ({why})"),
    };
    let help = match listed {
        _ if !around.server_runs => "lockgate serve --detach".to_owned(),
        Listed::Site { .. } if found.answer.is_err() => "lockgate serve status".to_owned(),
        Listed::Site { site, .. } => format!("start what is to answer at {site}"),
        Listed::Organization { .. } | Listed::Gateway { .. } => format!("lockgate status {env}"),
    };
    Some(trouble(what, help))
}

#[cfg(test)]
mod tests {
    use lockgate_model::{GatewayName, OrganizationId, Site};

    use super::*;
    use crate::environment::Environment;
    use crate::environment::tests::sample;

    const HOST: &str = "org-0d1b3c5e-0000-4000-8000-00000000000a.dev.localhost";

    /// A name at which all is well.
    fn well() -> Found {
        Found {
            resolves: Some(Ok(vec!["127.0.0.1".parse().unwrap()])),
            answer: Ok(200),
            certificate: None,
        }
    }

    /// All that is wrong, as a person reads it.
    fn told(listed: &Listed<'_>, own: Found, containers: Option<Found>, runs: bool) -> Vec<String> {
        let around = Around {
            env: &"dev".parse().unwrap(),
            server_runs: runs,
            is_ours: &|_| true,
            distrusting: &["system"],
            now: OffsetDateTime::UNIX_EPOCH,
        };
        let asked = Asked { own, containers };
        let all = troubles(listed, &asked, &around);
        let line = |it: Trouble| format!("{}: {}", it.what, it.help);
        all.into_iter().map(line).collect()
    }

    fn organization(environment: &Environment) -> (OrganizationId, GatewayName) {
        let id = OrganizationId::parse("0d1b3c5e-0000-4000-8000-00000000000a").unwrap();
        (id, environment.gateway_name(&environment.gateways[0]))
    }

    #[test]
    fn every_trouble_comes_with_the_line_that_helps() {
        let environment = sample("dev");
        let (id, gateway) = organization(&environment);
        let listed = Listed::Organization {
            id: &id,
            gateway,
            host: HOST.to_owned(),
        };
        let check = |change: fn(&mut Found), expected: &[&str]| {
            let mut own = well();
            change(&mut own);
            assert_eq!(told(&listed, own, Some(well()), true), expected);
        };
        check(|_| {}, &[]);
        check(
            |it| it.resolves = Some(Err("none".to_owned())),
            &["does not resolve (none): lockgate dns lines"],
        );
        check(
            |it| it.resolves = Some(Ok(vec!["10.0.0.1".parse().unwrap()])),
            &["leads to 10.0.0.1, not here: lockgate dns lines"],
        );
        check(
            |it| it.answer = Ok(503),
            &["answers 503: lockgate status dev"],
        );
        check(|it| it.answer = Ok(404), &[]);
        check(
            |it| it.answer = Err("late".to_owned()),
            &["does not answer (late): lockgate status dev"],
        );
        let lost = Found {
            resolves: Some(Err("none".to_owned())),
            ..well()
        };
        assert_eq!(
            told(&listed, well(), Some(lost.clone()), true),
            ["a user container's name does not resolve (none): lockgate dns lines"]
        );
        assert_eq!(
            told(&listed, lost.clone(), Some(lost), false).len(),
            1,
            "it is said once"
        );
    }

    #[test]
    fn a_certificate_is_looked_at() {
        let environment = sample("dev");
        let (id, gateway) = organization(&environment);
        let listed = Listed::Organization {
            id: &id,
            gateway,
            host: HOST.to_owned(),
        };
        let check = |names: &[&str], days, expected: &str| {
            let not_after = OffsetDateTime::UNIX_EPOCH + time::Duration::days(days);
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let certificate = Some(Seen::sample(&names, not_after));
            let own = Found {
                certificate,
                ..well()
            };
            assert_eq!(told(&listed, own, None, true), [expected]);
        };
        check(
            &["*.dev.localhost"],
            1,
            "not trusted by system: lockgate trust",
        );
        check(&[HOST], 1, "not trusted by system: lockgate trust");
        check(
            &["*.dev.localhost"],
            0,
            "its certificate ended on 1970-01-01: lockgate serve status",
        );
        check(
            &["*.localhost"],
            1,
            "its certificate is for *.localhost: lockgate serve status",
        );
    }

    #[test]
    fn user_containers_without_a_certificate_are_told() {
        let environment = sample("dev");
        let (id, gateway) = organization(&environment);
        let listed = Listed::Organization {
            id: &id,
            gateway,
            host: HOST.to_owned(),
        };
        let after = OffsetDateTime::UNIX_EPOCH + time::Duration::days(1);
        let certified = Found {
            certificate: Some(Seen::sample(&[HOST.to_owned()], after)),
            ..well()
        };
        let check = |containers: Found, expected: usize| {
            let told = told(&listed, certified.clone(), Some(containers), true);
            let what = "user containers have no certificate: lockgate serve status";
            let found = told.iter().filter(|it| *it == what).count();
            assert_eq!(found, expected, "{told:?}");
        };
        check(well(), 1);
        check(certified.clone(), 0);
    }

    #[test]
    fn what_is_not_served_is_told_by_what_it_is() {
        let mut environment = sample("dev");
        environment.gateways[0].enabled = false;
        let gateway = &environment.gateways[0];
        let listed = Listed::Gateway {
            name: environment.gateway_name(gateway),
            gateway,
            address: "127.0.0.1:7100".parse().unwrap(),
        };
        let refused = Found {
            resolves: None,
            answer: Err("refused".to_owned()),
            certificate: None,
        };
        let what = "does not answer (refused)";
        assert_eq!(
            told(&listed, refused.clone(), None, true),
            ["is stopped: lockgate start dev 0"]
        );
        assert_eq!(
            told(&listed, refused.clone(), None, false),
            [format!("{what}: lockgate serve --detach")]
        );
        let site = Site::parse("http://127.0.0.1:3000").unwrap();
        let listed = Listed::Site {
            name: "apex",
            site: &site,
            host: "dev.localhost".to_owned(),
        };
        let away = Found {
            answer: Ok(502),
            ..refused
        };
        assert_eq!(
            told(&listed, away, None, true),
            ["answers 502: start what is to answer at http://127.0.0.1:3000"]
        );
    }
}
