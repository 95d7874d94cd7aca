//! Services of the host beside the gateways: started, kept, restarted, ended with the server.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use lockgate_e2e::{Workspace, World, get, until};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Answers with what it was given; says so in its log.
const GANYMEDE: &str = r#"
const http = require("http");
const { PORT, ENV_NAME, LEVEL, SECRET } = process.env;
const answer = { pid: process.pid, env: ENV_NAME, level: LEVEL, secret: SECRET };
const server = http.createServer((request, response) => {
  console.log(`asked for ${request.url}`);
  response.end(JSON.stringify(answer));
});
server.listen(Number(PORT), "127.0.0.1", () => console.log(`process ${process.pid} listens`));
process.on("SIGTERM", () => process.exit(0));
"#;

/// What no other world's services know.
fn secret(world: &World) -> String {
    let name = world.dir().file_name().unwrap();
    format!("s3cret-of-{}", name.display())
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A workspace with the service `ganymede` on this port.
fn workspace(world: &World, name: &str, port: u16) -> Workspace {
    let workspace = world.workspace(name);
    fs::write(workspace.path.join("ganymede.js"), GANYMEDE).unwrap();
    let secret = format!("SECRET={}\n", secret(world));
    fs::write(workspace.path.join(".env.ganymede"), secret).unwrap();
    settings(&workspace, port, "info");
    workspace
}

fn settings(workspace: &Workspace, port: u16, level: &str) {
    configure(workspace, &ganymede(port, level));
}

fn ganymede(port: u16, level: &str) -> String {
    format!(
        "[services.ganymede]\ncommand = ['node', 'ganymede.js']\nenv_file = '.env.ganymede'\n\
         env = {{ PORT = '{port}', LEVEL = '{level}' }}\nready = 'http://127.0.0.1:{port}/healthz'\n"
    )
}

/// Writes lockgate.toml.
fn configure(workspace: &Workspace, text: &str) {
    fs::write(workspace.path.join("lockgate.toml"), text).unwrap();
}

fn service(world: &World, env: &str) -> Value {
    let status = world.lockgate(&["status", env, "--format", "json"]);
    let services = status.expect(0).json();
    let services = services.pointer("/environments/0/services").unwrap();
    services.get(0).cloned().unwrap_or_default()
}

fn field<'a>(service: &'a Value, name: &str) -> &'a Value {
    service.get(name).unwrap_or(&Value::Null)
}

fn pid(service: &Value) -> u64 {
    field(service, "pid").as_u64().unwrap()
}

/// Waits until the service is in this state.
fn until_it_is(world: &World, env: &str, state: &str) -> Value {
    until(&format!("it is {state}"), Duration::from_secs(30), || {
        let service = service(world, env);
        (field(&service, "state") == state).then_some(service)
    })
}

/// What it answers.
fn answer(port: u16, name: &str) -> Value {
    get(port, "/").unwrap().json().get(name).cloned().unwrap()
}

/// A server, and an environment with one gateway and the service.
fn created(world: &World, env: &str, workspace: &Workspace) {
    let path = workspace.path.display().to_string();
    let domain = format!("{env}.localhost");
    let create = ["create", env, &domain, &path, "--gateways", "1"];
    world.lockgate(&create).expect(0);
}

/// Ctrl-C: the follower ends as `tail -f` does.
fn interrupt(world: &World, mut follower: Child) {
    world.signal(follower.id().into(), Signal::SIGINT);
    let status = until("the follower ends", Duration::from_secs(10), || {
        follower.try_wait().unwrap()
    });
    assert_eq!(status.signal(), Some(Signal::SIGINT as i32));
}

#[test]
fn a_service_starts_with_its_environment_and_comes_back_when_it_is_killed() {
    let (world, port) = (World::new(), free_port());
    let workspace = workspace(&world, "monorepo", port);
    world.serve();
    created(&world, "dev-001", &workspace);
    let first = until_it_is(&world, "dev-001", "ready");
    assert_eq!(answer(port, "env"), "dev-001");
    assert_eq!(answer(port, "secret"), secret(&world));
    assert_eq!(answer(port, "pid"), pid(&first));
    world
        .lockgate(&["status", "dev-001"])
        .expect(0)
        .says("SERVICE");

    world.signal(pid(&first), Signal::SIGKILL);
    let again = until("it is back", Duration::from_secs(30), || {
        let now = service(&world, "dev-001");
        (field(&now, "state") == "ready" && field(&now, "restarts") == 1).then_some(now)
    });
    assert_ne!(pid(&again), pid(&first));
    assert_eq!(answer(port, "pid"), pid(&again));
    let crash = world.lockgate(&["logs", "dev-001", "ganymede", "--crash"]);
    crash.expect(0).says("SIGKILL").says("listens");
    world.stop();
}

