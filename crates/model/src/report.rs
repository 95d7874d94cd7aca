//! What a gateway really runs, as its agent reports it.

use serde::{Deserialize, Serialize};

use crate::{BuildId, EnvName, GatewayName};

/// A gateway's own account of itself. Sent with `PUT /v1/gateways/{name}/status`
/// whenever it changes, and answered on the agent's control socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The environment.
    pub env: EnvName,
    /// The gateway.
    pub gateway: GatewayName,
    /// The agent's version.
    pub agent_version: String,
    /// The agent's own process number.
    pub agent_pid: u32,
    /// The number of the newest statement the agent accepted; 0 before the first.
    pub seq: u64,
    /// The number of the statement the agent is done with: it runs what it says, or
    /// has refused it. Equal to `seq` when there is nothing left to do.
    pub settled: u64,
    /// The build that the newest statement names.
    pub desired_build: Option<BuildId>,
    /// What is being done now.
    pub phase: Phase,
    /// The application, when there is a process.
    pub running: Option<Running>,
    /// Whether the running build is still on trial: a crash may yet refuse it.
    #[serde(default)]
    pub on_trial: bool,
    /// Starts after a crash, since the agent started.
    pub restarts: u64,
    /// The build the agent gave up on, if the newest statement names it.
    pub refused: Option<Refusal>,
    /// The last thing that went wrong and is being tried again: a failed fetch, a crash.
    pub problem: Option<String>,
    /// The build server that answered last, as in `http://172.17.0.1:8090`.
    #[serde(default)]
    pub server: Option<String>,
    /// How long the steps of the newest change took.
    pub timings: Timings,
    /// How the newest change was made; `None` before the first.
    #[serde(default)]
    pub change: Option<Change>,
}

impl Report {
    /// What an agent says that has just started and knows nothing yet.
    pub fn of_new_agent(gateway: GatewayName, agent_version: &str, agent_pid: u32) -> Self {
        Self {
            env: gateway.env(),
            gateway,
            agent_version: agent_version.to_owned(),
            agent_pid,
            seq: 0,
            settled: 0,
            desired_build: None,
            phase: Phase::Waiting,
            running: None,
            on_trial: false,
            restarts: 0,
            refused: None,
            problem: None,
            server: None,
            timings: Timings::default(),
            change: None,
        }
    }
}

/// What the agent is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// No statement yet, or none that could be fetched.
    Waiting,
    /// Fetching a build.
    Fetching,
    /// Checking a fetched build against its manifest.
    Verifying,
    /// The new process boots beside the old one, which serves.
    Booting,
    /// The old process finishes what it serves.
    Draining,
    /// Ending the old process.
    Stopping,
    /// The new process boots.
    Starting,
    /// The application answers.
    Ready,
    /// Waiting before the next start after a crash.
    Backoff,
    /// The application is not wanted.
    Stopped,
}

impl Phase {
    /// The phase as it is shown and serialised.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Fetching => "fetching",
            Self::Verifying => "verifying",
            Self::Booting => "booting",
            Self::Draining => "draining",
            Self::Stopping => "stopping",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Backoff => "backoff",
            Self::Stopped => "stopped",
        }
    }
}

/// The application's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Running {
    /// The build it was started from.
    pub build: BuildId,
    /// Its process number.
    pub pid: u32,
    /// When it was started, UNIX milliseconds.
    pub since: u64,
}

/// A build the agent gave up on. It is not tried again until a higher number comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Refusal {
    /// The build.
    pub build: BuildId,
    /// The number of the statement that named it.
    pub seq: u64,
    /// Why, in one sentence: `exited with code 1 before it was ready, 3 times`.
    pub reason: String,
    /// The last lines the build wrote, at most 50.
    pub log: Vec<String>,
    /// How long nothing answered, in milliseconds, until the build before answered
    /// again: 0 where that never stopped serving, `None` as long as nothing answers.
    #[serde(default)]
    pub unavailable_ms: Option<u64>,
}

/// How a process was replaced by the next one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Change {
    /// Whether the new process booted beside the old one.
    pub gated: bool,
    /// Why not, where it could have been: `it read /data/counter before listen`.
    pub why_cold: Option<String>,
    /// Requests in flight that were cut when the drain was over.
    pub cut: u64,
    /// Why nobody can say how many were cut: `the old process did not hear that it was
    /// to drain; what it was answering may be cut`.
    pub uncounted: Option<String>,
    /// WebSockets that were closed.
    pub websockets: u64,
    /// Processes that had to be killed because they did not end with the old one, or
    /// with a new one that was given up on: `sleep (712)`.
    pub left_behind: Vec<String>,
}

/// How long the steps of the newest change took, in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Timings {
    /// Manifest and archive, from the request to the last byte.
    pub fetch_ms: Option<u64>,
    /// Digests checked and everything on disk.
    pub verify_ms: Option<u64>,
    /// From the start of the new process to its first `listen`, beside the old one.
    pub boot_ms: Option<u64>,
    /// From the request to drain to the last answer of the old process.
    pub drain_ms: Option<u64>,
    /// From TERM to the old process's end.
    pub stop_ms: Option<u64>,
    /// From the start of the new process to ready.
    pub start_ms: Option<u64>,
    /// From the old process's last answer it could give to the new one's first.
    pub unavailable_ms: Option<u64>,
}
