//! What answers for a name that is no organization's: a server of the user's, or a folder.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What serves the apex or `ganymede.` of a domain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub enum Site {
    /// A server that speaks HTTP/1.1 at this address.
    Upstream(SocketAddr),
    /// Files below this folder, an absolute path.
    Folder(PathBuf),
}

/// Why a text names no site.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is neither `http://ADDRESS[:PORT]` with an IP address or `localhost`, nor a folder's absolute path"
)]
pub struct SiteError(pub String);

const SCHEME: &str = "http://";
const HTTP_PORT: u16 = 80;

impl Site {
    /// Reads `http://ADDRESS[:PORT]` or the absolute path of a folder.
    pub fn parse(text: &str) -> Result<Self, SiteError> {
        let wrong = || SiteError(text.to_owned());
        if let Some(authority) = text.strip_prefix(SCHEME) {
            let authority = authority.strip_suffix('/').unwrap_or(authority);
            return address(authority).map(Self::Upstream).ok_or_else(wrong);
        }
        if Path::new(text).is_absolute() {
            return Ok(Self::Folder(text.into()));
        }
        Err(wrong())
    }
}

fn address(authority: &str) -> Option<SocketAddr> {
    if let Some(port) = authority.strip_prefix("localhost") {
        let port = match port.strip_prefix(':') {
            Some(digits) => digits.parse().ok()?,
            None if port.is_empty() => HTTP_PORT,
            None => return None,
        };
        return Some((Ipv4Addr::LOCALHOST, port).into());
    }
    let plain = || {
        let bare = authority
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(authority);
        bare.parse().ok().map(|ip| SocketAddr::new(ip, HTTP_PORT))
    };
    authority.parse().ok().or_else(plain)
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upstream(address) => write!(f, "{SCHEME}{address}"),
            Self::Folder(path) => path.display().fmt(f),
        }
    }
}

impl FromStr for Site {
    type Err = SiteError;
    fn from_str(text: &str) -> Result<Self, SiteError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Site {
    type Error = SiteError;
    fn try_from(text: String) -> Result<Self, SiteError> {
        Self::parse(&text)
    }
}

impl From<Site> for String {
    fn from(site: Site) -> Self {
        site.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_a_server_or_a_folder() {
        for (text, expected) in [
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("http://127.0.0.1:3000/", "http://127.0.0.1:3000"),
            ("http://localhost", "http://127.0.0.1:80"),
            ("http://localhost:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://[::1]", "http://[::1]:80"),
            ("http://192.0.2.7", "http://192.0.2.7:80"),
            ("/srv/site", "/srv/site"),
        ] {
            let site = Site::parse(text).unwrap();
            assert_eq!(site.to_string(), expected, "{text}");
            assert_eq!(Site::parse(expected).unwrap(), site, "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            "",
            "site",
            "./site",
            "https://127.0.0.1",
            "http://example.org",
            "http://localhostile",
            "http://localhost:",
            "http://localhost:99999",
            "http://127.0.0.1:80/path",
            "http://",
        ] {
            assert!(Site::parse(bad).is_err(), "{bad}");
        }
    }
}
