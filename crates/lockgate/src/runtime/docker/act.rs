//! One step done.

use super::blueprint::{AUTHORITY, Blueprint, FOLDER, SERVERS};
use super::engine::{Engine, EngineError, File, Private};
use super::plan::Step;
use super::servers::Files;
use crate::environment::create::TOKEN;
use crate::image::recipe::AGENT;
use crate::runtime::GatewaySpec;

/// What a step has made of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Done {
    /// There is a new one.
    Created,
    /// This one was started, with these files.
    Started(String, Files),
    /// This one has these files.
    Told(String, Files),
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
    /// What its files say.
    pub(super) files: Files,
}

impl Step {
    /// What is done, in a word.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Recreate(..) => "create anew",
            Self::Start(..) => "start",
            Self::Tell(..) => "tell",
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
            let files = known(made_from).files;
            tell(engine, id, name, &files).await?;
            engine.start(id, name).await?;
            Ok(Done::Started(id.clone(), files))
        }
        Step::Tell(_, id) => {
            let files = known(made_from).files;
            if tell(engine, id, name, &files).await? {
                wake(engine, id, name).await;
            }
            Ok(Done::Told(id.clone(), files))
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
    let mut files = vec![File {
        name: super::blueprint::TOKEN,
        content: &token,
        private: Private::Yes,
    }];
    files.extend(open_files(&made_from.files));
    engine.put(&id, name, FOLDER, &files).await?;
    engine.start(&id, name).await?;
    Ok(Done::Created)
}

/// Makes a container's files say this; whether one said something else.
async fn tell(engine: &Engine, id: &str, name: &str, files: &Files) -> Result<bool, EngineError> {
    let mut changed = Vec::new();
    for file in open_files(files) {
        let found = engine.file(id, &format!("{FOLDER}/{}", file.name)).await?;
        if found.as_deref() != Some(file.content) {
            changed.push(file);
        }
    }
    if changed.is_empty() {
        return Ok(false);
    }
    engine.put(id, name, FOLDER, &changed).await?;
    let files = changed.iter().map(|file| file.name);
    let files = files.collect::<Vec<_>>().join(", ");
    tracing::info!(gateway = name, files, "told what has changed");
    Ok(true)
}

/// The files that everybody in a container may read. Where there is no authority, whom it was told
/// to trust before stays.
fn open_files(files: &Files) -> Vec<File<'_>> {
    let mut all = vec![open_file(SERVERS, &files.servers)];
    all.extend(
        files
            .authority
            .as_ref()
            .map(|pem| open_file(AUTHORITY, pem)),
    );
    all
}

fn open_file<'a>(name: &'a str, text: &'a str) -> File<'a> {
    File {
        name,
        content: text.as_bytes(),
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
