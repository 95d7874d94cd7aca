//! The preload under a real Node: every form of `listen` takes the handed-over
//! socket, and nothing else changes.
//!
//! Each script in `tests/preload/` runs with sockets for port 8888 and prints what
//! is expected of it; `tests/preload/lib.cjs` holds what they share.

#![expect(
    clippy::unwrap_used,
    reason = "what fails here fails the test; clippy knows only functions marked as tests"
)]

use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use command_fds::{CommandFdExt as _, FdMapping};

/// The number of duplicates that the agent hands over.
const DUPLICATES: i32 = 4;

/// Above what is open in the test itself, and low enough for Node, which keeps its
/// first 16 descriptors to itself.
const FIRST: i32 = 10;

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Runs a script with a held socket and says what it printed.
#[expect(clippy::disallowed_methods, reason = "the test plays the supervisor")]
fn run(script: &str, node_options: Option<&str>) -> Output {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    let fds: Vec<i32> = (FIRST..FIRST + DUPLICATES).collect();
    let mappings = fds
        .iter()
        .map(|child_fd| FdMapping {
            parent_fd: OwnedFd::from(held.try_clone().unwrap()),
            child_fd: *child_fd,
        })
        .collect();
    let sockets = serde_json::json!({
        "sockets": [{ "port": 8888, "held": port, "address": "127.0.0.1", "fds": fds }],
        "node_options": node_options,
    });
    let preload = format!("--require={}", here().join("src/preload.cjs").display());
    let options = node_options.map_or(preload.clone(), |before| format!("{before} {preload}"));
    let output = Command::new("node")
        .arg(here().join("tests/preload").join(script))
        .env("LOCKGATE_SOCKETS", sockets.to_string())
        .env("LISTEN_FDS", "1")
        .env("LISTEN_FDNAMES", "app-8888")
        .env("LISTEN_PID", "1")
        .env("LOCKGATE_START", "mark")
        .env("NODE_OPTIONS", options)
        .env("HELD_PORT", port.to_string())
        .fd_mappings(mappings)
        .unwrap()
        .output()
        .unwrap();
    // The supervisor's own socket is untouched by whatever the script did to its.
    assert!(TcpStream::connect(held.local_addr().unwrap()).is_ok());
    output
}

fn check(script: &str) {
    check_with(script, None);
}

fn check_with(script: &str, node_options: Option<&str>) {
    let output = run(script, node_options);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && stdout.ends_with("ok\n"),
        "{script}: {}\n{stdout}\n{stderr}",
        output.status
    );
}

#[test]
fn every_form_of_listen_takes_the_socket() {
    check("forms.cjs");
}

#[test]
fn http_https_and_http2_servers_take_the_socket() {
    check("servers.cjs");
}

#[test]
fn a_module_takes_the_socket() {
    check("module.mjs");
}

#[test]
fn other_ports_paths_and_descriptors_are_untouched() {
    check("others.cjs");
}

#[test]
fn a_socket_can_be_taken_four_times_and_a_fifth_names_the_limit() {
    check("limit.cjs");
}

#[test]
fn the_workers_of_a_cluster_share_the_socket() {
    check("cluster.cjs");
}

#[test]
fn an_abort_signal_closes_the_server() {
    check("signal.cjs");
}

#[test]
fn workers_and_children_see_no_trace() {
    check("traces.cjs");
    check_with("traces.cjs", Some("--no-warnings"));
}

#[test]
fn an_error_keeps_its_form() {
    check("errors.cjs");
}
