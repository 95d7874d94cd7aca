//! What else starts and keeps a process, with the same application below it.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::application::Application;
use crate::error::BenchError;
use crate::process::{Running, command, first_line, free_port};

/// The other supervisors.
#[derive(Debug)]
pub(super) struct Others<'a> {
    application: &'a Application,
    scripts: &'a Path,
    folder: &'a Path,
}

impl<'a> Others<'a> {
    /// Their logs and folders go below `folder`.
    pub(super) fn new(application: &'a Application, scripts: &'a Path, folder: &'a Path) -> Self {
        Self {
            application,
            scripts,
            folder,
        }
    }

    /// Starts each by its name; `None` where it is not installed.
    pub(super) fn start(&self) -> Result<[(&'static str, Option<Running>); 3], BenchError> {
        Ok([
            ("tini", self.tini()?),
            ("s6-supervise", self.s6_supervise()?),
            ("node with nobody above it", Some(self.alone()?)),
        ])
    }

    fn alone(&self) -> Result<Running, BenchError> {
        let addr = free_port()?;
        self.answering(&mut self.node(addr), "node", addr)
    }

    fn tini(&self) -> Result<Option<Running>, BenchError> {
        if first_line("tini", "--version").is_none() {
            return Ok(None);
        }
        let addr = free_port()?;
        let node = self.node(addr);
        let mut tini = command("tini");
        // It reaps orphans as process 1 does, or as a subreaper.
        tini.args(["-s", "--"])
            .arg(node.get_program())
            .args(node.get_args());
        self.answering(&mut tini, "tini", addr).map(Some)
    }

    fn s6_supervise(&self) -> Result<Option<Running>, BenchError> {
        // It knows no such option, and says how it is used.
        if first_line("s6-supervise", "--help").is_none() {
            return Ok(None);
        }
        let addr = free_port()?;
        let node = self.node(addr);
        let words = std::iter::once(node.get_program()).chain(node.get_args());
        let words: Vec<_> = words
            .map(|word| format!("'{}'", word.to_string_lossy()))
            .collect();
        let service = self.folder.join("service");
        std::fs::create_dir_all(&service).map_err(BenchError::io("make", &service))?;
        let run = service.join("run");
        std::fs::write(&run, format!("#!/bin/sh\nexec {}\n", words.join(" ")))
            .map_err(BenchError::io("write", &run))?;
        std::fs::set_permissions(&run, std::fs::Permissions::from_mode(0o755))
            .map_err(BenchError::io("make executable", &run))?;
        let mut s6 = command("s6-supervise");
        s6.arg(&service);
        self.answering(&mut s6, "s6", addr).map(Some)
    }

    fn node(&self, addr: SocketAddr) -> Command {
        let node = Path::new("node");
        self.application.node(node, self.scripts, addr.port())
    }

    /// Starts a program that starts the application, and waits for its first answer.
    fn answering(
        &self,
        command: &mut Command,
        name: &str,
        addr: SocketAddr,
    ) -> Result<Running, BenchError> {
        command.env("BENCH_PORT", addr.port().to_string());
        let log = self.folder.join(format!("{name}.log"));
        let mut running = Running::start(command, &log)?;
        running.answers(addr, "/")?;
        Ok(running)
    }
}
