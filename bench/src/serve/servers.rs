//! The three servers, each on a loopback port of its own.

use std::net::SocketAddr;
use std::path::Path;

use crate::Options;
use crate::error::BenchError;
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
    if first_line("nginx", "-v").is_none() {
        return Ok(Err("nginx is not installed".to_owned()));
    }
    let addr = free_port()?;
    let own = folder.join("nginx");
    std::fs::create_dir_all(&own).map_err(BenchError::io("make", &own))?;
    let config = own.join("nginx.conf");
    let user = if nix::unistd::geteuid().is_root() {
        "user root;"
    } else {
        ""
    };
    let text = format!(
        "{user} daemon off; worker_processes auto; pid {own}/pid; error_log {own}/error.log;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;\n  \
         client_body_temp_path {own}/body; proxy_temp_path {own}/proxy; fastcgi_temp_path {own}/fastcgi;\n  \
         uwsgi_temp_path {own}/uwsgi; scgi_temp_path {own}/scgi;\n  \
         server {{ listen {addr}; root {root}; }}\n}}\n",
        own = own.display(),
        root = builds.display(),
    );
    std::fs::write(&config, text).map_err(BenchError::io("write", &config))?;
    let mut nginx = command("nginx");
    nginx.arg("-p").arg(&own).arg("-c").arg(&config);
    let running = Running::start(&mut nginx, &folder.join("nginx.log"))?;
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
