//! The shell sequence that a deploy replaces: tar, python's server, and for one gateway
//! after the other fetch, TERM, a second's sleep, start.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::application::Application;
use crate::clock::Stopwatch;
use crate::error::BenchError;
use crate::process::{Running, command, first_line, free_port, run, stop};
use crate::watch::until_all_answer;

/// Gateways as folders, and the server they fetch from.
#[derive(Debug)]
pub(crate) struct Shell {
    application: Application,
    sequence: PathBuf,
    folder: PathBuf,
    gateways: Vec<SocketAddr>,
    server: SocketAddr,
    _python: Running,
}

impl Shell {
    /// What is missing to run it.
    pub(crate) fn missing() -> Option<&'static str> {
        ["python3", "curl", "bash"]
            .into_iter()
            .find(|program| first_line(program, "--version").is_none())
    }

    /// Starts the server and deploys once, in a folder of that name.
    pub(crate) fn start(
        application: &Application,
        sequence: &Path,
        folder: &Path,
        gateways: usize,
    ) -> Result<Self, BenchError> {
        let builds = folder.join("builds");
        std::fs::create_dir_all(&builds).map_err(BenchError::io("make", &builds))?;
        let server = free_port()?;
        let mut python = command("python3");
        python
            .args(["-m", "http.server", "--bind", "127.0.0.1", "--directory"])
            .arg(&builds)
            .arg(server.port().to_string());
        let mut python = Running::start(&mut python, &folder.join("python.log"))?;
        python.answers(server, "/")?;
        let mut shell = Self {
            application: application.copy_to(&folder.join("workspace"))?,
            sequence: sequence.to_owned(),
            gateways: (0..gateways)
                .map(|_| free_port())
                .collect::<Result<_, _>>()?,
            folder: folder.to_owned(),
            server,
            _python: python,
        };
        shell.deploy("1.0.1")?;
        Ok(shell)
    }

    /// Its gateways.
    pub(crate) fn gateways(&self) -> &[SocketAddr] {
        &self.gateways
    }

    /// Writes another build and runs the sequence, until all answer with it.
    pub(crate) fn deploy(&mut self, version: &str) -> Result<Duration, BenchError> {
        self.write_version(version)?;
        let clock = Stopwatch::start();
        run(&mut self.command())?;
        until_all_answer(&self.gateways, version, clock)
    }

    /// Writes another build into its workspace.
    pub(crate) fn write_version(&self, version: &str) -> Result<(), BenchError> {
        self.application.write_version(version)
    }

    /// The sequence, from packing to the start of the last gateway.
    pub(crate) fn command(&self) -> Command {
        let mut deploy = command("bash");
        deploy
            .arg(self.sequence.join("deploy.sh"))
            .arg(self.application.workspace())
            .arg(&self.folder)
            .arg(format!("http://{}", self.server))
            .args(self.gateways.iter().map(|addr| addr.port().to_string()));
        deploy
    }

    /// The process of a gateway, as its pid file names it.
    fn pid(&self, gateway: SocketAddr) -> Option<u32> {
        let file = self.folder.join(gateway.port().to_string()).join("pid");
        std::fs::read_to_string(file).ok()?.trim().parse().ok()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        for gateway in &self.gateways {
            let Some(pid) = self.pid(*gateway) else {
                continue;
            };
            // Whether it is still the process that the sequence started says its command line.
            let ours = || {
                std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
                    .is_ok_and(|line| line.contains(&*self.folder.to_string_lossy()))
            };
            if ours() {
                stop(pid, || !ours());
            }
        }
    }
}
