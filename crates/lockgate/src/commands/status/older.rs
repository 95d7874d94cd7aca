//! An agent of an earlier release than this program, and what renews it.

use crate::server::control::GatewayView;

/// The release of this program.
const OWN: &str = env!("CARGO_PKG_VERSION");

/// What a reader must know of an agent that is older than this program.
pub(super) fn note(view: &GatewayView) -> Option<String> {
    let version = &view.report.as_ref()?.agent_version;
    let is_older = numbers(version)? < numbers(OWN)?;
    let env = view.name.env();
    let renew = if view.container.is_some() {
        format!("`lockgate image build`, then `lockgate deploy {env}`")
    } else {
        "`lockgate serve stop`, then `lockgate serve --detach`".to_owned()
    };
    is_older
        .then(|| format!("its agent is of release {version}, older than {OWN}; {renew} renews it"))
}

/// The numbers of a release; what comes after them (`-rc.1`) does not count.
fn numbers(version: &str) -> Option<[u64; 3]> {
    let plain = version.split(['-', '+']).next()?;
    let mut parts = plain.split('.').map(|part| part.parse().ok());
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use lockgate_model::{GatewayName, Report};

    use super::*;
    use crate::runtime::Container;

    fn view(version: &str, in_container: bool) -> GatewayView {
        let name = GatewayName::parse("gw-pool-dev-0").unwrap();
        GatewayView {
            http_port: 7100,
            vpn_port: 49100,
            enabled: true,
            agent_pid: None,
            agent_problem: None,
            agent_stuck: false,
            container: in_container.then(|| Container {
                id: "id".into(),
                image: "image".into(),
                started: None,
                running: true,
            }),
            reach: crate::runtime::Reach::default(),
            last_contact: None,
            report: Some(Report::of_new_agent(name.clone(), version, 1)),
            name,
        }
    }

    #[test]
    fn an_older_agent_is_named_with_what_renews_it() {
        let check = |version, in_container, expected: Option<&str>| {
            let found = note(&view(version, in_container));
            match (&found, expected) {
                (Some(found), Some(expected)) => assert!(found.contains(expected), "{found}"),
                _ => assert_eq!(found.as_deref(), expected, "{version}"),
            }
        };
        check("0.0.9", true, Some("of release 0.0.9, older than"));
        check(
            "0.0.9",
            true,
            Some("`lockgate image build`, then `lockgate deploy dev`"),
        );
        check("0.0.9", false, Some("`lockgate serve stop`"));
        check(OWN, true, None);
        check("99.0.0", true, None);
        check("0.0.10-rc.1", true, Some("0.0.10-rc.1"));
        check("nightly", true, None);
    }
}
