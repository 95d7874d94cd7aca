//! The Docker engine: where it is found, and what it means when it does not answer.

use bollard::Docker;
use bollard::errors::Error;

use crate::config::DOCKER_HOST;
use crate::error::{CommandError, Kind};

/// Where an engine listens when nothing says so.
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";

/// An engine that cannot be talked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// The address is of a kind that is not spoken.
    #[error("`{host}` is no address of a Docker engine that `lockgate` can talk to")]
    Address {
        /// The address.
        host: String,
    },
    /// Nobody answers there, or nobody who may be asked.
    #[error("no Docker engine answers at `{host}`")]
    Unreachable {
        /// The address.
        host: String,
        /// The cause.
        source: Error,
    },
}

/// Connects to the engine at `host`, or at its usual socket, and agrees on a version with it.
pub(crate) async fn connect(host: Option<&str>) -> Result<Docker, EngineError> {
    let host = host.unwrap_or(DEFAULT_HOST);
    let unreachable = |source| EngineError::Unreachable {
        host: host.to_owned(),
        source,
    };
    let docker = Docker::connect_with_host(host).map_err(|error| match error {
        Error::UnsupportedURISchemeError { uri } => EngineError::Address { host: uri },
        other => unreachable(other),
    })?;
    docker.negotiate_version().await.map_err(unreachable)
}

/// What the engine says of a failed request, without the words of the library around it.
pub(crate) fn said(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => message.clone(),
        Error::DockerStreamError { error } => error.clone(),
        other => other.to_string(),
    }
}

/// Whether the engine says that there is no such thing.
pub(crate) fn is_missing(error: &Error) -> bool {
    matches!(
        error,
        Error::DockerResponseServerError {
            status_code: 404,
            ..
        }
    )
}

impl From<EngineError> for CommandError {
    fn from(error: EngineError) -> Self {
        let told = Self::from_error(Kind::Failed, &error);
        match &error {
            EngineError::Address { .. } => told.hint(format!(
                "`{DOCKER_HOST}` takes `unix:///PATH` or `tcp://HOST:PORT`; for an engine behind ssh, `ssh -L` forwards its socket"
            )),
            EngineError::Unreachable { .. } => told.hint(format!(
                "start Docker, or name its socket with `{DOCKER_HOST}`; who asks has to be root or in the group `docker`"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::paint::Paint;

    async fn failure(host: &str) -> String {
        let error = connect(Some(host)).await.unwrap_err();
        CommandError::from(error).render(Paint::new(false))
    }

    #[tokio::test]
    async fn an_engine_that_is_away_is_told_with_its_address_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let host = format!("unix://{}/docker.sock", folder.path().display());
        let text = failure(&host).await;
        let first = format!("error: no Docker engine answers at `{host}`\n");
        assert!(text.starts_with(&first), "{text}");
        assert!(text.contains("hint: start Docker, or name"), "{text}");
    }

    #[tokio::test]
    async fn an_address_that_is_not_spoken_is_told() {
        let text = failure("ssh://box").await;
        assert!(
            text.starts_with("error: `ssh://box` is no address"),
            "{text}"
        );
        assert!(text.contains("unix:///PATH"), "{text}");
    }
}
