//! What has to be done so that the engine has what is wanted: a pure decision.
//!
//! ```text
//!                     wanted to run                  wanted stopped   not wanted
//!   no container      create                         –                –
//!   other spec        create anew                    stop             remove
//!   running           tell, or –                     stop             remove
//!   ended             start                          –                remove
//!   ended with 78     give up: stopped for good      –                remove
//!   somebody else's   named, never touched           named            –
//! ```
//!
//! It is told where its files are not known to say what they should; one that is made or started
//! has them before. What ended with 78 is tried again when its spec changes or somebody asks for it.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_model::{EnvName, GatewayName};

use super::servers::Files;

/// What a gateway's container should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Want {
    /// It runs.
    Running {
        /// The digest of the spec it is made from.
        digest: String,
        /// What its files say.
        files: Files,
    },
    /// It is there or not, but does not run.
    Stopped,
    /// It should run, and what it would be made from cannot be told now: what is there stays.
    Unclear,
}

/// A container as the engine shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// Its id.
    pub(super) id: String,
    /// Its name.
    pub(super) name: String,
    /// The gateway that its label names, where it is of this home.
    pub(super) ours: Option<GatewayName>,
    /// The digest of what it was made from.
    pub(super) digest: Option<String>,
    /// What its files are known to say.
    pub(super) files: Option<Files>,
    /// What it does.
    pub(super) state: State,
    /// Whether its agent was seen to end because of its configuration.
    pub(super) misconfigured: bool,
}

/// What a container does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Made and never started: what should have come between may be missing.
    Created,
    /// It runs.
    Running,
    /// It ended and the engine is about to start it again.
    Restarting,
    /// Somebody has paused it.
    Paused,
    /// It ended.
    Exited,
    /// The engine could not remove it.
    Dead,
    /// The engine is removing it.
    Removing,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Make the container and start it.
    Create(GatewayName),
    /// Remove this container, then make and start another.
    Recreate(GatewayName, String),
    /// Start what ended, once its files are right.
    Start(GatewayName, String),
    /// Make its files right, and wake its agent where that was a change.
    Tell(GatewayName, String),
    /// Stop what should not run.
    Stop(GatewayName, String),
    /// Stop what cannot run as it is configured.
    GiveUp(GatewayName, String),
    /// Remove what is not wanted any more, or is in the way.
    Remove(GatewayName, String),
}

impl Step {
    /// Whose step it is; a gateway has one at a time.
    pub(super) fn gateway(&self) -> &GatewayName {
        match self {
            Self::Create(gateway)
            | Self::Recreate(gateway, _)
            | Self::Start(gateway, _)
            | Self::Tell(gateway, _)
            | Self::Stop(gateway, _)
            | Self::GiveUp(gateway, _)
            | Self::Remove(gateway, _) => gateway,
        }
    }

    /// Whether it brings a gateway up, and so is not to be done again and again without a pause.
    pub(super) fn is_start(&self) -> bool {
        matches!(self, Self::Create(_) | Self::Recreate(..) | Self::Start(..))
    }

    /// Whether it ends a gateway that should not run.
    pub(super) fn is_end(&self) -> bool {
        matches!(self, Self::Stop(..) | Self::Remove(..))
    }
}

/// The gateways that should be, those of whose environments nothing is known left out.
pub(super) type Wanted = BTreeMap<GatewayName, Want>;

/// The steps from what is to what should be. `known` are the environments that were asked about: a
/// container of another one may be wanted as well. `again` are gateways to try in spite of an end with 78.
pub(super) fn plan(
    wanted: &Wanted,
    known: &BTreeSet<EnvName>,
    again: &BTreeSet<GatewayName>,
    seen: &[Seen],
) -> Vec<Step> {
    let unwanted = seen.iter().filter_map(|container| {
        let gateway = container.ours.as_ref()?;
        let is_its_own = container.name == gateway.as_str() && wanted.contains_key(gateway);
        let remove =
            known.contains(&gateway.env()) && !is_its_own && container.state != State::Removing;
        remove.then(|| Step::Remove(gateway.clone(), container.id.clone()))
    });
    let of_wanted = wanted.iter().filter_map(|(gateway, want)| {
        match seen.iter().find(|one| one.name == gateway.as_str()) {
            None => match want {
                Want::Running { .. } => Some(Step::Create(gateway.clone())),
                Want::Stopped | Want::Unclear => None,
            },
            Some(found) if found.ours.as_ref() != Some(gateway) => None,
            Some(found) => step(gateway, want, again.contains(gateway), found),
        }
    });
    unwanted.chain(of_wanted).collect()
}

/// Containers that have a wanted gateway's name and are not of this home.
pub(super) fn foreign<'a>(
    wanted: &'a Wanted,
    seen: &'a [Seen],
) -> impl Iterator<Item = (&'a GatewayName, &'a Seen)> {
    wanted.keys().filter_map(|gateway| {
        let found = seen.iter().find(|one| one.name == gateway.as_str())?;
        found.ours.is_none().then_some((gateway, found))
    })
}

/// The step for a gateway's own container.
fn step(gateway: &GatewayName, want: &Want, again: bool, found: &Seen) -> Option<Step> {
    let (gateway, id) = (gateway.clone(), found.id.clone());
    let (digest, files) = match want {
        Want::Stopped => {
            return match found.state {
                State::Running | State::Restarting | State::Paused => Some(Step::Stop(gateway, id)),
                State::Created | State::Exited | State::Dead | State::Removing => None,
            };
        }
        Want::Unclear => return None,
        Want::Running { digest, files } => (digest, files),
    };
    let changed = found.digest.as_ref() != Some(digest);
    match found.state {
        State::Removing => None,
        State::Created | State::Dead => Some(Step::Recreate(gateway, id)),
        _ if changed => Some(Step::Recreate(gateway, id)),
        State::Running | State::Restarting if found.misconfigured && !again => {
            Some(Step::GiveUp(gateway, id))
        }
        State::Running if found.files.as_ref() != Some(files) => Some(Step::Tell(gateway, id)),
        State::Running | State::Restarting | State::Paused => None,
        State::Exited if found.misconfigured && !again => None,
        State::Exited => Some(Step::Start(gateway, id)),
    }
}

#[cfg(test)]
mod tests;
