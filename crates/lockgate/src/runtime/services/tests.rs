use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use lockgate_model::Phase;

use super::*;
use crate::environment::services::write;
use crate::environment::tests::home;

/// A runtime whose agent is this shell script.
fn runtime(folder: &Path, script: &str) -> Services {
    let path = folder.join("lockgate-agent");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    Services::new(Arc::new(Program {
        path,
        inherited: vec![("PATH".into(), "/usr/bin:/bin".into())],
    }))
}

/// An agent that says that it is ready and ends when its standard input does.
const READY: &str =
    r#"echo '{"phase":"ready","pid":'$$',"since":7,"restarts":0,"problem":null}'; exec cat"#;

fn spec(home: &Home, env: &EnvName, command: &str, restart: u64) -> ServiceSpec {
    let name = ServiceName::parse("ganymede").unwrap();
    let description = ServiceDescription {
        name: name.clone(),
        command: vec![command.to_owned()],
        cwd: "/".into(),
        env: [].into(),
        ready: None,
        ready_timeout: Duration::from_secs(20),
        stop_timeout: Duration::from_secs(10),
        crash_delay: Duration::from_secs(3),
        log: home.service_log(env, &name),
    };
    write(&home.service_dir(env, &name), &description).unwrap();
    ServiceSpec::read(home, env, &name, restart).unwrap()
}

/// Waits until the service is so.
async fn until(
    services: &Services,
    env: &EnvName,
    good: impl Fn(&ObservedService) -> bool,
) -> ObservedService {
    let name = ServiceName::parse("ganymede").unwrap();
    let mut changes = services.changes();
    let found = async {
        loop {
            changes.borrow_and_update();
            if let Some(observed) = services.observe(env, &name).filter(&good) {
                return observed;
            }
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(10), found)
        .await
        .expect("it comes to look so within ten seconds")
}

/// Has the service run that starts this command.
async fn run(services: &Services, home: &Home, env: &EnvName, command: &str, restart: u64) {
    let wanted = vec![spec(home, env, command, restart)];
    services.reconcile(env, wanted, &[]).await;
}

async fn ready(services: &Services, env: &EnvName) -> u32 {
    let is_ready = |it: &ObservedService| it.report.is_some();
    let report = until(services, env, is_ready).await.report.unwrap();
    assert_eq!(report.phase, Phase::Ready);
    report.pid.unwrap()
}

#[tokio::test]
async fn another_description_or_a_restart_is_another_process_and_the_same_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(folder.path());
    let services = runtime(folder.path(), READY);
    let env = EnvName::parse("dev-001").unwrap();
    let other = EnvName::parse("dev-002").unwrap();
    run(&services, &home, &other, "one", 0).await;
    let of_other = ready(&services, &other).await;

    run(&services, &home, &env, "one", 0).await;
    let first = ready(&services, &env).await;
    run(&services, &home, &env, "one", 0).await;
    assert_eq!(ready(&services, &env).await, first);
    run(&services, &home, &env, "two", 0).await;
    let second = ready(&services, &env).await;
    assert_ne!(second, first);
    run(&services, &home, &env, "two", 1).await;
    assert_ne!(ready(&services, &env).await, second);

    let name = ServiceName::parse("ganymede").unwrap();
    let named = std::slice::from_ref(&name);
    services.reconcile(&env, Vec::new(), named).await;
    assert!(services.observe(&env, &name).unwrap().report.is_some());
    services.reconcile(&env, Vec::new(), &[]).await;
    assert_eq!(services.observe(&env, &name), None);
    assert_eq!(ready(&services, &other).await, of_other);
    services.end_all().await;
    assert!(!Path::new(&format!("/proc/{of_other}")).exists());
}

#[tokio::test]
async fn why_a_keeper_does_not_run_is_told_until_one_speaks() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(folder.path());
    let script = format!(
        "if ! [ -e once ]; then touch once; echo 'error: no room' >&2; exit 1; fi\n{READY}"
    );
    let services = runtime(folder.path(), &script);
    let env = EnvName::parse("dev-001").unwrap();
    run(&services, &home, &env, "one", 0).await;
    let told = |it: &ObservedService| it.agent_problem.is_some();
    let observed = until(&services, &env, told).await;
    let problem = "the agent ended with exit status: 1: error: no room";
    assert_eq!(observed.agent_problem.unwrap(), problem);
    assert_eq!(observed.report, None);
    let ready = |it: &ObservedService| it.report.is_some();
    assert_eq!(until(&services, &env, ready).await.agent_problem, None);
    services.end_all().await;
}

#[test]
fn a_file_that_is_not_there_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let env = EnvName::parse("dev-001").unwrap();
    let name = ServiceName::parse("ganymede").unwrap();
    assert!(ServiceSpec::read(&home(folder.path()), &env, &name, 0).is_err());
}
