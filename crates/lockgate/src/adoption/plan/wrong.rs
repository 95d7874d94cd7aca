//! What may be wrong with one container, or with two of them together, in sentences.

use std::collections::BTreeMap;

use lockgate_model::{EnvName, GatewayName};

use super::read::Identity;
use super::{Known, Planned};
use crate::runtime::docker::found::Found;

/// What of a gateway is not as its environment, or others, have it.
pub(super) fn differs(
    known: &Known<'_>,
    gateway: &GatewayName,
    identity: &Identity,
) -> Vec<String> {
    let mut problems = Vec::new();
    let ports = [
        ("HTTP", identity.http_port, &known.taken.http),
        ("VPN", identity.vpn_port, &known.taken.vpn),
    ];
    for (what, port, taken) in ports {
        if let Some(other) = taken.get(&port) {
            problems.push(format!(
                "`{gateway}` has the {what} port {port}, which is environment `{other}`'s"
            ));
        }
    }
    let there = known.environment.and_then(|environment| {
        let mut gateways = environment.gateways.iter();
        gateways.find(|one| one.number == gateway.number())
    });
    if let Some(there) = there {
        let known = (&there.id, there.http_port, there.vpn_port);
        if known != (&identity.id, identity.http_port, identity.vpn_port) {
            problems.push(format!(
                "environment `{}` has a gateway `{gateway}` with another id or other ports ({}, {}, {})",
                gateway.env(), there.id, there.http_port, there.vpn_port
            ));
        }
    }
    problems
}

/// A build that never ran in a gateway is not tried by an adoption: the way back would have it, too.
pub(super) fn stale(known: &Known<'_>, one: &Found) -> Option<String> {
    let build = known.build.filter(|_| one.running)?;
    if one.build() == Some(build.as_str()) {
        return None;
    }
    let runs = match one.build() {
        Some(build) => format!("has build `{build}`"),
        None => "has a build that Lockgate did not pack".to_owned(),
    };
    let name = &one.name;
    Some(format!(
        "`{name}` {runs}, not `{build}`, which it would get: \
         `docker exec {name} /opt/gateway/app/lib/reload-gateway.sh` brings it there first"
    ))
}

/// One that would be gone once it is stopped.
pub(super) fn fleeting(one: &Found) -> Option<String> {
    let name = &one.name;
    one.fleeting.then(|| {
        format!("`{name}` was started with `--rm`: stopped it would be gone, and no way back")
    })
}

/// A container that fetches its build when it starts, and would not get one.
pub(super) fn no_way_back(env: &EnvName, one: &Found, url: &str, status: u16) -> String {
    format!(
        "`{}` fetches its build from {url}, which answers {status}: it could not be started again; \
         `lockgate serve --allow-plain {env}` lets it",
        one.name
    )
}

/// The same, where it cannot be told.
pub(super) fn unseen(one: &Found, url: &str) -> String {
    format!(
        "`{}` fetches its build from {url}, which does not answer here: it may not start again",
        one.name
    )
}

/// Ids and ports that two of them have.
pub(super) fn twice(gateways: &[Planned]) -> Vec<String> {
    let mut first: BTreeMap<String, &GatewayName> = BTreeMap::new();
    let mut problems = Vec::new();
    for one in gateways {
        let identity = &one.identity;
        let all = [
            format!("the id {}", identity.id),
            format!("the HTTP port {}", identity.http_port),
            format!("the VPN port {}", identity.vpn_port),
        ];
        for what in all {
            if let Some(other) = first.insert(what.clone(), &one.gateway) {
                problems.push(format!("`{other}` and `{}` both have {what}", one.gateway));
            }
        }
    }
    problems
}
