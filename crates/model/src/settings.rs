//! How an application is started, checked and stopped. Travels in a statement.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{duration_text, ports};

/// The `[app]` table of lockgate.toml, as the agent needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AppSettings {
    /// Program and arguments.
    pub command: Vec<String>,
    /// The working directory, relative to the release.
    pub cwd: String,
    /// Variables of the application's own environment.
    pub env: BTreeMap<String, String>,
    /// Listening sockets that the agent holds and hands over.
    pub socket: Vec<AppSocket>,
    /// When a start counts as ready.
    pub ready: Readiness,
    /// How a new process takes over from the old one.
    pub strategy: Strategy,
    /// What may happen before the first `listen` beside the running process:
    /// `read:PATH`, `write:PATH`, `connect:HOST:PORT`, `start:PROGRAM`, with `*` for
    /// any text.
    pub before_listen: Vec<String>,
    /// How long things may take.
    pub limits: Limits,
}

impl Default for AppSettings {
    fn default() -> Self {
        Self {
            command: ["node", "--enable-source-maps", "main.js"]
                .map(String::from)
                .to_vec(),
            cwd: "app-gateway".to_owned(),
            env: BTreeMap::new(),
            socket: vec![AppSocket::default()],
            ready: Readiness::default(),
            strategy: Strategy::default(),
            before_listen: Vec::new(),
            limits: Limits::default(),
        }
    }
}

impl AppSettings {
    /// Whether the program is Node itself, by its file name: `node`, `nodejs`,
    /// `node22`, `node-22.1`. Only Node can be held at its first `listen`; what a
    /// wrapper would start is not known.
    pub fn is_node(&self) -> bool {
        let program = self.command.first().map_or("", String::as_str);
        let name = program.rsplit('/').next().unwrap_or_default();
        let Some(rest) = name.strip_prefix("node") else {
            return false;
        };
        rest == "js"
            || rest
                .chars()
                .all(|c| c.is_ascii_digit() || c == '.' || c == '-')
    }
}

/// How a new process takes over from the old one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Gated where the new process did nothing before its first `listen` that could
    /// disturb the old one or miss what it saves at its end; else cold.
    #[default]
    Auto,
    /// The new process boots beside the old one and is held at its first `listen`.
    Gated,
    /// The old process is gone before the new one is started.
    Cold,
}

impl Strategy {
    /// The strategy as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Gated => "gated",
            Self::Cold => "cold",
        }
    }
}

/// A port the application listens on, held by the agent across restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppSocket {
    /// The port number in the application's own `listen` call.
    pub port: u16,
}

impl Default for AppSocket {
    fn default() -> Self {
        Self { port: ports::APP }
    }
}

/// What makes a started application ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Readiness {
    /// `GET` this path on the application's first socket. Any answer below 500
    /// counts for the default `/`; a path that was set must answer 2xx or 3xx.
    pub http: Option<String>,
    /// Accepting a connection is enough; nothing is asked.
    pub tcp: bool,
    /// How long one answer may take. Two seconds, as long as a person waits.
    #[serde(with = "duration_text")]
    pub timeout: Duration,
    /// The pause before an application that gave a bad answer is asked again.
    #[serde(with = "duration_text")]
    pub interval: Duration,
}

impl Default for Readiness {
    fn default() -> Self {
        Self {
            http: None,
            tcp: false,
            timeout: Duration::from_secs(2),
            interval: Duration::from_millis(50),
        }
    }
}

/// How long things may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// From start to ready. 20 s: 30 times what a 9 MB bundle needs to boot.
    #[serde(with = "duration_text")]
    pub ready: Duration,
    /// How long a process that is to be replaced still accepts and asks its clients
    /// to come back on new connections, at most. One second: idle connections are
    /// seldom kept longer between two requests of a busy client.
    #[serde(with = "duration_text")]
    pub linger: Duration,
    /// How long requests in flight may take to their end before they are cut.
    #[serde(with = "duration_text")]
    pub drain: Duration,
    /// From TERM to KILL. Ten seconds, as in `docker stop`.
    #[serde(with = "duration_text")]
    pub grace: Duration,
    /// How long a new build must stay ready before it counts as good.
    #[serde(with = "duration_text")]
    pub trial: Duration,
    /// The first delay after a crash; it doubles up to 60 s. Three seconds, as in
    /// the shell loop this replaces.
    #[serde(with = "duration_text")]
    pub crash_delay: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            ready: Duration::from_secs(20),
            linger: Duration::from_secs(1),
            drain: Duration::from_secs(5),
            grace: Duration::from_secs(10),
            trial: Duration::from_secs(30),
            crash_delay: Duration::from_secs(3),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_table_gives_the_defaults() {
        let settings: AppSettings = serde_json::from_str("{}").unwrap();
        assert_eq!(settings, AppSettings::default());
        assert_eq!(settings.socket, [AppSocket { port: 8888 }]);
    }

    #[test]
    fn node_is_known_by_its_file_name() {
        for (program, expected) in [
            ("node", true),
            ("/usr/bin/nodejs", true),
            ("node22", true),
            ("/opt/node-22.1", true),
            ("nodemon", false),
            ("npm", false),
            ("sh", false),
            ("", false),
        ] {
            let settings = AppSettings {
                command: vec![program.to_owned()],
                ..AppSettings::default()
            };
            assert_eq!(settings.is_node(), expected, "{program}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        let limits: Limits = serde_json::from_str(r#"{"grace": "1500ms"}"#).unwrap();
        assert_eq!(limits.grace, Duration::from_millis(1500));
        let error = serde_json::from_str::<Limits>(r#"{"grace": "10"}"#).unwrap_err();
        assert!(
            error.to_string().contains("`10` is not a duration"),
            "{error}"
        );
    }
}
