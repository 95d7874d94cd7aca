//! The application's environment and what it says about the held sockets.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use lockgate_model::{AppSettings, Strategy};
use serde::Serialize;

use crate::inspect::{self, Inspect, Inspected};

use crate::process::FIRST_DESCRIPTOR;

/// What the preload reads; it takes the variable away before the application runs.
const SOCKETS: &str = "LOCKGATE_SOCKETS";
pub(super) const NODE_OPTIONS: &str = "NODE_OPTIONS";
const NODE_COMPILE_CACHE: &str = "NODE_COMPILE_CACHE";

/// How the agent's own variables begin.
const OURS: &str = "LOCKGATE_";

/// Never handed on from the agent's own environment: secrets, and what other
/// supervisors said to the agent.
const LEFT_OUT: [&str; 5] = [
    "LOCKGATE_TOKEN",
    "LISTEN_",
    "NOTIFY_SOCKET",
    SOCKETS,
    "LOCKGATE_START",
];

/// What an environment is made of.
pub(super) struct Parts<'a> {
    /// The agent's own.
    pub(super) base: &'a [(OsString, OsString)],
    /// What the release's `config.conf` exports, below all others.
    pub(super) exported: &'a [(String, String)],
    /// The application's settings.
    pub(super) settings: &'a AppSettings,
    /// Port and address of each held socket, in order.
    pub(super) sockets: &'a [(u16, SocketAddr)],
    /// How many descriptors there are of each.
    pub(super) duplicates: usize,
    /// The release that it is started from.
    pub(super) release: &'a Path,
    /// The preload's file; it is loaded where there are sockets.
    pub(super) preload: Option<&'a Path>,
    /// Where Node (22.1 and newer) keeps compiled code of this build, where it shall.
    pub(super) compile_cache: Option<&'a Path>,
    /// Whom it is told to trust, where nobody says otherwise.
    pub(super) trust: &'a [(&'static str, PathBuf)],
    /// The mark of this start.
    pub(super) mark: (OsString, OsString),
}

/// What a process is started with.
#[derive(Debug)]
pub(super) struct Composed {
    /// Program and arguments.
    pub(super) command: Vec<String>,
    /// The whole environment.
    pub(super) variables: Vec<(OsString, OsString)>,
}

/// The content of `LOCKGATE_SOCKETS`.
#[derive(Serialize)]
struct Handed<'a> {
    sockets: Vec<HandedSocket>,
    /// `NODE_OPTIONS` as it was without the preload.
    node_options: Option<&'a str>,
    /// The descriptor of the channel to the agent.
    gate: i32,
    /// The descriptor of the listening socket on which readiness is asked.
    private: i32,
    strategy: Strategy,
    release: &'a Path,
    /// Where the inspector listens, once the old process is gone.
    inspect: Option<Inspector<'a>>,
}

#[derive(Serialize)]
struct Inspector<'a> {
    host: &'a str,
    port: u16,
}

#[derive(Serialize)]
struct HandedSocket {
    /// The port in the application's `listen`.
    port: u16,
    /// The port on which the socket really listens.
    held: u16,
    address: String,
    fds: Vec<i32>,
}

/// Composes the environment; later parts win over earlier ones, ours over all.
pub(super) fn compose(parts: &Parts<'_>) -> Composed {
    let is_left_out = |name: &OsStr| {
        let name = name.to_string_lossy();
        LEFT_OUT.iter().any(|prefix| name.starts_with(prefix))
    };
    let exported = parts.exported.iter();
    let mut all: BTreeMap<OsString, OsString> = exported
        .filter(|(name, _)| !name.starts_with(OURS))
        .map(|(name, value)| (name.into(), value.into()))
        .chain(parts.base.iter().cloned())
        .filter(|(name, _)| !is_left_out(name))
        .collect();
    if let Some((port, _)) = parts.sockets.first() {
        all.insert("PORT".into(), port.to_string().into());
    }
    let own = parts.settings.env.iter();
    all.extend(own.map(|(name, value)| (name.into(), value.into())));
    if let Some(folder) = parts.compile_cache {
        all.entry(NODE_COMPILE_CACHE.into())
            .or_insert_with(|| folder.into());
    }
    for (name, file) in parts.trust {
        all.entry(name.into()).or_insert_with(|| file.into());
    }

    let (name, mark) = parts.mark.clone();
    all.insert(name, mark);
    let before = all
        .get(OsStr::new(NODE_OPTIONS))
        .map(|it| it.to_string_lossy().into_owned());
    let mut command = parts.settings.command.clone();
    if let Some(preload) = parts.preload.filter(|_| !parts.sockets.is_empty()) {
        let inspected = inspected(parts.settings, before.as_deref());
        command.clone_from(&inspected.command);
        let names: Vec<String> = parts
            .sockets
            .iter()
            .map(|(port, _)| format!("app-{port}"))
            .collect();
        all.insert("LISTEN_FDS".into(), parts.sockets.len().to_string().into());
        all.insert("LISTEN_FDNAMES".into(), names.join(":").into());
        all.insert(SOCKETS.into(), handed(parts, &inspected).into());
        let preload = format!("--require={}", quoted(preload));
        let options = match inspected.node_options {
            Some(before) if !before.trim().is_empty() => format!("{before} {preload}"),
            Some(_) | None => preload,
        };
        all.insert(NODE_OPTIONS.into(), options.into());
    }
    Composed {
        command,
        variables: all.into_iter().collect(),
    }
}

/// A command of Node without the inspector, which two processes cannot both have.
fn inspected(settings: &AppSettings, node_options: Option<&str>) -> Inspected {
    if settings.is_node() {
        return inspect::take_out(&settings.command, node_options);
    }
    Inspected {
        command: settings.command.clone(),
        node_options: node_options.map(str::to_owned),
        inspect: Inspect::Off,
    }
}

