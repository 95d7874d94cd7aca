//! The server in the background: started, awaited, ended.

use std::time::Duration;

use super::{ServeOptions, ServerDescription};
use crate::home::Home;

/// Hidden flag of `lockgate serve`: the process was started by `detach`, so it becomes the leader
/// of a session of its own (`become_session_leader`) before it serves.
pub(crate) const CHILD_FLAG: &str = "--in-background";

/// Why the server does not run in the background, or does not end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DetachError {
    #[error("stub")]
    Stub,
}

/// Runs `lockgate serve --in-background …` in the background with its log in `server.log`, and returns
/// when its control socket answers. The child's own error is in `DetachError::Ended`.
pub(crate) async fn detach(
    options: &ServeOptions,
    within: Duration,
) -> Result<ServerDescription, DetachError> {
    todo!()
}

/// What a process with `CHILD_FLAG` does first.
pub(crate) fn become_session_leader() -> Result<(), DetachError> {
    todo!()
}

/// Asks the home's server to stop and returns when it is gone. False when none runs.
pub(crate) async fn stop(home: &Home, within: Duration) -> Result<bool, DetachError> {
    todo!()
}
