//! What a deploy says while it runs, one JSON line each under `--format json`.

use std::fmt;
use std::path::PathBuf;

use lockgate_builds::pack::LeftOut;
use lockgate_builds::secrets::SecretHit;
use lockgate_builds::validate::BundleReport;
use lockgate_model::{BuildId, Change, EnvName, GatewayName, Phase, ServiceName, Timings};
use schemars::JsonSchema;
use serde::Serialize;

use super::strategy::DeployStrategy;
use crate::server::control::GatewaysView;

/// Something happened.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Event {
    /// The build command starts.
    Building {
        /// The command.
        command: String,
    },
    /// The build command is done.
    Built {
        /// Milliseconds.
        took_ms: u64,
    },
    /// It goes on, but look.
    Warning {
        /// What about.
        message: String,
    },
    /// Bundles were validated; `clean` or not.
    Validated {
        /// Whether nothing was found.
        clean: bool,
        /// What was found in each.
        bundles: Vec<BundleReport>,
        /// Milliseconds.
        took_ms: u64,
    },
    /// Secrets were found in what is packed. The build is refused for those that say so.
    Secrets {
        /// All that are not allowed.
        found: Vec<SecretHit>,
        /// How many are allowed in lockgate.toml.
        allowed: usize,
    },
    /// The build is in the store.
    Packed {
        /// Its name.
        build: BuildId,
        /// False when the store already held it.
        new: bool,
        /// How many files.
        files: usize,
        /// Their size.
        size_bytes: u64,
        /// What was not packed.
        left_out: Vec<LeftOutFile>,
        /// Milliseconds.
        took_ms: u64,
    },
    /// A gateway is left as it is, whatever is published.
    Pinned(LeftPinned),
    /// Statements are published.
    Published {
        /// The build they name.
        build: BuildId,
        /// Their number.
        seq: u64,
        /// How many gateways.
        gateways: usize,
        /// Their names.
        names: Vec<GatewayName>,
        /// Which stage of the strategy this is, from 1.
        stage: usize,
        /// How many stages there are.
        stages: usize,
        /// How long a new build has to stay ready before it is good.
        trial_ms: u64,
    },
    /// The `GATEWAY_TOKEN` of gateways was made anew; it is part of what was published.
    Renewed {
        /// The gateways.
        gateways: Vec<GatewayName>,
    },
    /// Gateways came or went.
    Scaled(Scaled),
    /// A service of the host was brought up to date.
    Service(ServiceChanged),
    /// A gateway went on.
    Gateway(GatewayProgress),
    /// All gateways that were told are ready; the trial is waited for.
    Trial {
        /// Those that are on trial.
        gateways: Vec<GatewayName>,
        /// How many are ready.
        ready: usize,
        /// How long the slowest took, from its publication.
        ready_ms: u64,
        /// How long a trial takes.
        trial_ms: u64,
        /// How many gateways get the build once the trial is passed.
        then: usize,
    },
    /// Something became of a gateway that no deploy was about: a crash, a build refused later.
    News(News),
    /// The same of a service.
    ServiceNews(ServiceNews),
    /// The current archive is made.
    Archive {
        /// Where.
        path: PathBuf,
        /// Its size.
        size_bytes: u64,
    },
    /// The last line.
    Result(Outcome),
}

impl Event {
    /// It goes on, but look.
    pub(crate) fn warning(message: impl Into<String>) -> Self {
        Self::Warning {
            message: message.into(),
        }
    }
}

/// A service that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct ServiceChanged {
    /// The service.
    pub(crate) service: ServiceName,
    /// What became of it.
    pub(crate) change: ServiceChange,
}

/// What became of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ServiceChange {
    /// It is new.
    Started,
    /// It was described otherwise, or waited after a crash.
    Restarted,
    /// It is gone from lockgate.toml.
    Ended,
}

impl fmt::Display for ServiceChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Started => "started service",
            Self::Restarted => "restarted service",
            Self::Ended => "ended service",
        })
    }
}

/// A file that was not packed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct LeftOutFile {
    path: PathBuf,
    why: &'static str,
}

impl From<&LeftOut> for LeftOutFile {
    fn from(left_out: &LeftOut) -> Self {
        Self {
            path: left_out.path.clone(),
            why: left_out.why,
        }
    }
}

/// A gateway that stays at its own build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct LeftPinned {
    /// The gateway.
    pub(crate) gateway: GatewayName,
    /// The build it is pinned to.
    pub(crate) build: BuildId,
    /// Since when, UNIX milliseconds.
    pub(crate) since: u64,
}

/// Gateways that came or went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Scaled {
    /// The environment.
    pub(crate) env: EnvName,
    /// How many gateways it has now.
    pub(crate) gateways: usize,
    /// Those that are new.
    pub(crate) added: Vec<GatewayName>,
    /// Those that are gone.
    pub(crate) removed: Vec<GatewayName>,
    /// What could not be removed, a sentence each.
    pub(crate) left_behind: Vec<String>,
}

