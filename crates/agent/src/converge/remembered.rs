//! Statements that were accepted, and what is left of them after a restart.

use std::path::Path;

use lockgate_builds::sign::PublicKey;
use lockgate_model::{GatewayName, Refusal, SignedStatement, Statement};
use tracing::warn;

use crate::error::in_one_line;
use crate::state::{Kept, State};
use crate::supervisor::Target;

/// A verified statement and the bytes it came from.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    /// What it says.
    pub(crate) statement: Statement,
    /// What was signed.
    pub(crate) signed: SignedStatement,
}

impl Accepted {
    /// As it is kept on disk.
    pub(crate) fn kept(&self) -> Kept {
        Kept {
            key_id: self.statement.key_id.clone(),
            seq: self.statement.seq,
            signed: self.signed.clone(),
        }
    }

    /// As the supervisor takes it.
    pub(crate) fn target(&self, releases: &Path) -> Target {
        Target {
            build: self.statement.build.clone(),
            release: releases.join(self.statement.build.as_str()),
            settings: self.statement.settings.clone(),
            seq: self.statement.seq,
            restart: self.statement.restart,
        }
    }
}

/// What an earlier run of the agent left.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    /// The statement accepted last.
    pub(crate) wanted: Option<Accepted>,
    /// The statement whose target passed its trial last.
    pub(crate) good: Option<Accepted>,
    /// What was given up on last.
    pub(crate) refused: Option<Refusal>,
}

impl Remembered {
    /// Reads what was kept. Statements are verified again: one of another key (the
    /// environment was made anew) or another gateway does not count.
    pub(crate) fn load(state: &State, key: &PublicKey, gateway: &GatewayName) -> Self {
        let open = |kept: Kept| match key.open(&kept.signed) {
            Ok(statement) if statement.gateway == *gateway && statement.env == gateway.env() => {
                Some(Accepted {
                    statement,
                    signed: kept.signed,
                })
            }
            Ok(statement) => {
                warn!(of = %statement.gateway, "remembered statement of another gateway ignored");
                None
            }
            Err(error) => {
                let why = in_one_line(&error);
                warn!(key = %kept.key_id, %why, "remembered statement ignored");
                None
            }
        };
        Self {
            wanted: state.statement().and_then(open),
            good: state.good().and_then(open),
            refused: state.refused(),
        }
    }
}
