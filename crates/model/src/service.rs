//! A service of the host: what its keeper is told to run, and what it says of it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Limits, Phase, ServiceName, duration_text};

/// The longest that a service may take from TERM to KILL: whoever waits for its end has to give up
/// at some time.
pub const LONGEST_STOP: Duration = Duration::from_mins(5);

/// A `[services.NAME]` table of lockgate.toml, made into what its keeper needs. Its variables may
/// be secrets, so this has no `Debug`, and lies in a file that its owner alone can read.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceDescription {
    /// The service.
    pub name: ServiceName,
    /// Program and arguments.
    pub command: Vec<String>,
    /// The working directory, absolute.
    pub cwd: PathBuf,
    /// Its variables, those of its file included.
    pub env: BTreeMap<String, String>,
    /// When it is ready; without a check it is when it has run for a moment.
    pub ready: Option<ReadyCheck>,
    /// From its start to ready.
    #[serde(with = "duration_text")]
    pub ready_timeout: Duration,
    /// From TERM to KILL.
    #[serde(with = "duration_text")]
    pub stop_timeout: Duration,
    /// Before the first start after a crash; doubles from there.
    #[serde(
        with = "duration_text",
        default = "crash_delay",
        skip_serializing_if = "is_crash_delay"
    )]
    pub crash_delay: Duration,
    /// Its log, absolute.
    pub log: PathBuf,
}

/// That of an application.
fn crash_delay() -> Duration {
    Limits::default().crash_delay
}

fn is_crash_delay(delay: &Duration) -> bool {
    *delay == crash_delay()
}

/// What a service's keeper says of it, one JSON line whenever it changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceReport {
    /// What is being done now.
    pub phase: Phase,
    /// Its process, when there is one.
    pub pid: Option<u32>,
    /// When that was started, UNIX milliseconds.
    pub since: Option<u64>,
    /// Starts after a crash, since its keeper started.
    pub restarts: u64,
    /// The last thing that went wrong; gone when it is ready again.
    pub problem: Option<String>,
    /// That it was ready, runs, and answers its check no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_answering: Option<NotAnswering>,
}

/// A service that runs and does not answer. It is not started again for that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NotAnswering {
    /// Since when, UNIX milliseconds.
    pub since: u64,
    /// What came of asking first: `` `http://127.0.0.1:3000/` was not answered within 2s ``.
    pub why: String,
}

/// How a service is asked whether it is ready: `http://127.0.0.1:3000/healthz` must answer 2xx or
/// 3xx, `tcp://127.0.0.1:3000` must accept a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReadyCheck {
    /// The host, without the brackets of an IPv6 address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path that is asked for, with its query; `None` where accepting is enough.
    pub path: Option<String>,
}

/// A text that is no check.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not like `http://127.0.0.1:3000/healthz` or `tcp://127.0.0.1:3000`: {why}")]
pub struct ReadyCheckError {
    /// The text as it was given.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

/// The port of HTTP where none is named.
const HTTP_PORT: u16 = 80;

impl ReadyCheck {
    /// Reads a check.
    pub fn parse(text: &str) -> Result<Self, ReadyCheckError> {
        parse(text).map_err(|why| ReadyCheckError {
            text: text.to_owned(),
            why,
        })
    }

    /// Host and port as a URL names them: `127.0.0.1:3000`, `[::1]:3000`.
    pub fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }
}

fn parse(text: &str) -> Result<ReadyCheck, &'static str> {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
    if !text.bytes().all(plain) {
        return Err("it holds a blank, a `#` or a letter that no URL has");
    }
    let (scheme, rest) = text.split_once("://").ok_or("it has no scheme")?;
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(at);
    let (host, port) = split_authority(authority)?;
    let (port, path) = match scheme {
        "http" if path.starts_with('?') => (port, Some(format!("/{path}"))),
        "http" if path.is_empty() => (port, Some("/".to_owned())),
        "http" => (port, Some(path.to_owned())),
        "tcp" if !path.is_empty() => return Err("`tcp` has no path"),
        "tcp" if port.is_none() => return Err("`tcp` needs a port"),
        "tcp" => (port, None),
        "https" => return Err("only `http` and `tcp` are asked"),
        _ => return Err("its scheme is neither `http` nor `tcp`"),
    };
    Ok(ReadyCheck {
        host: host.to_owned(),
        port: port.unwrap_or(HTTP_PORT),
        path,
    })
}

