//! What is to be adopted, or everything that is in the way: a pure decision.
//!
//! ```text
//!   gateway's name    put aside
//!   a foreign one     none             adopt it
//!   none              one              go on with it: an adoption was interrupted
//!   a foreign one     one              in the way
//!   one of this home  whatever         it is done, unless nothing was said to it yet
//! ```

mod read;
mod wrong;

use std::collections::{BTreeMap, BTreeSet};

use lockgate_model::{BuildId, EnvName, GatewayName};

use self::read::{Identity, read};
use self::wrong::{differs, fleeting, no_way_back, stale, twice, unseen};
use super::kept::AllKept;
use super::source::Source;
use crate::environment::ports::Taken;
use crate::environment::{Environment, RuntimeKind};
use crate::runtime::docker::found::{Found, Place, Restart};

/// What somebody wants to be adopted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The environment.
    pub(crate) env: &'a EnvName,
    /// Only these gateways; all that are found where none is named.
    pub(crate) only: &'a BTreeSet<u32>,
    /// The domain, whatever the containers say.
    pub(crate) domain: Option<&'a str>,
}

/// What is known beside the containers.
pub(crate) struct Known<'a> {
    /// The environment, where it is there already.
    pub(crate) environment: Option<&'a Environment>,
    /// This home's id.
    pub(crate) home: &'a str,
    /// Ports of other environments.
    pub(crate) taken: &'a Taken,
    /// Containers that were put aside before.
    pub(crate) kept: &'a AllKept,
    /// Gateways to which something was said.
    pub(crate) told: &'a BTreeSet<u32>,
    /// Whether containers find a build when they are started again, by their id.
    pub(crate) sources: &'a BTreeMap<String, Source>,
    /// The build that gateways would get.
    pub(crate) build: Option<&'a BuildId>,
    /// Whether their ports will be open on all of the host's addresses.
    pub(crate) publishes_all: bool,
    /// The network they will be in.
    pub(crate) network: &'a str,
    /// What keeps the engine from having any gateway.
    pub(crate) lacks: &'a [String],
}

/// What will be done.
pub(crate) struct Plan {
    /// The environment's domain.
    pub(crate) domain: String,
    /// The platform's API, where it is not `ganymede.{domain}`.
    pub(crate) ganymede: Option<String>,
    /// Those that are adopted, by number.
    pub(crate) gateways: Vec<Planned>,
    /// What will be otherwise than before.
    pub(crate) notes: Vec<String>,
}

/// One gateway that is adopted. Its token is a secret, so this has no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Planned {
    /// Its name.
    pub(crate) gateway: GatewayName,
    /// The container's id.
    pub(crate) container: String,
    /// The container's name now.
    pub(crate) name: String,
    /// The image it was made from.
    pub(crate) image: String,
    /// When the engine starts it again by itself.
    pub(crate) restart: Restart,
    /// Whether it runs, or did before it was put aside.
    pub(crate) running: bool,
    /// What it is towards everybody else.
    pub(crate) identity: Identity,
}

/// What will be done, or every problem, a sentence each.
pub(crate) fn plan(
    asked: Asked<'_>,
    known: &Known<'_>,
    found: &[Found],
) -> Result<Plan, Vec<String>> {
    let mut problems: Vec<String> = known.lacks.to_vec();
    let mut notes = Vec::new();
    problems.extend(unfit(known.environment, asked.env));
    let chosen = choose(asked, known, found, &mut notes, &mut problems);
    let mut gateways = Vec::new();
    let mut said = Vec::new();
    let mut left_behind: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (number, one) in chosen {
        let gateway = GatewayName::new(asked.env, number);
        match read(asked.env, one) {
            Ok(identity) => {
                problems.extend(differs(known, &gateway, &identity));
                problems.extend(stale(known, one));
                problems.extend(fleeting(one));
                match known.sources.get(&one.id) {
                    Some(Source::Refuses(url, status)) => {
                        problems.push(no_way_back(asked.env, one, url, *status));
                    }
                    Some(Source::Silent(url)) => notes.push(unseen(one, url)),
                    Some(Source::Gives) | None => {}
                }
                for what in read::left_behind(one) {
                    left_behind.entry(what).or_default().push(&one.name);
                }
                said.push((one, identity.clone()));
                gateways.push(planned(known, gateway, one, identity));
            }
            Err(all) => problems.extend(all),
        }
    }
    // What all of them have is said once.
    notes.extend(left_behind.iter().map(|(what, names)| {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        format!("{}: {what}", names.join(", "))
    }));
    problems.extend(twice(&gateways));
    let (domain, ganymede) = names(asked, known, &said, &mut problems);
    notes.extend(otherwise(known, &said));
    if !gateways.is_empty() && known.build.is_none() {
        let env = asked.env;
        problems.push(format!(
            "nothing is packed for `{env}`, so its gateways would have nothing to run: `lockgate pack {env}`"
        ));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Plan {
        domain,
        ganymede,
        gateways,
        notes,
    })
}

/// Why an environment of this name cannot take in containers.
fn unfit(environment: Option<&Environment>, env: &EnvName) -> Option<String> {
    let environment = environment?;
    if environment.deleting {
        return Some(format!(
            "environment `{env}` was not deleted to the end: `lockgate delete {env}` takes the rest of it"
        ));
    }
    (environment.runtime != RuntimeKind::Docker).then(|| {
        format!("the gateways of environment `{env}` are processes of this host, not containers")
    })
}

