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
            limits: Limits::default(),
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Readiness {
    /// `GET` this path on the application's first socket. Any answer below 500
    /// counts for the default `/`; a path that was set must answer 2xx or 3xx.
    pub http: Option<String>,
    /// Accepting a connection is enough; nothing is asked.
    pub tcp: bool,
}

/// How long things may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// From start to ready. 20 s: 30 times what a 9 MB bundle needs to boot.
    #[serde(with = "duration_text")]
    pub ready: Duration,
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
