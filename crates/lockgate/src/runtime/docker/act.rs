//! One step done.

use super::blueprint::{Blueprint, FOLDER, SERVERS};
use super::engine::{Engine, EngineError, File, Private};
use super::plan::Step;
use crate::environment::create::TOKEN;
use crate::image::recipe::AGENT;
use crate::runtime::GatewaySpec;

/// What a step has made of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Done {
    /// There is a new one.
    Created,
    /// This one was started, with this file of servers.
    Started(String, String),
    /// This one has this file of servers.
    Told(String, String),
    /// This one was stopped.
    Stopped,
    /// This one is no more.
    Removed(String),
}

/// What a container is made from and told.
#[derive(Clone)]
pub(super) struct MadeFrom {
    /// What it is made from.
    pub(super) blueprint: Blueprint,
    /// Its gateway.
    pub(super) spec: GatewaySpec,
    /// What its file of servers says.
    pub(super) servers: String,
}

impl Step {
    /// What is done, in a word.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Recreate(..) => "create anew",
            Self::Start(..) => "start",
            Self::Tell(..) => "tell of servers",
            Self::Stop(..) => "stop",
            Self::GiveUp(..) => "give up",
            Self::Remove(..) => "remove",
        }
    }
}

/// Does it.
pub(super) async fn perform(
    engine: &Engine,
    step: &Step,
    made_from: Option<MadeFrom>,
) -> Result<Done, EngineError> {
    let name = step.gateway().as_str();
    match step {
        Step::Create(_) => create(engine, made_from).await,
        Step::Recreate(_, id) => {
            engine.remove(id, name).await?;
            create(engine, made_from).await?;
            Ok(Done::Removed(id.clone()))
        }
        Step::Start(_, id) => {
            let servers = known(made_from).servers;
            tell(engine, id, name, &servers).await?;
            engine.start(id, name).await?;
            Ok(Done::Started(id.clone(), servers))
        }
        Step::Tell(_, id) => {
            let servers = known(made_from).servers;
            if tell(engine, id, name, &servers).await? {
                wake(engine, id, name).await;
            }
            Ok(Done::Told(id.clone(), servers))
        }
        Step::Stop(_, id) | Step::GiveUp(_, id) => {
            engine.stop(id, name).await?;
            Ok(Done::Stopped)
        }
        Step::Remove(_, id) => {
            engine.remove(id, name).await?;
            Ok(Done::Removed(id.clone()))
        }
    }
}

fn known(made_from: Option<MadeFrom>) -> MadeFrom {
    match made_from {
        Some(made_from) => made_from,
        None => unreachable!("only what has a blueprint is wanted to run"),
    }
}

async fn create(engine: &Engine, made_from: Option<MadeFrom>) -> Result<Done, EngineError> {
    let made_from = known(made_from);
    let path = made_from.spec.folder.join(TOKEN);
    let token = std::fs::read(&path).map_err(|source| EngineError::Token { path, source })?;
    let blueprint = &made_from.blueprint;
    let name = blueprint.gateway().as_str();
    let id = engine.create(blueprint).await?;
    let files = [
        File {
            name: super::blueprint::TOKEN,
            content: &token,
            private: Private::Yes,
        },
        servers_file(&made_from.servers),
    ];
    engine.put(&id, name, FOLDER, &files).await?;
    engine.start(&id, name).await?;
    Ok(Done::Created)
}

/// Makes a container's file of servers say this; whether it said something else.
async fn tell(engine: &Engine, id: &str, name: &str, servers: &str) -> Result<bool, EngineError> {
    let found = engine.file(id, &format!("{FOLDER}/{SERVERS}")).await?;
    if found.as_deref() == Some(servers.as_bytes()) {
        return Ok(false);
    }
    let file = servers_file(servers);
    engine.put(id, name, FOLDER, &[file]).await?;
    tracing::info!(
        gateway = name,
        servers = servers.trim_end(),
        "told where the build server is"
    );
    Ok(true)
}

fn servers_file(servers: &str) -> File<'_> {
    File {
        name: SERVERS,
        content: servers.as_bytes(),
        private: Private::No,
    }
}

/// Has the agent ask at once, also where it waits at an address that nobody answers any more. A
/// signal would be cheaper, but an engine that passes one on takes it for an order to stop, and does
/// not start the container again. An agent that cannot be woken asks by itself, if later.
async fn wake(engine: &Engine, id: &str, name: &str) {
    let reload = [AGENT, "reload"].map(str::to_owned).to_vec();
    if let Err(error) = engine.exec_apart(id, reload).await {
        let why = error.in_one_line();
        tracing::debug!(gateway = name, why, "agent not woken");
    }
}