#[test]
fn a_secret_of_a_service_is_seen_by_the_service_alone() {
    let (world, port) = (World::new(), free_port());
    let workspace = workspace(&world, "monorepo", port);
    let secret = secret(&world);
    world.serve();
    created(&world, "dev-001", &workspace);
    let own = pid(&until_it_is(&world, "dev-001", "ready"));
    for format in ["human", "json"] {
        let status = world.lockgate(&["status", "dev-001", "--format", format]);
        assert!(!status.expect(0).stdout.contains(&secret));
    }
    let mut seen = 0;
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let holds = |what: &str| {
            let text = fs::read(process.path().join(what)).unwrap_or_default();
            String::from_utf8_lossy(&text).contains(&secret)
        };
        let is_own = process.file_name().to_string_lossy() == own.to_string();
        assert!(!holds("cmdline"), "{process:?}");
        assert_eq!(holds("environ"), is_own, "{process:?}");
        seen += u32::from(is_own);
    }
    assert_eq!(seen, 1);
    let holds_secret = |path: &Path| fs::read_to_string(path).unwrap().contains(&secret);
    assert!(!holds_secret(&world.home().join("envs/dev-001/env.toml")));
    assert!(!holds_secret(&world.home().join("server.log")));
    let own = world.home().join("envs/dev-001/services/ganymede");
    assert!(holds_secret(&own.join("service.json")));
    assert!(!holds_secret(&own.join("agent/agent.log")));
    assert!(!holds_secret(&own.join("ganymede.log")));
    world.stop();
}

#[test]
fn a_service_is_stopped_started_and_restarted_by_its_name() {
    let (world, port) = (World::new(), free_port());
    let workspace = workspace(&world, "monorepo", port);
    world.serve();
    created(&world, "dev-001", &workspace);
    let first = pid(&until_it_is(&world, "dev-001", "ready"));

    let stop = ["stop", "dev-001", "ganymede"];
    world.lockgate(&stop).expect(0).says("stopped ganymede");
    assert!(get(port, "/").is_none(), "it has ended when `stop` returns");
    assert_eq!(field(&service(&world, "dev-001"), "state"), "stopped");
    world.lockgate(&stop).expect(0).says("nothing to stop");

    let start = ["start", "dev-001", "ganymede"];
    world.lockgate(&start).expect(0).says("started ganymede");
    let second = pid(&until_it_is(&world, "dev-001", "ready"));
    assert_ne!(second, first);

    // As lockgate.toml has it now, and at once: no delay as after a crash.
    settings(&workspace, port, "debug");
    let restart = ["restart", "dev-001", "ganymede"];
    world
        .lockgate(&restart)
        .expect(0)
        .says("restarted ganymede: ready as process");
    let third = service(&world, "dev-001");
    assert_ne!(pid(&third), second);
    assert_eq!(field(&third, "restarts"), 0);
    assert_eq!(answer(port, "level"), "debug");
    let restarted = world.lockgate(&["restart", "dev-001", "ganymede", "--format", "json"]);
    let result = restarted.expect(0).json();
    assert_eq!(result.pointer("/service/state").unwrap(), "ready");
    assert_ne!(pid(field(&result, "service")), pid(&third));

    // Without a name gateways and services alike.
    world
        .lockgate(&["stop", "dev-001"])
        .expect(0)
        .says("stopped ganymede");
    assert!(get(port, "/").is_none());
    world
        .lockgate(&["start", "dev-001"])
        .expect(0)
        .says("started ganymede");
    until_it_is(&world, "dev-001", "ready");

    let unknown = world.lockgate(&["restart", "dev-001", "ganimede"]);
    unknown
        .expect(2)
        .says("`gw-pool-dev-001-0`")
        .says("`ganymede`");
    world.stop();
}