fn split_authority(text: &str) -> Result<(&str, Option<u16>), &'static str> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("a `]` is missing")?;
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err("between the brackets is no IPv6 address");
            }
            (host, rest.strip_prefix(':'))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_host) {
        return Err("it names no host");
    }
    let port = port.map(str::parse::<u16>).transpose();
    match port.map_err(|_| "its port is no number from 1 to 65535")? {
        Some(0) => Err("its port is no number from 1 to 65535"),
        port => Ok((host, port)),
    }
}

impl fmt::Display for ReadyCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "http://{}{path}", self.authority()),
            None => write!(f, "tcp://{}", self.authority()),
        }
    }
}

impl FromStr for ReadyCheck {
    type Err = ReadyCheckError;
    fn from_str(text: &str) -> Result<Self, ReadyCheckError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for ReadyCheck {
    type Error = ReadyCheckError;
    fn try_from(text: String) -> Result<Self, ReadyCheckError> {
        Self::parse(&text)
    }
}

impl From<ReadyCheck> for String {
    fn from(check: ReadyCheck) -> Self {
        check.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_read_and_written() {
        let check = |text: &str, host: &str, port, path: Option<&str>, written: &str| {
            let found = ReadyCheck::parse(text).unwrap();
            let expected = (host, port, path);
            assert_eq!(
                (found.host.as_str(), found.port, found.path.as_deref()),
                expected
            );
            assert_eq!(found.to_string(), written);
            assert_eq!(ReadyCheck::parse(written).unwrap(), found);
        };
        let healthz = "http://127.0.0.1:3000/healthz";
        check(healthz, "127.0.0.1", 3000, Some("/healthz"), healthz);
        check(
            "http://localhost",
            "localhost",
            80,
            Some("/"),
            "http://localhost:80/",
        );
        check(
            "http://a.b:1?x=1",
            "a.b",
            1,
            Some("/?x=1"),
            "http://a.b:1/?x=1",
        );
        check(
            "http://[::1]:3000/",
            "::1",
            3000,
            Some("/"),
            "http://[::1]:3000/",
        );
        check(
            "tcp://127.0.0.1:3000",
            "127.0.0.1",
            3000,
            None,
            "tcp://127.0.0.1:3000",
        );
        check("tcp://[::1]:1", "::1", 1, None, "tcp://[::1]:1");
    }

    #[test]
    fn what_is_no_check_is_told_why() {
        for (text, why) in [
            ("", "no scheme"),
            ("127.0.0.1:3000", "no scheme"),
            ("https://a/", "only `http` and `tcp`"),
            ("udp://a:1", "neither `http` nor `tcp`"),
            ("tcp://a", "needs a port"),
            ("tcp://a:1/x", "has no path"),
            ("http:///x", "names no host"),
            ("http://me:secret@a/", "no number"),
            ("http://me@a/", "names no host"),
            ("http://a:0/", "no number"),
            ("http://a:65536/", "no number"),
            ("http://[::1/", "`]` is missing"),
            ("http://[a]/", "no IPv6 address"),
            ("http://a/ b", "a blank"),
            ("http://a/#b", "a `#`"),
        ] {
            let error = ReadyCheck::parse(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn a_description_is_read_as_it_was_written() {
        let description = ServiceDescription {
            name: ServiceName::parse("ganymede").unwrap(),
            command: vec!["node".into(), "main.js".into()],
            cwd: "/w".into(),
            env: [("A".to_owned(), "1".to_owned())].into(),
            ready: Some(ReadyCheck::parse("tcp://127.0.0.1:3000").unwrap()),
            ready_timeout: Duration::from_secs(20),
            stop_timeout: Duration::from_millis(1500),
            crash_delay: Duration::from_secs(3),
            log: "/l".into(),
        };
        let check = |description: &ServiceDescription, told| {
            let text = serde_json::to_string(description).unwrap();
            assert!(text.contains("\"tcp://127.0.0.1:3000\""), "{text}");
            assert_eq!(text.contains("crash_delay"), told, "{text}");
            let read: ServiceDescription = serde_json::from_str(&text).unwrap();
            assert!(read == *description, "{text}");
        };
        // What is usual is left out: files from before are read the same.
        check(&description, false);
        let soon = Duration::from_millis(200);
        check(
            &ServiceDescription {
                crash_delay: soon,
                ..description
            },
            true,
        );
    }
}
