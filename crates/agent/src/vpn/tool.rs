//! Runs a program to its end and gives what it wrote.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::time::timeout;

use crate::process::{self, Launch, Mark, Spawner};

/// How long it may take; `nft` takes about 10 ms.
const WITHIN: Duration = Duration::from_secs(10);

/// Its standard output, or in words what it wrote on its standard error.
pub(super) async fn run(
    spawner: &Spawner,
    program: &Path,
    arguments: &[impl AsRef<str>],
    mark: &Mark,
) -> Result<String, String> {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let arguments = arguments.iter().map(|word| word.as_ref().to_owned());
    let launch = Launch {
        command: std::iter::once(program.display().to_string())
            .chain(arguments)
            .collect(),
        cwd: "/".into(),
        environment: vec![mark.variable()],
        descriptors: Vec::new(),
        oom_score_adj: 0,
    };
    let started = spawner.spawn_awaited(launch).await;
    let (process, end) = started.map_err(|error| error.to_string())?;
    let running = async {
        let (out, err) = tokio::join!(all_of(process.stdout), all_of(process.stderr));
        (out, err, end.await)
    };
    let Ok((out, err, ended)) = timeout(WITHIN, running).await else {
        process::signal(process.pid, Signal::SIGKILL);
        return Err(format!("`{name}` did not end within {WITHIN:?}"));
    };
    match ended {
        Ok(how) if how == "exited with code 0" => Ok(out),
        Ok(how) if err.trim().is_empty() => Err(format!("`{name}` {how}")),
        Ok(_) => Err(format!("`{name}`: {}", in_a_line(&err))),
        Err(_) => Err(format!("`{name}` ended unseen")),
    }
}

async fn all_of(pipe: OwnedFd) -> String {
    let mut said = Vec::new();
    if let Ok(mut pipe) = pipe::Receiver::from_owned_fd(pipe) {
        // What cannot be read was not said.
        let _ = pipe.read_to_end(&mut said).await;
    }
    String::from_utf8_lossy(&said).into_owned()
}

fn in_a_line(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).collect();
    lines.join("; ")
}
