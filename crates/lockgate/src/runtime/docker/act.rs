//! One step done.

use super::blueprint::Blueprint;
use super::engine::{Engine, EngineError};
use super::plan::Step;
use crate::environment::create::TOKEN;
use crate::runtime::GatewaySpec;

/// What a step has made of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Done {
    /// There is a new one.
    Created,
    /// This one was started.
    Started(String),
    /// This one was stopped.
    Stopped,
    /// This one is no more.
    Removed(String),
}

impl Step {
    /// What is done, in a word.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Recreate(..) => "create anew",
            Self::Start(..) => "start",
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
    made_from: Option<(Blueprint, GatewaySpec)>,
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
            engine.start(id, name).await?;
            Ok(Done::Started(id.clone()))
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

async fn create(
    engine: &Engine,
    made_from: Option<(Blueprint, GatewaySpec)>,
) -> Result<Done, EngineError> {
    let Some((blueprint, spec)) = made_from else {
        unreachable!("only what has a blueprint is wanted to run");
    };
    let path = spec.folder.join(TOKEN);
    let token = std::fs::read(&path).map_err(|source| EngineError::Token { path, source })?;
    engine.create(&blueprint, &token).await?;
    Ok(Done::Created)
}
