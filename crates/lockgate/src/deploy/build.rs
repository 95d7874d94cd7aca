//! Runs the workspace's build command; its output goes to stderr as it comes.

use std::os::fd::AsFd;
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::clock;
use super::events::Event;
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
    let output = std::io::stderr()
        .as_fd()
        .try_clone_to_owned()
        .map_or_else(|_| Stdio::null(), Stdio::from);
    let status = Command::new("sh")
        .args(["-c", command])
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(output)
        .kill_on_drop(true)
        .status()
        .await
        .map_err(|error| CommandError::failed(format!("cannot run `{command}`")).because(&error))?;
    if !status.success() {
        return Err(CommandError::failed(format!(
            "the build command `{command}` failed: {status}"
        ))
        .hint("its output is above; nothing was deployed"));
    }
    let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tell(Event::Built { took_ms });
    Ok(())
}
