//! Looks at everything, groups side by side. Whatever does not answer in its time is a finding.

mod engine;
mod environment;
mod home;
mod machine;
mod names;
mod server;
mod workspace;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use lockgate_model::EnvName;
use tokio::process::Command;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::check::{Check, Finding, Group};
use crate::context::Context;
use crate::environment::{Environment, EnvironmentError, RuntimeKind};
use crate::error::CommandError;
use crate::runtime::docker::check::{CheckError, connect};
use crate::runtime::docker::engine::Engine;
use crate::server::ServerDescription;
use crate::server::control::{ControlClient, ControlError};

/// How long one group may take: its questions are asked side by side, and each has an end of its own.
const GROUP: Duration = Duration::from_secs(20);
/// How long files may take: a folder of a network may hang for ever.
const FILES: Duration = Duration::from_secs(5);
/// How long a program may take to say its version.
const VERSION: Duration = Duration::from_secs(5);

/// What several groups start from.
struct Facts<'a> {
    ctx: &'a Context,
    /// The environment that is meant; all where there is none.
    named: Option<&'a EnvName>,
    /// Those whose files can be read.
    environments: Vec<Environment>,
    /// The others.
    broken: Vec<(EnvName, EnvironmentError)>,
    /// Why there are none of either.
    unreadable: Option<EnvironmentError>,
    server: Result<ServerDescription, ControlError>,
    engine: Result<Engine, CheckError>,
}

impl Facts<'_> {
    /// The environments that are looked at, without those that are on their way out.
    fn meant(&self) -> impl Iterator<Item = &Environment> {
        let all = self.environments.iter();
        all.filter(|it| !it.deleting && self.named.is_none_or(|named| *named == it.name))
    }

    /// Those with gateways in containers.
    fn in_containers(&self) -> impl Iterator<Item = &Environment> {
        let all = self.environments.iter();
        all.filter(|it| !it.deleting && it.runtime == RuntimeKind::Docker)
    }

    /// A server that runs, and who asks it.
    fn control(&self) -> Option<ControlClient> {
        let runs = self.server.is_ok();
        runs.then(|| ControlClient::new(&self.ctx.config.home))
    }
}

/// Everything, in the order of groups.
pub(super) async fn examine(
    ctx: &Context,
    named: Option<&EnvName>,
) -> Result<Vec<Check>, CommandError> {
    let control = ControlClient::new(&ctx.config.home);
    let (known, server, engine) = tokio::join!(
        home::environments(&ctx.config.home),
        control.server(),
        connect(&ctx.config.engine)
    );
    // One that is broken is a finding, one that is not there a mistake of who asks.
    if let Some(error) = named.and_then(|env| known.unknown(env)) {
        return Err(error.into());
    }
    let facts = Facts {
        ctx,
        named,
        environments: known.read,
        broken: known.broken,
        unreadable: known.unreadable,
        server,
        engine,
    };
    let facts = &facts;
    let (machine, engine, home, server, names, environments, workspace) = tokio::join!(
        within(Group::Machine, machine::look(facts)),
        within(Group::Engine, engine::look(facts)),
        within(Group::Home, home::look(facts)),
        within(Group::Server, server::look(facts)),
        within(Group::Names, names::look(facts)),
        within(Group::Environment, environment::look(facts)),
        within(Group::Workspace, workspace::look(facts)),
    );
    let all = [
        machine,
        engine,
        home,
        server,
        names,
        environments,
        workspace,
    ];
    Ok(all.concat())
}

/// A group, or that it took too long.
async fn within(group: Group, look: impl Future<Output = Vec<Check>>) -> Vec<Check> {
    let late = |_| {
        vec![Check::new(
            group,
            group.heading().to_lowercase(),
            late(GROUP),
        )]
    };
    timeout(GROUP, look).await.unwrap_or_else(late)
}

/// What is said of something that hangs.
fn late(within: Duration) -> Finding {
    let within = humantime::format_duration(within);
    Finding::error(format!("no answer within {within}"))
        .because("something that was looked at hangs: a disk, a network folder, a program")
        .mended_by("mount anew or end what hangs")
}

/// Does work with files on a thread of its own, which nobody waits for where it hangs: a runtime
/// would, at the end of the program.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (tell, told) = oneshot::channel();
    let started = thread::Builder::new().spawn(move || {
        // Who asked may have stopped waiting.
        let _ = tell.send(work());
    });
    started.ok()?;
    timeout(FILES, told).await.ok()?.ok()
}

/// Checks that take files alone.
async fn of_files(
    group: Group,
    name: &str,
    work: impl FnOnce() -> Vec<Check> + Send + 'static,
) -> Vec<Check> {
    let checks = apart(work).await;
    checks.unwrap_or_else(|| vec![Check::new(group, name, late(FILES))])
}

/// The lines that `PROGRAM --version` writes, or why there are none.
async fn version_of(program: &Path) -> Result<Vec<String>, String> {
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let within = || format!("no answer within {}", humantime::format_duration(VERSION));
    let output = timeout(VERSION, output).await.map_err(|_| within())?;
    let output = output.map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("it ended with {}", output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().map(|line| line.trim().to_owned()).collect())
}

/// A program along a `PATH`.
fn find(path: Option<&OsStr>, program: &str) -> Option<PathBuf> {
    let mut folders = path.into_iter().flat_map(std::env::split_paths);
    folders.find_map(|folder| {
        let found = folder.join(program);
        found.is_file().then_some(found)
    })
}
