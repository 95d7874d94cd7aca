//! `lockgate-agent supervise` with real processes: what a service gets, how it is kept, how it ends.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "tests start the program here and end by panic"
)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use lockgate_model::{Phase, ReadyCheck, ServiceDescription, ServiceName, ServiceReport};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Nothing in these tests takes longer on a busy machine.
const DEADLINE: Duration = Duration::from_secs(40);
const SECRET: &str = "s3cret-of-this-service";

/// A service in a folder of its own, and its keeper.
struct Service {
    dir: tempfile::TempDir,
    keeper: Option<(Child, Option<ChildStdin>)>,
    reports: mpsc::Receiver<ServiceReport>,
}

impl Service {
    /// Keeps this shell script running.
    fn start(script: &str, change: impl FnOnce(&mut ServiceDescription)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut description = ServiceDescription {
            name: ServiceName::parse("ganymede").unwrap(),
            command: ["sh", "-c", script].map(str::to_owned).to_vec(),
            cwd: dir.path().to_owned(),
            env: [("SECRET".to_owned(), SECRET.to_owned())].into(),
            ready: None,
            ready_timeout: Duration::from_secs(20),
            stop_timeout: Duration::from_secs(10),
            crash_delay: Duration::from_secs(3),
            log: dir.path().join("logs/ganymede.log"),
        };
        change(&mut description);
        let text = serde_json::to_vec(&description).unwrap();
        fs::write(dir.path().join("service.json"), text).unwrap();
        let mut child = supervise(&dir).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().unwrap());
        let (tell, reports) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let report = serde_json::from_str(&line.unwrap()).unwrap();
                // The test may have seen enough.
                let _ = tell.send(report);
            }
        });
        Self {
            dir,
            keeper: Some((child, stdin)),
            reports,
        }
    }

    /// The next report that is so.
    fn until(&self, is_so: impl Fn(&ServiceReport) -> bool) -> ServiceReport {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let report = self.reports.recv_timeout(left);
            let report = report.expect("a report that is so");
            if is_so(&report) {
                return report;
            }
        }
    }

    fn until_ready(&self) -> ServiceReport {
        self.until(|report| report.phase == Phase::Ready)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("logs/ganymede.log")).unwrap_or_default()
    }

    fn keeper(&self) -> u32 {
        self.keeper.as_ref().unwrap().0.id()
    }

    /// Closes the keeper's stdin and waits for its end.
    fn end(&mut self) {
        let (mut child, stdin) = self.keeper.take().unwrap();
        drop(stdin);
        assert!(child.wait().unwrap().success());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some((mut child, _)) = self.keeper.take() {
            // A test that failed: its service goes with it.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn supervise(dir: &tempfile::TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockgate-agent"));
    command
        .args(["supervise", "--stop-on-stdin-eof", "--state"])
        .arg(dir.path().join("agent"))
        .arg(dir.path().join("service.json"))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LOCKGATE_ANYTHING", "ours")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

fn lives(pid: u32) -> bool {
    PathBuf::from(format!("/proc/{pid}")).exists()
}

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

#[test]
fn a_service_gets_its_variables_and_nothing_else() {
    let script = "env; echo descriptors $(ls /proc/self/fd | tr '\\n' ' '); exec sleep 600";
    let mut service = Service::start(script, |_| ());
    let report = service.until_ready();
    let pid = report.pid.unwrap();
    assert_eq!((report.restarts, &report.problem), (0, &None));
    assert!(report.since.is_some());
    let log = service.log();
    assert!(
        log.contains(&format!("--- starting as process {pid}\n")),
        "{log}"
    );
    assert!(log.contains(&format!("out SECRET={SECRET}\n")), "{log}");
    // `ls` has one more open for what it lists.
    assert!(log.contains("out descriptors 0 1 2 3\n"), "{log}");
    for name in [
        "LISTEN_",
        "NODE_OPTIONS",
        "NODE_COMPILE_CACHE",
        "LOCKGATE_SOCKETS",
        "LOCKGATE_ANYTHING",
    ] {
        assert!(!log.contains(name), "{name} in {log}");
    }
    let of_keeper = |what: &str| fs::read(format!("/proc/{}/{what}", service.keeper())).unwrap();
    for what in ["environ", "cmdline"] {
        let text = String::from_utf8_lossy(&of_keeper(what)).into_owned();
        assert!(!text.contains(SECRET), "{text}");
    }
    service.end();
    assert!(!lives(pid));
}

#[test]
fn a_service_that_is_killed_comes_back() {
    let mut service = Service::start("echo about to be killed; exec sleep 600", |_| ());
    let first = service.until_ready().pid.unwrap();
    let killed = Instant::now();
    signal(first, Signal::SIGKILL);
    let report = service.until(|report| report.phase == Phase::Backoff);
    assert_eq!(report.pid, None);
    assert!(report.problem.unwrap().contains("SIGKILL"));
    let again = service.until_ready();
    assert!(killed.elapsed() >= Duration::from_secs(3));
    assert_eq!((again.restarts, &again.problem), (1, &None));
    assert_ne!(again.pid.unwrap(), first);
    let crash = fs::read_to_string(service.dir.path().join("agent/crash-1.log")).unwrap();
    assert!(crash.contains("about to be killed"), "{crash}");
    service.end();
}

#[test]
fn what_does_not_end_by_term_is_killed_with_what_it_started() {
    let script = "trap '' TERM; sleep 600 & echo $! > child; wait; wait; sleep 600";
    let stop_timeout = Duration::from_millis(500);
    let mut service = Service::start(script, |it| it.stop_timeout = stop_timeout);
    let pid = service.until_ready().pid.unwrap();
    let child = fs::read_to_string(service.dir.path().join("child")).unwrap();
    let asked = Instant::now();
    service.end();
    assert!(asked.elapsed() >= stop_timeout);
    assert!(!lives(pid));
    // The kernel takes it off once it runs the next time.
    gone(child.trim().parse().unwrap());
}

/// Waits until a process that was killed is gone.
fn gone(pid: u32) {
    let deadline = Instant::now() + DEADLINE;
    while lives(pid) {
        assert!(Instant::now() < deadline, "process {pid} lives on");
        std::thread::yield_now();
    }
}

#[test]
fn a_service_goes_with_its_keeper() {
    let mut service = Service::start("exec sleep 600", |_| ());
    let pid = service.until_ready().pid.unwrap();
    let (mut keeper, _stdin) = service.keeper.take().unwrap();
    keeper.kill().unwrap();
    keeper.wait().unwrap();
    gone(pid);
}

#[test]
fn a_service_that_is_not_ready_in_time_is_told_and_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = format!("tcp://127.0.0.1:{port}");
    let mut service = Service::start("echo waiting; exec sleep 600", |it| {
        it.ready = Some(ReadyCheck::parse(&url).unwrap());
        it.ready_timeout = Duration::from_millis(300);
    });
    let report = service.until(|report| report.phase == Phase::Backoff);
    assert_eq!(
        report.problem.unwrap(),
        format!("was not ready within 300ms: nothing listens at `{url}` yet")
    );
    let again = service.until(|report| report.phase == Phase::Starting);
    assert_eq!(again.restarts, 1);
    let crash = fs::read_to_string(service.dir.path().join("agent/crash-1.log")).unwrap();
    assert!(crash.contains("waiting"), "{crash}");
    service.end();
}

#[test]
fn a_service_in_whose_place_somebody_answers_is_not_started() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", other.local_addr().unwrap());
    let mut service = Service::start("exec sleep 600", |it| {
        it.ready = Some(ReadyCheck::parse(&url).unwrap());
    });
    let report = service.until(|report| report.phase == Phase::Backoff);
    assert_eq!(report.pid, None);
    assert_eq!(
        report.problem.unwrap(),
        format!("something else answers at `{url}` already")
    );
    assert_eq!(service.log(), "");
    service.end();
}

