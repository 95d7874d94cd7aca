//! `lockgate doctor`: each mistake that is made here is named with what mends it, and nothing else is.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use lockgate_e2e::{Ran, Workspace, World, get};
use serde_json::Value;

/// An environment that is created and not served.
fn created(world: &World) -> Workspace {
    let workspace = world.workspace("monorepo");
    world.create("dev-001", &workspace);
    workspace
}

fn checks(ran: &Ran) -> Vec<Value> {
    let document = ran.json();
    let all = document.get("checks").and_then(Value::as_array);
    all.unwrap().clone()
}

/// Runs the doctor, which must find something.
fn sick(world: &World) -> Vec<Value> {
    let ran = world.lockgate(&["doctor", "--format", "json"]);
    ran.expect(1);
    assert_eq!(ran.json().get("ok"), Some(&Value::Bool(false)));
    checks(&ran)
}

/// The errors, as `group name`.
fn errors(checks: &[Value]) -> Vec<String> {
    let wrong = checks.iter().filter(|it| it["state"] == "error");
    let name = |it: &Value| {
        let text = |field: &str| it[field].as_str().unwrap().to_owned();
        format!("{} {}", text("group"), text("name"))
    };
    wrong.map(name).collect()
}

/// The one check of this name.
#[track_caller]
fn named<'a>(checks: &'a [Value], group: &str, name: &str) -> &'a Value {
    let of = |it: &&Value| it["group"] == group && it["name"] == name;
    let mut found = checks.iter().filter(of);
    match (found.next(), found.next()) {
        (Some(only), None) => only,
        _ => unreachable!("not one {group} {name}: {checks:?}"),
    }
}

/// Fails unless a check is an error that says this, with this remedy.
#[track_caller]
fn is_error(check: &Value, found: &str, remedy: &str) {
    assert_eq!(check["state"], "error", "{check}");
    let holds = |field: &str, part: &str| check[field].as_str().unwrap_or_default().contains(part);
    assert!(holds("found", found) && holds("remedy", remedy), "{check}");
}

/// Every file below a folder with its content, and every folder.
fn everything(folder: &Path) -> Vec<(String, u32, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let (path, found) = (entry.path(), entry.metadata().unwrap());
        let mode = found.permissions().mode();
        let name = path.display().to_string();
        if found.is_dir() {
            all.push((name, mode, Vec::new()));
            all.extend(everything(&path));
        } else if found.is_file() {
            all.push((name, mode, fs::read(&path).unwrap()));
        }
    }
    all.sort();
    all
}

#[test]
fn an_environment_that_is_well_has_no_errors_and_one_that_is_unknown_is_refused() {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    world.running("dev-001", &workspace);
    let ran = world.lockgate(&["doctor", "dev-001", "--format", "json"]);
    ran.expect(0);
    assert_eq!(ran.json()["ok"], true);
    let all = checks(&ran);
    let runs = all.iter().filter(|it| it["name"] == "gateway");
    let runs: Vec<&Value> = runs.collect();
    assert_eq!(runs.len(), 3, "{all:?}");
    for one in runs {
        assert_eq!(
            (&one["state"], &one["env"]),
            (&"ok".into(), &"dev-001".into())
        );
        assert!(one["found"].as_str().unwrap().starts_with("runs "), "{one}");
    }
    let ports = all.iter().filter(|it| it["name"] == "ports");
    assert!(ports.clone().all(|it| it["state"] == "ok"), "{all:?}");
    assert_eq!(ports.count(), 3);
    assert_eq!(named(&all, "server", "listener")["state"], "ok");
    assert_eq!(named(&all, "environment", "lockgate.toml")["state"], "ok");

    let text = world.lockgate(&["doctor"]);
    text.expect(0)
        .says("Environment dev-001")
        .says("✓ gw-pool-dev-001-0");
    assert!(text.stdout.contains("\nno problems"), "{}", text.stdout);
    let unknown = world.lockgate(&["doctor", "dev-009"]);
    unknown.expect(1).says("there is no environment `dev-009`");
}

#[test]
fn nothing_is_made_or_changed() {
    let world = World::new();
    world.lockgate(&["doctor"]).expect(0);
    assert!(!world.home().exists());
    let workspace = created(&world);
    fs::write(workspace.path.join("lockgate.toml"), "").unwrap();
    let before = everything(world.dir());
    world.lockgate(&["doctor"]).expect(1);
    assert!(everything(world.dir()) == before, "something was changed");
}

