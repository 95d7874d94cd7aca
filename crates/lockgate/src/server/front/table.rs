//! What the front door serves: env.toml and what is known of the gateways.

use lockgate_model::{
    FrontEnvironment, FrontGateway, FrontTable, GatewayName, Phase, Report, RouteName, Standing,
};

use crate::environment::Environment;
use crate::server::control::GatewayView;

/// The table of these environments and gateways; `has_build` tells whether there is something that
/// a gateway could run.
pub(super) fn of(
    known: &[(Environment, Vec<GatewayView>)],
    has_build: impl Fn(&GatewayName) -> bool,
) -> FrontTable {
    let environments = known
        .iter()
        .filter_map(|(environment, _)| front(environment));
    let views = known.iter().flat_map(|(_, views)| views);
    let gateways = views.map(|view| gateway(view, || has_build(&view.name)));
    FrontTable::new(environments, gateways)
}

fn front(environment: &Environment) -> Option<FrontEnvironment> {
    if environment.deleting {
        return None;
    }
    let served = environment.gateways.iter().filter_map(|gateway| {
        let organization = gateway.organization.clone()?;
        Some((organization, environment.gateway_name(gateway)))
    });
    Some(FrontEnvironment {
        name: environment.name.clone(),
        created_ms: environment.created_at,
        domain: RouteName::parse(&environment.domain).ok()?,
        apex: environment.front.apex.clone(),
        ganymede: environment.front.ganymede.clone(),
        organizations: served.collect(),
    })
}

fn gateway(view: &GatewayView, has_build: impl FnOnce() -> bool) -> (GatewayName, FrontGateway) {
    let report = view.report.as_ref();
    let running = report.and_then(|report| report.running.as_ref());
    let desired = report.and_then(|report| report.desired_build.as_ref());
    let build = running.map(|running| &running.build).or(desired);
    let front = FrontGateway {
        standing: standing(view, has_build),
        build: build.cloned(),
    };
    (view.name.clone(), front)
}

/// A gateway's door answers once its agent has something to start: an agent that comes back after a
/// crash opens its door before it has read what it runs. The agent holds the application's socket
/// from then on, so a reload is nothing that the front door has to know of. One that has no build will
/// not answer however long somebody waits.
fn standing(view: &GatewayView, has_build: impl FnOnce() -> bool) -> Standing {
    let (env, number) = (view.name.env(), view.name.number());
    if !view.enabled {
        return Standing::Stopped(format!(
            "it was stopped; `lockgate start {env} {number}` starts it"
        ));
    }
    match (view.reach.address, &view.report) {
        (Some(address), Some(report)) if !is_new(report) => {
            let container = view.container.as_ref().and_then(|it| it.started);
            let life = container.unwrap_or_else(|| report.agent_pid.into());
            Standing::At { address, life }
        }
        _ if has_build() => Standing::Starting,
        _ => Standing::Stopped(format!(
            "it has no build yet; `lockgate deploy {env}` brings one"
        )),
    }
}

/// Whether the agent has started nothing yet.
fn is_new(report: &Report) -> bool {
    let before = [Phase::Waiting, Phase::Fetching, Phase::Verifying];
    report.running.is_none() && before.contains(&report.phase)
}

#[cfg(test)]
mod tests {
    use lockgate_model::{EnvName, OrganizationId, Site, Target};

    use super::*;
    use crate::environment::tests::sample;
    use crate::runtime::Reach;

    const ORGANIZATION: &str = "0d1b3c5e-0000-4000-8000-00000000000a";

    fn view() -> GatewayView {
        let name = GatewayName::new(&EnvName::parse("dev").unwrap(), 0);
        GatewayView {
            http_port: 7100,
            vpn_port: 49100,
            enabled: true,
            agent_pid: Some(5),
            agent_problem: None,
            agent_stuck: false,
            container: None,
            reach: Reach::at("127.0.0.1:7100".parse().unwrap()),
            last_contact: None,
            report: Some(Report {
                phase: Phase::Starting,
                ..Report::of_new_agent(name.clone(), "0", 5)
            }),
            name,
        }
    }

    #[test]
    fn a_gateway_answers_once_its_agent_has_spoken() {
        let check = |change: fn(&mut GatewayView), expected: &str, without: &str| {
            let mut view = view();
            change(&mut view);
            for (has_build, expected) in [(true, expected), (false, without)] {
                let found = format!("{:?}", standing(&view, || has_build));
                assert!(found.contains(expected), "{has_build}: {found}");
            }
        };
        let none = "it has no build yet; `lockgate deploy dev` brings one";
        let at = "At { address: 127.0.0.1:7100, life: 5 }";
        check(|_| {}, at, at);
        check(|view| view.report = None, "Starting", none);
        let new = |view: &mut GatewayView| {
            view.report = Some(Report::of_new_agent(view.name.clone(), "0", 5));
        };
        check(new, "Starting", none);
        check(|view| view.reach = Reach::default(), "Starting", none);
        let stopped = "`lockgate start dev 0` starts it";
        check(|view| view.enabled = false, stopped, stopped);
    }

    #[test]
    fn an_organization_leads_to_its_gateway() {
        let mut environment = sample("dev");
        let organization = OrganizationId::parse(ORGANIZATION).unwrap();
        environment.gateways[0].organization = Some(organization.clone());
        let table = FrontTable::new(front(&environment), [gateway(&view(), || true)]);
        let host = format!("org-{organization}.dev.localhost");
        assert!(matches!(table.lookup(&host), Target::Gateway { .. }));
        let (apex, site) = ("dev.localhost", Site::parse("/srv/site").unwrap());
        environment.front.apex = Some(site.clone());
        let table = FrontTable::new(front(&environment), []);
        assert_eq!(table.lookup(apex), Target::Site(&site));
        environment.deleting = true;
        assert_eq!(front(&environment), None);
    }
}