#[test]
fn a_service_has_one_keeper() {
    let mut service = Service::start("exec sleep 600", |_| ());
    service.until_ready();
    let second = supervise(&service.dir)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    expect(&second, 1, "another agent uses the state folder");
    service.end();
}

#[test]
fn a_file_that_describes_nothing_is_told_without_its_text() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("service.json");
    let run = || supervise(&dir).stderr(Stdio::piped()).output().unwrap();
    let missing = run();
    expect(&missing, 78, "service.json");
    fs::write(&path, format!("{{\"name\": \"{SECRET}\"}}")).unwrap();
    let malformed = run();
    expect(&malformed, 78, "line 1, column");
    assert!(!String::from_utf8_lossy(&malformed.stderr).contains(SECRET));
}

#[track_caller]
fn expect(output: &Output, code: i32, says: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(says), "{said}");
}

#[test]
fn a_service_that_stops_answering_is_told_of_and_left_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let script = format!(
        r#"exec node -e '
require("http").createServer((request, response) => {{
  response.statusCode = require("fs").existsSync("busy") ? 503 : 200;
  response.end();
}}).listen({port}, "127.0.0.1")'"#
    );
    let url = format!("http://127.0.0.1:{port}/");
    let service = Service::start(&script, |it| {
        it.ready = Some(ReadyCheck::parse(&url).unwrap());
    });
    let ready = service.until_ready();
    assert_eq!(ready.not_answering, None);
    fs::write(service.dir.path().join("busy"), "").unwrap();
    let silent = service.until(|report| report.not_answering.is_some());
    let silence = silent.not_answering.unwrap();
    assert_eq!(
        silence.why,
        format!("`{url}` was answered 503 Service Unavailable")
    );
    assert!(silence.since > ready.since.unwrap());
    fs::remove_file(service.dir.path().join("busy")).unwrap();
    let again = service.until(|report| report.not_answering.is_none());
    // The same process all the time.
    assert_eq!(
        (again.phase, again.pid, again.restarts),
        (Phase::Ready, ready.pid, 0)
    );
}