/// The container of each gateway that is adopted.
fn choose<'f>(
    asked: Asked<'_>,
    known: &Known<'_>,
    found: &'f [Found],
    notes: &mut Vec<String>,
    problems: &mut Vec<String>,
) -> BTreeMap<u32, &'f Found> {
    let env = asked.env;
    let mut chosen = BTreeMap::new();
    let at = |place: Place| found.iter().find(|one| one.place == place);
    let mut numbers: BTreeSet<u32> = asked.only.clone();
    for one in found {
        match one.place {
            Place::Gateway(number) | Place::Aside(number) if asked.only.is_empty() => {
                numbers.insert(number);
            }
            Place::Gateway(_) | Place::Aside(_) => {}
            Place::Other => notes.push(format!(
                "`{}` has the label of `{env}` and not the name of a gateway: it is left alone",
                one.name
            )),
        }
    }
    if numbers.is_empty() {
        problems.push(format!(
            "the engine has no container of `{env}`: none is named `gw-pool-{env}-N`"
        ));
    }
    for number in numbers {
        let gateway = GatewayName::new(env, number);
        match (at(Place::Gateway(number)), at(Place::Aside(number))) {
            (Some(own), Some(before))
                if own.home.as_deref() == Some(known.home)
                    && known.kept.of(number).is_some_and(|kept| kept.id == before.id)
                    && !known.told.contains(&number) =>
            {
                chosen.insert(number, before);
            }
            (Some(own), _) if own.home.as_deref() == Some(known.home) => {
                notes.push(format!("`{gateway}` is Lockgate's already"));
            }
            (Some(other), _) if other.home.is_some() => problems.push(format!(
                "`{gateway}` belongs to the Lockgate home {}",
                other.home.as_deref().unwrap_or_default()
            )),
            (Some(_), Some(before)) => problems.push(format!(
                "`{}` is in the way, which an adoption has kept: `docker rm {}` or `docker rename` makes room",
                before.name, before.name
            )),
            (Some(one), None) | (None, Some(one)) => {
                chosen.insert(number, one);
            }
            (None, None) => problems.push(format!("the engine has no container `{gateway}`")),
        }
    }
    chosen
}

fn planned(known: &Known<'_>, gateway: GatewayName, one: &Found, identity: Identity) -> Planned {
    // One that something was done to already does not show any more how it was.
    let kept = known.kept.of(gateway.number());
    let kept = kept.filter(|kept| kept.id == one.id);
    Planned {
        gateway,
        container: one.id.clone(),
        name: one.name.clone(),
        image: one.image.clone(),
        restart: kept.map_or_else(|| one.restart.clone(), |kept| kept.restart.clone()),
        running: kept.map_or(one.running, |kept| kept.running),
        identity,
    }
}

/// The domain and the platform's API, on which all of them have to agree.
fn names(
    asked: Asked<'_>,
    known: &Known<'_>,
    said: &[(&Found, Identity)],
    problems: &mut Vec<String>,
) -> (String, Option<String>) {
    let all = |name: fn(&Identity) -> &String| -> BTreeSet<&String> {
        said.iter().map(|(_, one)| name(one)).collect()
    };
    let mut one_of = |what: &str, values: BTreeSet<&String>, more: &str| {
        if values.len() > 1 {
            let values: Vec<&str> = values.iter().map(|value| value.as_str()).collect();
            problems.push(format!(
                "the containers do not agree on {what}: {}{more}",
                values.join(", ")
            ));
        }
        values.first().copied().cloned().unwrap_or_default()
    };
    let domain = match asked.domain {
        Some(domain) => domain.to_owned(),
        None => one_of("DOMAIN", all(|it| &it.domain), "; `--domain` says which"),
    };
    let fqdn = one_of("GANYMEDE_FQDN", all(|it| &it.ganymede), "");
    let ganymede = (fqdn != format!("ganymede.{domain}")).then_some(fqdn);
    if let Some(environment) = known.environment.filter(|_| !said.is_empty()) {
        let has = (&environment.domain, &environment.ganymede);
        if has != (&domain, &ganymede) {
            problems.push(format!(
                "environment `{}` has the domain `{}` and the platform's API at `{}`, the containers have others",
                environment.name,
                environment.domain,
                environment.ganymede_fqdn()
            ));
        }
    }
    (domain, ganymede)
}

/// What all containers share and will not have any more.
fn otherwise(known: &Known<'_>, said: &[(&Found, Identity)]) -> Vec<String> {
    let mut notes = Vec::new();
    let open_to_all = |(one, identity): &(&Found, Identity)| {
        let http = one.ports.get(&format!("{}/tcp", identity.http_port));
        http.into_iter().flatten().any(|open| open.ip.is_none())
    };
    if !known.publishes_all && said.iter().any(open_to_all) {
        notes.push(
            "ports were open on all of this host's addresses and will be on 127.0.0.1 and the network's own: \
             `[docker] publish = \"all\"` in lockgate.toml keeps them open"
                .to_owned(),
        );
    }
    let networks: BTreeSet<&str> = said.iter().map(|(one, _)| one.network.as_str()).collect();
    for network in networks.into_iter().filter(|one| *one != known.network) {
        notes.push(format!(
            "containers in the network `{network}` will be in `{}`: `[docker] network` in lockgate.toml says which",
            known.network
        ));
    }
    notes
}

#[cfg(test)]
mod tests;
