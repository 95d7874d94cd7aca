//! The server in the background, as the program itself: started, found, refused twice, ended.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test starts the program it is about, and fails by a panic"
)]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// Runs `lockgate` with a home of its own and nothing else of this process's environment.
fn lockgate(home: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lockgate"))
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LOCKGATE_HOME", home.join("home"))
        .env("XDG_RUNTIME_DIR", home)
        .env("LOCKGATE_SERVE_PORT", "0")
        .current_dir(home)
        .output()
        .expect("the program starts")
}

fn server(home: &Path, arguments: &[&str]) -> Value {
    let output = lockgate(home, &[arguments, &["--format", "json"]].concat());
    assert!(output.status.success(), "{output:?}");
    let mut told: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    told["server"].take()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Ends the server also when a test fails.
struct Stop<'a>(&'a Path);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        lockgate(self.0, &["serve", "stop"]);
    }
}

#[test]
fn a_server_in_the_background_is_found_and_ended() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    assert_eq!(lockgate(home, &["serve", "status"]).status.code(), Some(1));
    let _stop = Stop(home);
    let started = server(home, &["serve", "--detach"]);
    assert_eq!(started, server(home, &["serve", "status"]));
    let pid = started["pid"].as_u64().unwrap();
    assert!(Path::new(&format!("/proc/{pid}")).exists());

    // Its own session: a hang-up of this terminal is not for it.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, after_name) = stat.rsplit_once(") ").unwrap();
    assert_eq!(after_name.split(' ').nth(3), Some(pid.to_string().as_str()));

    let stopped = lockgate(home, &["serve", "stop"]);
    assert!(stopped.status.success(), "{stopped:?}");
    assert_eq!(lockgate(home, &["serve", "status"]).status.code(), Some(1));
    let left = std::fs::read_dir(home.join("lockgate")).unwrap();
    let mut names = left.map(|entry| entry.unwrap().path());
    assert!(names.all(|path| path.extension().is_none_or(|end| end != "sock")));
}

#[test]
fn a_second_server_of_a_home_is_refused_and_the_first_named() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let _stop = Stop(home);
    let started = server(home, &["serve", "--detach"]);
    for arguments in [&["serve"][..], &["serve", "--detach"]] {
        let second = lockgate(home, arguments);
        assert_eq!(second.status.code(), Some(1), "{second:?}");
        let first = format!("runs already (process {})", started["pid"]);
        assert!(text(&second.stderr).contains(&first), "{second:?}");
    }
    assert_eq!(started, server(home, &["serve", "status"]));
}

#[test]
fn a_taken_port_is_told_with_its_holder_also_from_the_background() {
    let folder = tempfile::tempdir().unwrap();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port().to_string();
    for arguments in [
        &["serve", "--port", &port][..],
        &["serve", "--detach", "--port", &port],
    ] {
        let output = lockgate(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let told = text(&output.stderr);
        let holder = format!(
            "127.0.0.1:{port}` is taken by process {}",
            std::process::id()
        );
        assert!(told.contains(&holder), "{told}");
        assert!(told.contains("--port"), "{told}");
    }
}

#[test]
fn a_killed_server_leaves_nothing_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let _stop = Stop(home);
    let killed = server(home, &["serve", "--detach"])["pid"]
        .as_u64()
        .unwrap();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(killed).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    // Its lock goes with it; until the kernel is done a second one is refused.
    let again = (0..500).find_map(|_| {
        let output = lockgate(home, &["serve", "--detach"]);
        output.status.success().then_some(output)
    });
    assert!(again.is_some());
    assert_ne!(server(home, &["serve", "status"])["pid"], killed);
}