#[test]
fn a_server_that_is_down_is_named_and_who_has_its_port() {
    let world = World::new();
    created(&world);
    let all = sick(&world);
    assert_eq!(errors(&all), ["server server"]);
    let down = named(&all, "server", "server");
    is_error(down, "no server answers", "`lockgate serve --detach`");
    assert_eq!(named(&all, "environment", "gateways")["state"], "skipped");

    let foreign = TcpListener::bind(("127.0.0.1", world.port)).unwrap();
    let all = sick(&world);
    assert_eq!(errors(&all), ["server server", "server port"]);
    let holder = format!("is taken by process {}", std::process::id());
    is_error(
        named(&all, "server", "port"),
        &holder,
        "LOCKGATE_SERVE_PORT",
    );
    drop(foreign);
    world.serve();
    world.deploy("dev-001").expect(0);
    world.lockgate(&["doctor"]).expect(0);
}

#[test]
fn mistakes_in_files_are_named_each_with_its_remedy() {
    let world = World::new();
    let workspace = created(&world);
    world.serve();
    world.deploy("dev-001").expect(0);
    world.lockgate(&["doctor"]).expect(0);
    let env = world.home().join("envs/dev-001");

    let key = env.join("key");
    let mode = |mode| fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    let all = sick(&world);
    assert_eq!(errors(&all), ["home secrets"]);
    let chmod = format!("`chmod 600 {}`", key.display());
    is_error(named(&all, "home", "secrets"), "(mode 0644)", &chmod);
    mode(0o600);

    let settings = workspace.path.join("lockgate.toml");
    fs::write(&settings, "[app]\ncommand = []\n[docker]\nimage = ''\n").unwrap();
    let all = sick(&world);
    assert_eq!(errors(&all), ["environment lockgate.toml"; 2]);
    let found: Vec<&Value> = all.iter().filter(|it| it["state"] == "error").collect();
    is_error(
        found[0],
        "`[app] command` names no program",
        "docs/settings.md",
    );
    is_error(found[1], "`[docker] image`", "docs/settings.md");
    fs::write(&settings, "[app\n").unwrap();
    let all = sick(&world);
    is_error(named(&all, "environment", "lockgate.toml"), "line 1", "");
    fs::remove_file(&settings).unwrap();

    let moved = world.dir().join("elsewhere");
    fs::rename(&workspace.path, &moved).unwrap();
    let all = sick(&world);
    assert_eq!(errors(&all), ["environment workspace"]);
    let gone = named(&all, "environment", "workspace");
    is_error(
        gone,
        "which is not there",
        "`lockgate deploy dev-001 --workspace PATH`",
    );
    fs::rename(&moved, &workspace.path).unwrap();
    world.lockgate(&["doctor"]).expect(0);

    // One that is broken hides none of the others.
    world.create("dev-002", &workspace);
    world.deploy("dev-002").expect(0);
    let file = env.join("env.toml");
    let before = fs::read(&file).unwrap();
    fs::write(&file, "name = ").unwrap();
    let all = sick(&world);
    assert_eq!(errors(&all), ["home env.toml"]);
    let broken = named(&all, "home", "env.toml");
    is_error(
        broken,
        "is not an environment's file",
        &file.display().to_string(),
    );
    assert_eq!(broken["env"], "dev-001");
    let others = all.iter().filter(|it| it["name"] == "gateway");
    assert!(others.clone().all(|it| it["env"] == "dev-002"), "{all:?}");
    assert_eq!(others.count(), 3);
    world
        .lockgate(&["doctor", "dev-001"])
        .expect(1)
        .says("is not an environment's file");
    fs::write(&file, before).unwrap();
    world.lockgate(&["doctor"]).expect(0);
}