#[test]
fn a_services_log_is_followed_over_its_restarts_and_shown_with_the_gateways() {
    let (world, port) = (World::new(), free_port());
    let workspace = workspace(&world, "monorepo", port);
    world.serve();
    created(&world, "dev-001", &workspace);
    let first = pid(&until_it_is(&world, "dev-001", "ready"));
    let follower = world.start("follow", &["logs", "dev-001", "ganymede", "-f"]);
    let until_shown = |line: &str| {
        until(
            &format!("`{line}` is shown"),
            Duration::from_secs(10),
            || world.written("follow").contains(line).then_some(()),
        );
    };
    until_shown(&format!("process {first} listens"));
    world
        .lockgate(&["restart", "dev-001", "ganymede"])
        .expect(0);
    let second = pid(&service(&world, "dev-001"));
    until_shown(&format!("process {second} listens"));
    get(port, "/of-the-follower").unwrap();
    until_shown("asked for /of-the-follower");
    interrupt(&world, follower);

    world.deploy("dev-001").expect(0);
    let all = world.lockgate(&["logs", "dev-001"]);
    all.expect(0).says("ganymede | process").says("gw-0     | ");
    let all = world.lockgate(&["logs", "dev-001", "--format", "json"]);
    let line = format!("process {second} listens");
    let told = all.expect(0).stdout.lines().find(|it| it.contains(&line));
    let told: Value = serde_json::from_str(told.unwrap()).unwrap();
    assert_eq!(field(&told, "service"), "ganymede");
    assert_eq!(field(&told, "gateway"), &Value::Null);
    world.stop();
}

#[test]
fn a_deploy_restarts_a_service_that_changed_and_leaves_one_that_did_not() {
    let (world, port) = (World::new(), free_port());
    let workspace = workspace(&world, "monorepo", port);
    world.serve();
    created(&world, "dev-001", &workspace);
    let first = pid(&until_it_is(&world, "dev-001", "ready"));
    world.deploy("dev-001").expect(0);
    assert_eq!(pid(&service(&world, "dev-001")), first);
    world
        .lockgate(&["wait", "dev-001", "--for", "ready"])
        .expect(0);

    settings(&workspace, port, "debug");
    world
        .deploy("dev-001")
        .expect(0)
        .says("restarted service ganymede");
    let second = pid(&until_it_is(&world, "dev-001", "ready"));
    assert_ne!(second, first);
    assert_eq!(answer(port, "level"), "debug");
    fs::write(workspace.path.join(".env.ganymede"), "SECRET=other\n").unwrap();
    world.deploy("dev-001").expect(0);
    until_it_is(&world, "dev-001", "ready");
    assert_eq!(answer(port, "secret"), "other");

    // One that is stopped is described anew and stays stopped.
    world.lockgate(&["stop", "dev-001", "ganymede"]).expect(0);
    settings(&workspace, port, "trace");
    world.deploy("dev-001").expect(0);
    assert_eq!(field(&service(&world, "dev-001"), "state"), "stopped");
    world.lockgate(&["start", "dev-001", "ganymede"]).expect(0);
    until_it_is(&world, "dev-001", "ready");
    assert_eq!(answer(port, "level"), "trace");

    // What is wrong with it is told before anything is published.
    fs::remove_file(workspace.path.join(".env.ganymede")).unwrap();
    let refused = world.deploy("dev-001");
    refused
        .expect(78)
        .says("`[services.ganymede] env_file` is `.env.ganymede`");
    assert!(get(port, "/").is_some());

    configure(&workspace, "");
    world
        .deploy("dev-001")
        .expect(0)
        .says("ended service ganymede");
    assert!(get(port, "/").is_none());
    assert_eq!(service(&world, "dev-001"), Value::Null);
    assert!(!world.home().join("envs/dev-001/services/ganymede").exists());
    world.stop();
}

#[test]
fn a_service_that_never_gets_ready_is_told_with_its_last_lines() {
    let (world, port) = (World::new(), free_port());
    let workspace = world.workspace("monorepo");
    let never = |command: &str| {
        configure(
            &workspace,
            &format!(
                "[services.ganymede]\ncommand = ['sh', '-c', '{command}']\n\
                 ready = 'tcp://127.0.0.1:{port}'\nready_timeout = '500ms'\n"
            ),
        );
    };
    never("echo about to wait; exec sleep 600");
    world.serve();
    created(&world, "dev-001", &workspace);
    let failing = until_it_is(&world, "dev-001", "backoff");
    let problem = field(&failing, "problem").as_str().unwrap();
    assert!(
        problem.starts_with("was not ready within 500ms: nothing listens"),
        "{problem}"
    );
    world.deploy("dev-001").expect(0).says("service ganymede");
    let restart = ["restart", "dev-001", "ganymede"];
    let restarted = world.lockgate(&restart);
    restarted
        .expect(1)
        .says("service `ganymede` of `dev-001` is not ready");
    restarted
        .says("was not ready within 500ms")
        .says("about to wait");
    never("echo no such thing >&2; exit 3");
    let restarted = world.lockgate(&restart);
    restarted
        .expect(1)
        .says("exited with code 3")
        .says("no such thing");
    assert!(
        !restarted.stderr.contains("about to wait"),
        "that was another start"
    );
    let waited = world.lockgate(&["wait", "dev-001", "--timeout", "1s"]);
    waited.expect(1).says("service `ganymede` is ");
    // The first try after it was mended is at once, not when the delay is over.
    never(&format!(
        "exec node -e \"require(String.fromCharCode(110,101,116)).createServer().listen({port})\""
    ));
    let mended = world.lockgate(&["restart", "dev-001", "ganymede", "--timeout", "20s"]);
    mended.expect(0).says("restarted ganymede");
    world.stop();
}

