//! What there is of a container engine.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::super::check::{Check, Finding, Group};
use super::super::engine;
use super::Facts;
use crate::environment::docker::DockerSettings;
use crate::error::CommandError;
use crate::runtime::docker::address::EngineAddress;
use crate::runtime::docker::check::CheckError;
use crate::runtime::docker::engine::{Engine, EngineError};

const GROUP: Group = Group::Engine;
/// How long an engine that has said who it is may take for a question.
const ANSWER: Duration = Duration::from_secs(5);

pub(super) async fn look(facts: &Facts<'_>) -> Vec<Check> {
    let settings: Vec<DockerSettings> = facts
        .in_containers()
        .map(|it| it.docker.clone().unwrap_or_default())
        .collect();
    let needed = !settings.is_empty();
    let told = match &facts.engine {
        Ok(engine) => Ok(engine.described()),
        Err(CheckError::Engine(error)) => Err(error.told()),
        Err(CheckError::Address(error)) => {
            Err(CommandError::from(CheckError::Address(error.clone())))
        }
        Err(error @ CheckError::NoImage { .. }) => Err(CommandError::failed(error.to_string())),
    };
    let absent = matches!(
        facts.engine,
        Err(CheckError::Engine(EngineError::Away { .. }))
    );
    let finding = engine::engine(needed, absent, told.as_ref().map(Clone::clone));
    let mut all = vec![Check::new(GROUP, "engine", finding)];
    let Ok(asked) = &facts.engine else {
        return all;
    };
    let images = distinct(&settings, DockerSettings::image);
    let networks = distinct(&settings, DockerSettings::network);
    let images = images.iter().map(|one| image(asked, one, needed));
    let networks = networks.iter().map(|one| network(asked, one, needed));
    let (networks, images) = tokio::join!(join_all(networks), join_all(images));
    all.extend(networks);
    all.extend(images);
    let near = matches!(asked.address(), EngineAddress::Socket(_));
    let tun = engine::tun(needed, near, Path::new("/dev/net/tun").exists());
    all.push(Check::new(GROUP, "tun", tun));
    all
}

/// What environments mean, each once; what one would mean that says nothing, where there is none.
fn distinct(all: &[DockerSettings], of: fn(&DockerSettings) -> &str) -> BTreeSet<String> {
    if all.is_empty() {
        return [of(&DockerSettings::default()).to_owned()].into();
    }
    all.iter().map(|one| of(one).to_owned()).collect()
}

async fn network(engine: &Engine, network: &str, needed: bool) -> Check {
    let seen = timeout(ANSWER, engine.gateway_of(network)).await;
    let seen = match seen {
        Ok(seen) => seen.map_err(|error| error.told()),
        Err(_) => Err(late(engine)),
    };
    Check::new(GROUP, "network", engine::network(network, needed, &seen))
}

async fn image(engine: &Engine, image: &str, needed: bool) -> Check {
    let missing = match timeout(ANSWER, engine.image_id(image)).await {
        Ok(Ok(Some(_))) => None,
        Ok(Ok(None)) => Some(CommandError::from(CheckError::NoImage {
            address: engine.address().clone(),
            image: image.to_owned(),
        })),
        Ok(Err(error)) => Some(error.told()),
        Err(_) => Some(late(engine)),
    };
    let finding: Finding = engine::image(image, needed, missing.as_ref());
    Check::new(GROUP, "image", finding)
}

fn late(engine: &Engine) -> CommandError {
    EngineError::Silent {
        address: engine.address().clone(),
    }
    .told()
}
