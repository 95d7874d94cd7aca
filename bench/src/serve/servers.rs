//! The three servers, each on a loopback port of its own.

use std::net::SocketAddr;
use std::path::Path;

use crate::Options;
use crate::error::BenchError;
use crate::nginx;
use crate::process::{Running, command, first_line, free_port};

/// A server that answers.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) addr: SocketAddr,
    _running: Running,
}

/// A server, or what is missing to start it.
type Started = Result<Result<Server, String>, BenchError>;

fn answering(name: &str, mut running: Running, addr: SocketAddr, path: &str) -> Started {
    running.answers(addr, path)?;
    Ok(Ok(Server {
        name: name.to_owned(),
        addr,
        _running: running,
    }))
}

/// `lockgate serve` with a home of its own.
pub(super) fn lockgate(options: &Options, folder: &Path, builds: &Path, path: &str) -> Started {
    let program = options.bin_dir.join("lockgate");
    if !program.is_file() {
        return Ok(Err(format!("`{}` is not built", program.display())));
    }
    let addr = free_port()?;
    let mut serve = command(program);
    serve
        .args(["serve", "--port", &addr.port().to_string()])
        .env("LOCKGATE_HOME", folder.join("home"))
        .env("LOCKGATE_BUILDS", builds)
        .env("XDG_RUNTIME_DIR", folder);
    let running = Running::start(&mut serve, &folder.join("lockgate.log"))?;
    answering("lockgate", running, addr, path)
}

/// nginx as it serves files best: sendfile, no access log.
pub(super) fn nginx(_: &Options, folder: &Path, builds: &Path, path: &str) -> Started {
    if !nginx::is_installed() {
        return Ok(Err("nginx is not installed".to_owned()));
    }
    let addr = free_port()?;
    let http = format!(
        "  sendfile on; tcp_nopush on; keepalive_requests 1000000;\n  \
         server {{ listen {addr}; root {root}; }}",
        root = builds.display(),
    );
    let running = nginx::start(&folder.join("nginx"), &http)?;
    answering("nginx", running, addr, path)
}

/// What the archive was served with before.
pub(super) fn python(_: &Options, folder: &Path, builds: &Path, path: &str) -> Started {
    if first_line("python3", "--version").is_none() {
        return Ok(Err("python3 is not installed".to_owned()));
    }
    let addr = free_port()?;
    let mut python = command("python3");
    python
        .args(["-m", "http.server", "--bind", "127.0.0.1", "--directory"])
        .arg(builds)
        .arg(addr.port().to_string());
    let running = Running::start(&mut python, &folder.join("python.log"))?;
    answering("python3 -m http.server", running, addr, path)
}