/// Where a gateway is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct GatewayProgress {
    /// The gateway.
    pub(crate) gateway: GatewayName,
    /// What it does, when it has said so.
    pub(crate) phase: Option<Phase>,
    /// What hinders it and is being tried again.
    pub(crate) problem: Option<String>,
    /// Milliseconds from the publication until the build answered first, once it did.
    pub(crate) ready_ms: Option<u64>,
    /// Whether the build was ready and may yet be refused.
    pub(crate) on_trial: bool,
    /// What became of it, once it is done. The last one counts.
    pub(crate) verdict: Option<Verdict>,
}

/// What became of a gateway meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct News {
    /// The gateway.
    pub(crate) gateway: GatewayName,
    /// Whether that is good.
    pub(crate) good: bool,
    /// What, as in `exited with code 1; it is started again`.
    pub(crate) message: String,
    /// The last lines a refused build wrote.
    pub(crate) log: Vec<String>,
}

/// What became of a service, whoever did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct ServiceNews {
    /// The service.
    pub(crate) service: ServiceName,
    /// Whether that is good.
    pub(crate) good: bool,
    /// What, as in `exited with code 1; it is started again`.
    pub(crate) message: String,
}

/// What became of the deploy in one gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// It runs the build, started for this.
    Runs,
    /// It ran the build before and was left alone.
    AlreadyRan,
    /// It is stopped and will run the build when it is started.
    Stopped,
    /// It gave up on the build.
    Kept {
        /// The build it runs instead, if any.
        runs: Option<BuildId>,
        /// Whether that is the same build, and only its new settings were given up.
        settings_only: bool,
        /// Why.
        reason: String,
        /// How long nothing answered meanwhile, in milliseconds, when that is known.
        unavailable_ms: Option<u64>,
        /// The last lines the build wrote.
        log: Vec<String>,
    },
    /// It runs the build; time was up before that had passed its trial.
    OnTrial,
    /// Time was up, or nothing comes of it by itself.
    NotDone {
        /// What it was doing.
        phase: Option<Phase>,
        /// What hindered it.
        problem: Option<String>,
        /// Whether its agent cannot start until somebody does something about it.
        stuck: bool,
    },
    /// It was told nothing, since the deploy ended before its turn.
    Untouched,
}

impl Verdict {
    /// Whether that is what was wanted.
    pub(crate) fn is_good(&self) -> bool {
        matches!(self, Self::Runs | Self::AlreadyRan | Self::Stopped)
    }

    /// Whether the old process had to go for a build that was refused then: something
    /// answered no more.
    pub(crate) fn took_over(&self) -> bool {
        match self {
            Self::Kept { unavailable_ms, .. } => *unavailable_ms != Some(0),
            Self::Runs
            | Self::AlreadyRan
            | Self::Stopped
            | Self::OnTrial
            | Self::NotDone { .. }
            | Self::Untouched => false,
        }
    }
}

/// What became of the whole deploy.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Outcome {
    /// Whether every gateway did what was wanted.
    pub(crate) ok: bool,
    /// Whether somebody ended the command before it was done.
    pub(crate) interrupted: bool,
    /// The environment.
    pub(crate) env: EnvName,
    /// The build.
    pub(crate) build: BuildId,
    /// The statements' number.
    pub(crate) seq: u64,
    /// In which order gateways got it.
    pub(crate) strategy: DeployStrategy,
    /// From the command's start.
    pub(crate) took_ms: u64,
    /// Each gateway that it was about.
    pub(crate) gateways: Vec<GatewayOutcome>,
    /// Gateways that have a build of their own.
    pub(crate) pinned: Vec<LeftPinned>,
    /// How things stood when this was made.
    #[serde(skip)]
    pub(crate) seen: Option<GatewaysView>,
}

/// What became of one gateway.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct GatewayOutcome {
    /// The gateway.
    pub(crate) gateway: GatewayName,
    /// Its HTTP port on the host.
    pub(crate) http_port: u16,
    /// The build it runs.
    pub(crate) running_build: Option<BuildId>,
    /// What became of it.
    #[serde(flatten)]
    pub(crate) verdict: Verdict,
    /// Milliseconds from its publication until the build answered first, if it did.
    pub(crate) ready_ms: Option<u64>,
    /// Whether the build it runs has passed its trial.
    pub(crate) good: bool,
    /// Milliseconds from its publication until it was done.
    pub(crate) took_ms: u64,
    /// How the new process took over, where one did.
    pub(crate) change: Option<Change>,
    /// How long its steps took.
    pub(crate) timings: Timings,
}
