//! Who trusts the authority: the stores of this machine that can be written, and what to do for
//! everything else.
//!
//! ```text
//! Store ── system   a folder of certificates and the command that gathers them   (curl, git, …)
//!       └─ nss      one database for Chromium, one for each profile of Firefox
//! advice            Node, Java, Python, Windows, macOS, containers: a line each
//! ```

mod advice;
mod nss;
mod system;

use std::path::{Path, PathBuf};

pub(crate) use self::advice::{Advice, advice};
use crate::certificates::Authority;

/// A place that certificates are trusted from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Store {
    /// The system's own.
    System(system::Family),
    /// A database of NSS, in this folder.
    Nss(PathBuf),
}

/// Whether a store trusts the authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trusted {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// That cannot be told: why, and what helps.
    Unknown(String),
}

/// What could not be done to a store.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustError {
    /// A program is missing.
    #[error("`{program}` is not installed")]
    Missing {
        /// The program.
        program: &'static str,
        /// What installs it.
        install: &'static str,
    },
    /// This user may not.
    #[error("`{path}` can be written by root alone")]
    NeedsRoot {
        /// The file.
        path: PathBuf,
        /// The commands that root would give.
        commands: Vec<String>,
    },
    /// A file could not be written or removed.
    #[error("`{path}` cannot be written")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A program did not do it.
    #[error("`{command}` failed: {said}")]
    Refused {
        /// The command.
        command: String,
        /// What it said.
        said: String,
    },
}

/// Where stores are looked for.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    /// The user's home.
    pub(crate) home: Option<PathBuf>,
    /// The folders of programs.
    pub(crate) path: Vec<PathBuf>,
    /// Whether root may be asked for: there is a terminal for a password.
    pub(crate) may_ask: bool,
}

impl Machine {
    /// Whether there is such a program.
    fn has(&self, program: &str) -> bool {
        self.path
            .iter()
            .any(|folder| folder.join(program).is_file())
    }
}

/// The stores of this machine.
pub(crate) fn stores(machine: &Machine) -> Vec<Store> {
    let system = system::Family::of(Path::new("/")).map(Store::System);
    let nss = nss::databases(machine).into_iter().map(Store::Nss);
    system.into_iter().chain(nss).collect()
}

impl Store {
    /// What it is called.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::System(_) => "system",
            Self::Nss(folder) => nss::whose(folder),
        }
    }

    /// Where it lies.
    pub(crate) fn place(&self) -> &Path {
        match self {
            Self::System(family) => family.bundle(),
            Self::Nss(folder) => folder,
        }
    }

    /// Whether it trusts the authority.
    pub(crate) async fn check(&self, machine: &Machine, authority: &Authority) -> Trusted {
        match self {
            Self::System(family) => family.check(authority),
            Self::Nss(folder) => nss::check(machine, folder, authority).await,
        }
    }

    /// Makes it trust the authority.
    pub(crate) async fn add(
        &self,
        machine: &Machine,
        authority: &Authority,
    ) -> Result<(), TrustError> {
        match self {
            Self::System(family) => family.add(machine, authority).await,
            Self::Nss(folder) => nss::add(machine, folder, authority).await,
        }
    }

    /// Makes it forget the authority.
    pub(crate) async fn remove(
        &self,
        machine: &Machine,
        authority: &Authority,
    ) -> Result<(), TrustError> {
        match self {
            Self::System(family) => family.remove(machine, authority).await,
            Self::Nss(folder) => nss::remove(machine, folder, authority).await,
        }
    }
}

/// The name that tells this authority from others in a store: the beginning of its fingerprint.
fn mark(authority: &Authority) -> String {
    let short: String = authority.seen.fingerprint.chars().take(12).collect();
    format!("lockgate-{short}")
}

/// Runs a command of these words to its end; its standard output, or what it said.
async fn run(words: &[&str]) -> Result<String, TrustError> {
    let command = words.join(" ");
    let (program, args) = words.split_first().unwrap_or((&"true", &[]));
    let output = tokio::process::Command::new(program)
        .args(args)
        .stdin(std::process::Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await;
    let refused = |said: String| TrustError::Refused {
        command: command.clone(),
        said,
    };
    let output = output.map_err(|error| refused(error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(refused(match said.trim() {
        "" => output.status.to_string(),
        said => said.to_owned(),
    }))
}