#[test]
fn a_service_goes_with_a_server_that_is_killed_and_comes_with_the_next() {
    let (world, port) = (World::new(), free_port());
    let workspace = workspace(&world, "monorepo", port);
    world.serve();
    created(&world, "dev-001", &workspace);
    let first = pid(&until_it_is(&world, "dev-001", "ready"));
    let server = world
        .lockgate(&["serve", "status", "--format", "json"])
        .json();
    let server = server.pointer("/server/pid").or(server.get("pid"));
    world.signal(server.and_then(Value::as_u64).unwrap(), Signal::SIGKILL);
    world.expect_empty();
    assert!(get(port, "/").is_none());

    world.serve();
    assert_ne!(pid(&until_it_is(&world, "dev-001", "ready")), first);
    world.lockgate(&["delete", "dev-001", "--yes"]).expect(0);
    assert!(get(port, "/").is_none(), "it ends with its environment");
    world.stop();
}

#[test]
fn services_of_two_environments_do_not_touch_each_other() {
    let (world, ports) = (World::new(), [free_port(), free_port()]);
    world.serve();
    for (env, port) in ["dev-001", "dev-002"].into_iter().zip(ports) {
        created(&world, env, &workspace(&world, env, port));
        until_it_is(&world, env, "ready");
        assert_eq!(answer(port, "env"), env);
    }
    let other = pid(&service(&world, "dev-002"));
    world
        .lockgate(&["restart", "dev-001", "ganymede"])
        .expect(0);
    world.lockgate(&["stop", "dev-001"]).expect(0);
    assert!(get(ports[0], "/").is_none());
    assert_eq!(answer(ports[1], "pid"), other);

    // In the other's place it is not started, and not taken for ready.
    let third = workspace(&world, "dev-003", ports[1]);
    created(&world, "dev-003", &third);
    let failing = until_it_is(&world, "dev-003", "backoff");
    let problem = field(&failing, "problem").as_str().unwrap();
    assert!(
        problem.starts_with("something else answers at"),
        "{problem}"
    );
    assert_eq!(answer(ports[1], "pid"), other);
    world.stop();
}

#[test]
fn up_starts_what_was_just_built_tells_its_crash_and_ends_it() {
    let (world, port) = (World::new(), free_port());
    let workspace = workspace(&world, "monorepo", port);
    // The service is not there before the build.
    let built = workspace.path.join("ganymede.js");
    fs::rename(&built, workspace.path.join("ganymede.src")).unwrap();
    let build = "[build]\ncommand = 'cp ganymede.src ganymede.js'\nsources = ['packages']\n";
    configure(&workspace, &format!("{build}{}", ganymede(port, "info")));
    fs::create_dir_all(workspace.path.join("packages")).unwrap();
    fs::write(workspace.path.join("packages/newer.ts"), "").unwrap();
    let root = workspace.path.display().to_string();
    let mut up = world.start("up", &["up", &root, "--gateways", "1"]);
    until("the service answers", Duration::from_mins(1), || {
        get(port, "/").map(drop)
    });
    let until_told = |text: &str| {
        until(
            &format!("`up` tells `{text}`"),
            Duration::from_mins(1),
            || world.written("up").contains(text).then_some(()),
        );
    };
    until_told("watching");
    let killed = pid(&until_it_is(&world, "dev-001", "ready"));
    world.signal(killed, Signal::SIGKILL);
    until_told("! ganymede: was killed by SIGKILL; it is started again");
    until_told("✓ ganymede: ready again");
    world.signal(up.id().into(), Signal::SIGINT);
    let ended = until("`up` ends", Duration::from_secs(20), || {
        up.try_wait().ok().flatten()
    });
    assert!(ended.success(), "{ended}: {}", world.written("up"));
    assert!(get(port, "/").is_none());
    world.stop();
}
