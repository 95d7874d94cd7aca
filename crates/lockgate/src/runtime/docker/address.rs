//! Where the engine is asked: `DOCKER_HOST`, or the socket that Docker makes.

use std::fmt;
use std::path::PathBuf;

/// The socket of an engine that nobody has moved.
const DEFAULT: &str = "unix:///var/run/docker.sock";

/// An engine's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EngineAddress {
    /// `unix:///path`.
    Socket(PathBuf),
    /// `tcp://host:port`, without TLS.
    Tcp(String),
}

/// An address at which no engine can be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`DOCKER_HOST` is `{text}`; an engine is asked at `unix:///PATH` or `tcp://HOST:PORT`")]
pub(crate) struct AddressError {
    text: String,
}

impl EngineAddress {
    /// What `DOCKER_HOST` says, where it is set.
    pub(crate) fn parse(docker_host: Option<&str>) -> Result<Self, AddressError> {
        let text = docker_host.unwrap_or(DEFAULT);
        let refused = || AddressError {
            text: text.to_owned(),
        };
        if let Some(path) = text.strip_prefix("unix://") {
            return if path.starts_with('/') {
                Ok(Self::Socket(path.into()))
            } else {
                Err(refused())
            };
        }
        let place = text.strip_prefix("tcp://").ok_or_else(refused)?;
        let place = place.trim_end_matches('/');
        let (host, port) = place.rsplit_once(':').ok_or_else(refused)?;
        if host.is_empty() || host.contains('/') || port.parse::<u16>().is_err() {
            return Err(refused());
        }
        Ok(Self::Tcp(place.to_owned()))
    }
}

impl fmt::Display for EngineAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(place) => write!(f, "tcp://{place}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_and_plain_tcp_are_addresses() {
        let check = |text, expected: Option<&str>| {
            let found = EngineAddress::parse(text).ok();
            assert_eq!(found.map(|it| it.to_string()).as_deref(), expected);
        };
        check(None, Some("unix:///var/run/docker.sock"));
        check(
            Some("unix:///run/podman/podman.sock"),
            Some("unix:///run/podman/podman.sock"),
        );
        check(Some("tcp://10.0.0.1:2375/"), Some("tcp://10.0.0.1:2375"));
        check(Some("tcp://[::1]:2375"), Some("tcp://[::1]:2375"));
        for wrong in [
            "",
            "unix://docker.sock",
            "tcp://host",
            "tcp://:1",
            "ssh://host",
            "tcp://a/b:1",
        ] {
            check(Some(wrong), None);
        }
    }
}
