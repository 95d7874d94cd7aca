//! A home of its own with a server that runs: where environments are made.

use std::fs::DirBuilder;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Options;
use crate::error::BenchError;
use crate::process::{Running, command, free_port};

/// A `LOCKGATE_HOME` and its server.
#[derive(Debug)]
pub(crate) struct Home {
    /// The folder of the programs.
    programs: PathBuf,
    folder: PathBuf,
    server: Running,
}

impl Home {
    /// Serves on loopback; or says what is missing.
    pub(crate) fn start(
        options: &Options,
        folder: &Path,
    ) -> Result<Result<Self, String>, BenchError> {
        Self::start_on(options, folder, &[])
    }

    /// Serves on loopback and on more addresses; or says what is missing.
    pub(crate) fn start_on(
        options: &Options,
        folder: &Path,
        more: &[SocketAddr],
    ) -> Result<Result<Self, String>, BenchError> {
        for name in ["lockgate", "lockgate-agent"] {
            let program = options.bin_dir.join(name);
            if !program.is_file() {
                return Ok(Err(format!("`{}` is not built", program.display())));
            }
        }
        let programs = options
            .bin_dir
            .canonicalize()
            .map_err(BenchError::io("find", &options.bin_dir))?;
        let home = folder.join("home");
        for own in [&home, &home.with_extension("run")] {
            DirBuilder::new()
                .mode(0o700)
                .create(own)
                .map_err(BenchError::io("make", own))?;
        }
        let addr = free_port()?;
        let mut serve = program(&programs, "lockgate", &home);
        serve.args(["serve", "--port", &addr.port().to_string()]);
        for addr in more {
            serve.args(["--listen", &addr.to_string()]);
        }
        let mut server = Running::start(&mut serve, &folder.join("serve.log"))?;
        server.answers(addr, "/healthz")?;
        Ok(Ok(Self {
            programs,
            folder: home,
            server,
        }))
    }

    /// One of the two programs, in this home.
    pub(crate) fn program(&self, name: &str) -> Command {
        program(&self.programs, name, &self.folder)
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The end of what its server wrote.
    pub(crate) fn log_end(&self) -> String {
        self.server.log_end()
    }
}

fn program(programs: &Path, name: &str, home: &Path) -> Command {
    let mut command = command(programs.join(name));
    command
        .env("LOCKGATE_HOME", home)
        .env("XDG_RUNTIME_DIR", home.with_extension("run"));
    command
}
