//! Where a server is reached.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use http::Uri;

use super::ClientError;

/// Where an HTTP server is reached: over TCP, or over a unix socket (control sockets).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// A host and a port.
    Tcp {
        /// An address, without brackets, or a name.
        host: String,
        /// The port.
        port: u16,
    },
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl Endpoint {
    /// Reads `http://host:port`. The port is not guessed, and https is not spoken.
    pub fn parse(url: &str) -> Result<Self, ClientError> {
        let bad = |rule| ClientError::Url {
            url: url.to_owned(),
            rule,
        };
        let uri = Uri::try_from(url).map_err(|_| bad(SHAPE))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(bad("https is not spoken here; use `http://host:port`"));
            }
            _ => return Err(bad(SHAPE)),
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(bad("only `http://host:port`, without a path"));
        }
        let authority = uri.authority().ok_or_else(|| bad(SHAPE))?;
        if authority.as_str().contains('@') {
            return Err(bad("it must not carry a name or a password"));
        }
        let host = authority.host();
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        match authority.port_u16() {
            Some(port) if port != 0 && !host.is_empty() => Ok(Self::Tcp {
                host: bare.unwrap_or(host).to_owned(),
                port,
            }),
            _ => Err(bad(SHAPE)),
        }
    }

    /// The `Host` that requests name: `127.0.0.1:8090`; `localhost` on a unix socket.
    pub fn authority(&self) -> String {
        match self {
            Self::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port } => format!("{host}:{port}"),
            Self::Unix(_) => "localhost".to_owned(),
        }
    }
}

const SHAPE: &str = "`http://host:port` is what can be asked";

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { .. } => write!(f, "http://{}", self.authority()),
            Self::Unix(path) => write!(f, "unix:{}:", path.display()),
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp {
            host: address.ip().to_string(),
            port: address.port(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expected: &str) {
        assert_eq!(Endpoint::parse(url).unwrap().to_string(), expected, "{url}");
    }

    fn refuse(url: &str, why: &str) {
        let error = Endpoint::parse(url).unwrap_err().to_string();
        assert!(error.contains(url) && error.contains(why), "{error}");
    }

    #[test]
    fn host_and_port_make_an_endpoint() {
        check("http://127.0.0.1:8090", "http://127.0.0.1:8090");
        check("http://127.0.0.1:8090/", "http://127.0.0.1:8090");
        check("HTTP://build:1", "http://build:1");
        check("http://[::1]:8090", "http://[::1]:8090");
        let parsed = Endpoint::parse("http://[::1]:8090").unwrap();
        let host = "::1".to_owned();
        assert_eq!(parsed, Endpoint::Tcp { host, port: 8090 });
    }

    #[test]
    fn other_urls_are_refused_with_the_reason() {
        refuse("https://build:8090", "https is not spoken");
        refuse("http://build:8090/x", "without a path");
        refuse("http://build:8090/?x=1", "without a path");
        refuse("http://me:secret@build:8090", "name or a password");
        refuse("http://build", "http://host:port");
        refuse("http://build:0", "http://host:port");
        refuse("http://build:99999", "http://host:port");
        refuse("build:8090", "http://host:port");
        refuse("ftp://build:8090", "http://host:port");
        refuse("", "http://host:port");
    }
}
