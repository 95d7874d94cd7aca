//! nginx in a folder of its own, as a child: nothing of the host's is read or written.

use std::net::SocketAddr;
use std::path::Path;

use crate::error::BenchError;
use crate::process::{Running, command, first_line};

/// Whether it is installed.
pub(crate) fn is_installed() -> bool {
    first_line("nginx", "-v").is_some()
}

/// Connections of a worker. While an application starts again, each request that waits
/// holds two of them; with the default of 512 or 768 a pause of a few seconds would use
/// them up, and nginx would reset what comes then.
const CONNECTIONS: u32 = 8192;

/// Starts it with these lines in its `http` block.
pub(crate) fn start(folder: &Path, http: &str) -> Result<Running, BenchError> {
    std::fs::create_dir_all(folder).map_err(BenchError::io("make", folder))?;
    let config = folder.join("nginx.conf");
    let user = if nix::unistd::geteuid().is_root() {
        "user root;"
    } else {
        ""
    };
    let text = format!(
        "{user} daemon off; worker_processes auto; pid {own}/pid; error_log {own}/error.log;\n\
         worker_rlimit_nofile {files};\n\
         events {{ worker_connections {CONNECTIONS}; }}\n\
         http {{\n  access_log off; client_body_temp_path {own}/body; proxy_temp_path {own}/proxy;\n  \
         fastcgi_temp_path {own}/fastcgi; uwsgi_temp_path {own}/uwsgi; scgi_temp_path {own}/scgi;\n\
         {http}\n}}\n",
        own = folder.display(),
        files = 2 * CONNECTIONS,
    );
    std::fs::write(&config, text).map_err(BenchError::io("write", &config))?;
    let mut nginx = command("nginx");
    nginx.arg("-p").arg(folder).arg("-c").arg(&config);
    Running::start(&mut nginx, &folder.join("nginx.log"))
}

/// A gateway's own door as the shell system configures it: all to the application, on a
/// connection of its own for each request.
pub(crate) fn door(door: SocketAddr, application: SocketAddr) -> String {
    format!(
        "  map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}\n  \
         server {{\n    listen {door} default_server;\n    client_max_body_size 0;\n    \
         location / {{\n      proxy_pass http://{application};\n      proxy_http_version 1.1;\n      \
         proxy_buffering off;\n      proxy_request_buffering off;\n      proxy_read_timeout 1h;\n      \
         proxy_set_header Host $host;\n      \
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n      \
         proxy_set_header Upgrade $http_upgrade;\n      \
         proxy_set_header Connection $connection_upgrade;\n    }}\n  }}"
    )
}
