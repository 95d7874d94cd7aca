use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use super::*;

/// A runtime whose agent is this shell script.
fn runtime(folder: &Path, script: &str) -> LocalRuntime {
    let path = folder.join("lockgate-agent");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    LocalRuntime::new(Arc::new(Program {
        path,
        inherited: vec![("PATH".into(), "/usr/bin:/bin".into())],
    }))
}

fn spec(folder: &Path, number: u32) -> GatewaySpec {
    let env = EnvName::parse("dev-001").unwrap();
    let folder = folder.join(number.to_string());
    fs::create_dir_all(&folder).unwrap();
    GatewaySpec {
        name: GatewayName::new(&env, number),
        folder,
        http_port: 7100,
        variables: vec![("GATEWAY_ID", "id".into())],
        container: None,
    }
}

/// Waits until a gateway looks as it should.
async fn until(
    runtime: &LocalRuntime,
    gateway: &GatewayName,
    good: impl Fn(&Observed) -> bool,
) -> Observed {
    let mut changes = runtime.changes();
    let found = async {
        loop {
            changes.borrow_and_update();
            if let Some(observed) = runtime.observe(gateway).filter(&good) {
                return observed;
            }
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(10), found)
        .await
        .expect("it comes to look so within ten seconds")
}

fn lives(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// An agent that ends when its standard input does.
const GOOD: &str = "env > env.txt; echo started >> starts.txt; exec cat";

#[tokio::test]
async fn what_is_wanted_runs_and_what_is_not_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime(folder.path(), GOOD);
    let (zero, one) = (spec(folder.path(), 0), spec(folder.path(), 1));
    let env = zero.name.env();

    runtime
        .reconcile(&env, vec![zero.clone(), one.clone()])
        .await;
    let running = |observed: &Observed| observed.pid.is_some();
    let pid = until(&runtime, &zero.name, running).await.pid.unwrap();
    let other = until(&runtime, &one.name, running).await.pid.unwrap();
    let door = Reach::at(([127, 0, 0, 1], one.http_port).into());
    assert_eq!(runtime.observe(&one.name).unwrap().reach, door);

    runtime.reconcile(&env, vec![one.clone()]).await;
    assert!(!lives(pid));
    assert_eq!(runtime.observe(&zero.name), None);
    assert_eq!(runtime.observe(&one.name).unwrap().pid, Some(other));

    runtime.end_all().await;
    assert!(!lives(other));
}

#[tokio::test]
async fn an_agent_inherits_nothing_that_was_not_given() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime(folder.path(), GOOD);
    let zero = spec(folder.path(), 0);
    runtime
        .reconcile(&zero.name.env(), vec![zero.clone()])
        .await;
    let written = zero.folder.join("starts.txt");
    let wait = async {
        while !written.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait)
        .await
        .unwrap();
    runtime.end_all().await;
    let text = fs::read_to_string(zero.folder.join("env.txt")).unwrap();
    // The shell adds these by itself.
    let own = ["PWD", "SHLVL", "_", "OLDPWD"];
    let mut names: Vec<&str> = text
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0))
        .filter(|name| !own.contains(name))
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["GATEWAY_ID", "PATH"]);
}

#[tokio::test]
async fn an_agent_that_dies_is_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime(folder.path(), GOOD);
    let zero = spec(folder.path(), 0);
    runtime
        .reconcile(&zero.name.env(), vec![zero.clone()])
        .await;
    let running = |observed: &Observed| observed.pid.is_some();
    let pid = until(&runtime, &zero.name, running).await.pid.unwrap();
    let raw = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    nix::sys::signal::kill(raw, nix::sys::signal::Signal::SIGKILL).unwrap();
    let again = |observed: &Observed| observed.pid.is_some_and(|new| new != pid);
    let observed = until(&runtime, &zero.name, again).await;
    let problem = observed.problem.unwrap();
    assert!(problem.contains("signal: 9"), "{problem}");
    runtime.end_all().await;
}

#[tokio::test]
async fn the_agents_own_error_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime(
        folder.path(),
        "echo 'error: `DOMAIN` is not set' >&2; exit 78",
    );
    let zero = spec(folder.path(), 0);
    runtime
        .reconcile(&zero.name.env(), vec![zero.clone()])
        .await;
    let told = |observed: &Observed| observed.problem.is_some();
    let problem = until(&runtime, &zero.name, told).await.problem.unwrap();
    assert_eq!(
        problem,
        "the agent ended with exit status: 78: error: `DOMAIN` is not set"
    );
    runtime.end_all().await;
}

#[tokio::test]
async fn a_missing_agent_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = LocalRuntime::new(Arc::new(Program {
        path: folder.path().join("lockgate-agent"),
        inherited: Vec::new(),
    }));
    let zero = spec(folder.path(), 0);
    runtime
        .reconcile(&zero.name.env(), vec![zero.clone()])
        .await;
    let told = |observed: &Observed| observed.problem.is_some();
    let problem = until(&runtime, &zero.name, told).await.problem.unwrap();
    assert!(problem.starts_with("cannot start `"), "{problem}");
    assert!(
        problem.contains("lockgate-agent`: No such file"),
        "{problem}"
    );
    runtime.end_all().await;
}

#[tokio::test]
async fn other_environments_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime(folder.path(), GOOD);
    let zero = spec(folder.path(), 0);
    runtime
        .reconcile(&zero.name.env(), vec![zero.clone()])
        .await;
    let running = |observed: &Observed| observed.pid.is_some();
    let pid = until(&runtime, &zero.name, running).await.pid;
    runtime
        .reconcile(&EnvName::parse("main").unwrap(), Vec::new())
        .await;
    assert_eq!(runtime.observe(&zero.name).unwrap().pid, pid);
    runtime.end_all().await;
}