#[test]
fn an_agent_that_is_missing_beside_the_program_is_named() {
    let world = World::new();
    let beside = world.dir().join("bin");
    fs::create_dir(&beside).unwrap();
    let program = beside.join("lockgate");
    fs::copy(world.program("lockgate").get_program(), &program).unwrap();
    let doctor = |expected: i32| {
        let mut command = world.command(&program);
        let ran = lockgate_e2e::ran(&command.arg("doctor").output().unwrap());
        ran.expect(expected);
        ran
    };
    let agent = beside.join("lockgate-agent");
    let missing = format!("cannot read the agent `{}`", agent.display());
    doctor(1)
        .says(&missing)
        .says("LOCKGATE_AGENT names another")
        .says("1 problem");
    // One of another release.
    fs::write(&agent, "#!/bin/sh\necho lockgate-agent 0.0.1\n").unwrap();
    fs::set_permissions(&agent, fs::Permissions::from_mode(0o755)).unwrap();
    doctor(1).says("is version 0.0.1").says("`just build`");
    fs::copy(world.program("lockgate-agent").get_program(), &agent).unwrap();
    doctor(0);
}

#[test]
fn a_gateway_that_does_not_start_is_named_and_so_is_what_mends_it() {
    let world = World::new();
    let workspace = created(&world);
    world.serve();
    workspace.prepend("throw new Error('not today');");
    assert_ne!(world.deploy("dev-001").code, 0);
    let all = sick(&world);
    assert_eq!(errors(&all), ["environment gateway"; 3]);
    let of = |it: &&Value| it["gateway"] == "gw-pool-dev-001-1" && it["name"] == "gateway";
    let refused = all.iter().find(of).unwrap();
    is_error(refused, "refused", "`lockgate deploy dev-001`");
    assert!(get(world.ports("dev-001")[0], "/").is_none_or(|answer| answer.status != 200));
}

#[test]
fn what_hangs_is_told_and_keeps_nobody_waiting() {
    let world = World::new();
    // An engine that takes connections and says nothing, and a Node that never ends.
    let socket = world.dir().join("engine.sock");
    let silent = UnixListener::bind(&socket).unwrap();
    let folder = world.dir().join("bin");
    fs::create_dir(&folder).unwrap();
    let node = folder.join("node");
    fs::write(&node, "#!/bin/sh\nexec sleep infinity\n").unwrap();
    fs::set_permissions(&node, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = world.program("lockgate");
    let path = format!("{}:/usr/bin:/bin", folder.display());
    let host = format!("unix://{}", socket.display());
    command.env("PATH", path).env("DOCKER_HOST", &host);
    let ran = lockgate_e2e::ran(
        &command
            .args(["doctor", "--format", "json"])
            .output()
            .unwrap(),
    );
    ran.expect(0);
    let all = checks(&ran);
    let engine = named(&all, "engine", "engine");
    let found = format!("the engine at `{host}` does not answer within 5s");
    assert_eq!(
        (&engine["state"], &engine["found"]),
        (&"warning".into(), &found.into())
    );
    let node = named(&all, "machine", "node");
    assert_eq!(node["state"], "warning", "{node}");
    assert!(
        node["found"]
            .as_str()
            .unwrap()
            .ends_with("no answer within 5s"),
        "{node}"
    );
    drop(silent);
    world.expect_empty();
}

#[test]
fn a_workspace_is_looked_at_from_inside() {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    let doctor = || {
        let mut command = world.program("lockgate");
        command.args(["doctor", "--format", "json"]);
        let ran = lockgate_e2e::ran(&command.current_dir(&workspace.path).output().unwrap());
        ran.expect(0);
        checks(&ran)
    };
    let state = |all: &[Value], name: &str| named(all, "workspace", name)["state"].clone();
    let all = doctor();
    for name in ["lockgate.toml", "bundle", "source map", "sources"] {
        assert_eq!(state(&all, name), "ok", "{name}: {all:?}");
    }
    let sources = workspace.path.join("packages/app");
    fs::create_dir_all(&sources).unwrap();
    let source = fs::File::create(sources.join("new.ts")).unwrap();
    let built = fs::metadata(workspace.bundle()).unwrap();
    let later = built.modified().unwrap() + Duration::from_mins(1);
    source.set_modified(later).unwrap();
    fs::remove_file(workspace.bundle().with_extension("js.map")).unwrap();
    let all = doctor();
    assert_eq!(state(&all, "source map"), "warning");
    let newer = named(&all, "workspace", "sources");
    assert_eq!(newer["state"], "warning", "{newer}");
    assert!(
        newer["found"]
            .as_str()
            .unwrap()
            .starts_with("`packages/app/new.ts` is newer")
    );
    fs::remove_file(workspace.bundle()).unwrap();
    assert_eq!(state(&doctor(), "bundle"), "warning");
}