/// Duplicates are numbered in rounds: first one of each socket, then again.
fn handed(parts: &Parts<'_>, inspected: &Inspected) -> String {
    let count = parts.sockets.len();
    let mut after = (FIRST_DESCRIPTOR..).skip(count * parts.duplicates);
    let mut number = || after.next().unwrap_or_default();
    let sockets = parts
        .sockets
        .iter()
        .zip(FIRST_DESCRIPTOR..)
        .map(|((port, address), first)| HandedSocket {
            port: *port,
            held: address.port(),
            address: address.ip().to_string(),
            fds: (first..).step_by(count).take(parts.duplicates).collect(),
        })
        .collect();
    let handed = Handed {
        sockets,
        node_options: inspected.node_options.as_deref(),
        gate: number(),
        private: number(),
        strategy: parts.settings.strategy,
        release: parts.release,
        inspect: match &inspected.inspect {
            Inspect::At { host, port } => Some(Inspector { host, port: *port }),
            Inspect::Off | Inspect::Break => None,
        },
    };
    // Numbers and text: there is nothing that could fail.
    serde_json::to_string(&handed).unwrap_or_default()
}

/// A path as a word of `NODE_OPTIONS`.
fn quoted(path: &Path) -> String {
    let path = path.to_string_lossy();
    format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn composed(base: &[(&str, &str)], own: &[(&str, &str)]) -> BTreeMap<String, String> {
        let base: Vec<(OsString, OsString)> = base
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        let mut settings = AppSettings::default();
        let own = own
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        settings.env.extend(own);
        compose(&Parts {
            base: &base,
            exported: &[
                ("X".to_owned(), "exported".to_owned()),
                ("Y".to_owned(), "exported".to_owned()),
                ("LISTEN_PID".to_owned(), "7".to_owned()),
                ("LOCKGATE_KEY".to_owned(), "k".to_owned()),
            ],
            settings: &settings,
            sockets: &[
                (8888, "127.0.0.1:41000".parse().unwrap()),
                (9000, "127.0.0.1:41001".parse().unwrap()),
            ],
            duplicates: 2,
            release: Path::new("/releases/a"),
            preload: Some(Path::new("/a b/preload.cjs")),
            compile_cache: Some(Path::new("/cache")),
            trust: &[("NODE_EXTRA_CA_CERTS", "/ca.pem".into())],
            mark: ("LOCKGATE_START".into(), "mark".into()),
        })
        .variables
        .into_iter()
        .map(|(name, value)| (name.into_string().unwrap(), value.into_string().unwrap()))
        .collect()
    }

    #[test]
    fn secrets_and_foreign_descriptors_are_left_out() {
        let all = composed(
            &[
                ("LOCKGATE_TOKEN_FILE", "/t"),
                ("LOCKGATE_TOKEN", "t"),
                ("LISTEN_PID", "1"),
                ("NOTIFY_SOCKET", "/n"),
                ("GATEWAY_TOKEN", "kept"),
            ],
            &[],
        );
        assert_eq!(all.get("GATEWAY_TOKEN").unwrap(), "kept");
        assert_eq!(all.get("X").unwrap(), "exported");
        for name in [
            "LOCKGATE_TOKEN_FILE",
            "LOCKGATE_TOKEN",
            "LISTEN_PID",
            "NOTIFY_SOCKET",
            "LOCKGATE_KEY",
        ] {
            assert!(!all.contains_key(name), "{name}");
        }
    }

    #[test]
    fn whom_to_trust_is_told_where_nobody_says_otherwise() {
        const NAME: &str = "NODE_EXTRA_CA_CERTS";
        assert_eq!(composed(&[], &[])[NAME], "/ca.pem");
        assert_eq!(composed(&[(NAME, "/base")], &[])[NAME], "/base");
        assert_eq!(
            composed(&[(NAME, "/base")], &[(NAME, "/own")])[NAME],
            "/own"
        );
    }

    #[test]
    fn sockets_are_numbered_in_rounds() {
        let all = composed(&[], &[]);
        assert_eq!(all["LISTEN_FDS"], "2");
        assert_eq!(all["LISTEN_FDNAMES"], "app-8888:app-9000");
        assert_eq!(all["PORT"], "8888");
        let handed: serde_json::Value = serde_json::from_str(&all["LOCKGATE_SOCKETS"]).unwrap();
        assert_eq!(handed["sockets"][0]["fds"], serde_json::json!([3, 5]));
        assert_eq!(handed["sockets"][1]["fds"], serde_json::json!([4, 6]));
        assert_eq!(handed["sockets"][1]["held"], 41001);
        assert_eq!(handed["node_options"], serde_json::Value::Null);
        assert_eq!(
            (&handed["gate"], &handed["private"]),
            (&7.into(), &8.into())
        );
        assert_eq!(handed["strategy"], "auto");
        assert_eq!(handed["release"], "/releases/a");
    }

    #[test]
    fn the_preload_is_appended_and_settings_win() {
        let all = composed(
            &[("NODE_OPTIONS", "--a"), ("PORT", "1"), ("X", "base")],
            &[("X", "own"), ("PORT", "2"), ("LISTEN_FDS", "9")],
        );
        assert_eq!(all["NODE_OPTIONS"], "--a --require=\"/a b/preload.cjs\"");
        assert_eq!(all["X"], "own");
        assert_eq!(composed(&[("X", "base")], &[])["X"], "base");
        assert_eq!(all["Y"], "exported");
        assert_eq!(all["PORT"], "2");
        assert_eq!(all["LISTEN_FDS"], "2");
    }
}
