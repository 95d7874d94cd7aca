//! Runs the workspace's build command; its output goes to stderr as it comes.

use std::os::fd::AsFd;
use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::Command;

use super::events::Event;
use super::{clock, millis};
use crate::error::CommandError;
use crate::workspace::Resolved;

/// Runs the command in the workspace. Without one that is an error.
pub(crate) async fn run(
    root: &Path,
    resolved: &Resolved,
    tell: &mut dyn FnMut(Event),
) -> Result<(), CommandError> {
    let Some(command) = &resolved.build_command else {
        return Err(CommandError::configuration(format!(
            "`{}` has no build command",
            root.display()
        ))
        .hint("set `[build] command` in lockgate.toml, or leave `--build` away"));
    };
    tell(Event::Building {
        command: command.clone(),
    });
    let started = clock();
    let cannot_run = |error: std::io::Error| {
        CommandError::failed(format!("cannot run `{command}`")).because(&error)
    };
    let output = std::io::stderr()
        .as_fd()
        .try_clone_to_owned()
        .map_or_else(|_| Stdio::null(), Stdio::from);
    let mut build = Command::new("sh")
        .args(["-c", command])
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(output)
        // Of its own, so that all of it can be ended.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(cannot_run)?;
    let group = Group(build.id());
    let status = build.wait().await.map_err(cannot_run)?;
    group.ended();
    if !status.success() {
        return Err(CommandError::failed(format!(
            "the build command `{command}` failed: {status}"
        ))
        .hint("its output is above; nothing was deployed"));
    }
    let took_ms = millis(started.elapsed());
    tell(Event::Built { took_ms });
    Ok(())
}

/// The processes of a build. Who stops waiting for them (Ctrl-C) ends them: a build tool that
/// goes on would write a bundle that nobody awaits any more.
struct Group(Option<u32>);

impl Group {
    /// The build is done; what it left running on purpose may go on.
    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0.and_then(|pid| i32::try_from(pid).ok()) {
            // All of them may have ended by themselves.
            let _ = killpg(Pid::from_raw(leader), Signal::SIGTERM);
        }
    }
}
