use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::environment::tests::{home, sample};

fn description(name: &str, command: &str) -> ServiceDescription {
    ServiceDescription {
        name: ServiceName::parse(name).unwrap(),
        command: vec![command.to_owned()],
        cwd: "/w".into(),
        env: [("SECRET".to_owned(), "hunter2".to_owned())].into(),
        ready: None,
        ready_timeout: Duration::from_secs(20),
        stop_timeout: Duration::from_secs(10),
        crash_delay: Duration::from_secs(3),
        log: "/l".into(),
    }
}

fn name(name: &str) -> ServiceName {
    ServiceName::parse(name).unwrap()
}

fn saved(folder: &Path) -> (Home, EnvName) {
    let home = home(folder);
    let environment = sample("dev-001");
    fs::create_dir_all(home.env_dir(&environment.name)).unwrap();
    environment.save(&home).unwrap();
    (home, environment.name)
}

fn states(home: &Home, env: &EnvName) -> Vec<(String, bool, u64)> {
    let services = Environment::load(home, env).unwrap().services;
    let state = |it: Service| (it.name.to_string(), it.enabled, it.restart);
    services.into_iter().map(state).collect()
}

#[test]
fn what_changed_is_told_and_the_rest_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (home, env) = saved(folder.path());
    let check = |all: &[ServiceDescription], added: &[&str], changed: &[&str], gone: &[&str]| {
        let names = |all: &[&str]| all.iter().map(|it| name(it)).collect();
        let expected = Renewed {
            added: names(added),
            changed: names(changed),
            gone: names(gone),
        };
        assert_eq!(renew(&home, &env, all).unwrap(), expected);
    };
    check(&[], &[], &[], &[]);
    let (a, b) = (description("a", "one"), description("b", "one"));
    check(&[b.clone(), a.clone()], &["b", "a"], &[], &[]);
    check(&[a.clone(), b.clone()], &[], &[], &[]);
    check(&[description("a", "two"), b.clone()], &[], &["a"], &[]);
    // What is stopped stays so, changed or not.
    let mut environment = Environment::load(&home, &env).unwrap();
    let stopped = environment.enable_services(&home, Some(&a.name), false);
    assert_eq!(stopped.unwrap(), [name("a")]);
    check(std::slice::from_ref(&a), &[], &["a"], &["b"]);
    assert_eq!(states(&home, &env), [("a".to_owned(), false, 0)]);
    // A file that cannot be read is written anew.
    fs::write(home.service_file(&env, &a.name), "{").unwrap();
    check(std::slice::from_ref(&a), &[], &["a"], &[]);
    assert!(described(&home, &env, &a.name).unwrap() == a);
}

#[test]
fn secrets_are_the_owners_alone_and_not_in_env_toml() {
    let folder = tempfile::tempdir().unwrap();
    let (home, env) = saved(folder.path());
    let a = description("a", "one");
    renew(&home, &env, std::slice::from_ref(&a)).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&home.service_file(&env, &a.name)), 0o600);
    assert_eq!(mode(&home.service_dir(&env, &a.name)), 0o700);
    let text = fs::read_to_string(home.env_dir(&env).join("env.toml")).unwrap();
    assert!(
        text.contains("name = \"a\"") && !text.contains("hunter2"),
        "{text}"
    );
}

#[test]
fn one_service_is_brought_up_to_date_and_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let (home, env) = saved(folder.path());
    let (a, b) = (description("a", "one"), description("b", "one"));
    let one = |it: &ServiceDescription, again| renew_one(&home, &env, it, again).unwrap();
    assert!(!one(&a, false), "it is new");
    assert!(one(&a, false), "nothing changed");
    renew(&home, &env, &[a.clone(), b.clone()]).unwrap();
    assert!(!one(&a, true), "it is started again");
    let mut environment = Environment::load(&home, &env).unwrap();
    environment.enable_services(&home, None, false).unwrap();
    assert!(!one(&a, false), "it was stopped");
    let expected = [("a".to_owned(), true, 1), ("b".to_owned(), false, 0)];
    assert_eq!(states(&home, &env), expected);
    // Who is stopped is not started by the way.
    again(&home, &env, &[a.name, b.name]).unwrap();
    let expected = [("a".to_owned(), true, 2), ("b".to_owned(), false, 0)];
    assert_eq!(states(&home, &env), expected);
}

#[tokio::test]
async fn a_service_is_forgotten_once_its_keeper_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let (home, env) = saved(folder.path());
    let a = description("a", "one");
    renew(&home, &env, std::slice::from_ref(&a)).unwrap();
    let state = home.service_state(&env, &a.name);
    fs::create_dir_all(&state).unwrap();
    let keeper = durable::lock(&state.join("agent.lock")).unwrap();
    let names = [a.name.clone()];
    let said = forget(&home, &env, &names, Duration::from_millis(1)).await;
    assert_eq!(said, ["the service `a` of `dev-001` still runs"]);
    assert!(home.service_file(&env, &a.name).exists());
    drop(keeper);
    let said = forget(&home, &env, &names, Duration::from_millis(1)).await;
    assert_eq!(said, [] as [String; 0]);
    assert!(!home.service_dir(&env, &a.name).exists());
}
