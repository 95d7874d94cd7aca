//! The shell sequence that a deploy replaces: tar, python's server, and for one gateway
//! after the other fetch, TERM, a second's sleep, start.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::GATEWAYS;
use super::watch::until_all_answer;
use crate::application::Application;
use crate::clock::Stopwatch;
use crate::error::BenchError;
use crate::process::{Running, command, free_port, run, stop};

/// Three gateways as folders, and the server they fetch from.
#[derive(Debug)]
pub(super) struct Shell {
    application: Application,
    sequence: PathBuf,
    folder: PathBuf,
    gateways: Vec<SocketAddr>,
    server: SocketAddr,
    _python: Running,
}

impl Shell {
    /// Starts the server and deploys once.
    pub(super) fn start(
        application: &Application,
        sequence: &Path,
        folder: &Path,
    ) -> Result<Self, BenchError> {
        let folder = folder.join("shell");
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
            gateways: (0..GATEWAYS)
                .map(|_| free_port())
                .collect::<Result<_, _>>()?,
            folder,
            server,
            _python: python,
        };
        shell.deploy("1.0.1")?;
        Ok(shell)
    }

    /// Writes another build and runs the sequence.
    pub(super) fn deploy(&mut self, version: &str) -> Result<Duration, BenchError> {
        self.application.write_version(version)?;
        let clock = Stopwatch::start();
        let mut deploy = command("bash");
        deploy
            .arg(self.sequence.join("deploy.sh"))
            .arg(self.application.workspace())
            .arg(&self.folder)
            .arg(format!("http://{}", self.server))
            .args(self.gateways.iter().map(|addr| addr.port().to_string()));
        run(&mut deploy)?;
        until_all_answer(&self.gateways, version, clock)
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
