//! What the host gives an application: tokens that a platform can verify, and variables that are
//! in no file; and environments that grow and shrink while they serve.

use std::process::Command;
use std::time::Duration;

use lockgate_e2e::{Workspace, World, get, until};
use serde_json::{Value, json};

/// An application that tells what it was given.
const APPLICATION: &str = "\
const { GATEWAY_ID, GATEWAY_TOKEN, SECRET, LEVEL } = process.env;
if (LEVEL === 'bad') throw new Error('there is no such level');
require('node:http')
  .createServer((request, response) =>
    response.end(JSON.stringify({ pid: process.pid, GATEWAY_ID, GATEWAY_TOKEN, SECRET, LEVEL })))
  .listen(8888, '127.0.0.1');
";

/// Verifies a token as a platform would: by a library of its own, with the printed keys alone.
const VERIFY: &str = "
const crypto = require('node:crypto');
const [jwks, token] = process.argv.slice(1);
const [header, claims, signature] = token.split('.');
const read = (part) => JSON.parse(Buffer.from(part, 'base64url'));
const jwk = JSON.parse(jwks).keys.find(({ kid }) => kid === read(header).kid);
const key = { key: crypto.createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' };
const signed = Buffer.from(header + '.' + claims);
const good = crypto.verify('sha256', signed, key, Buffer.from(signature, 'base64url'));
console.log(JSON.stringify({ good, ...read(claims) }));
";

fn workspace(world: &World) -> Workspace {
    let workspace = world.workspace("monorepo");
    let settings = "[app]\nenv = { LEVEL = 'all' }\n[app.limits]\ntrial = '1s'\n\
                    [env.dev-002.app]\nenv = { LEVEL = 'own' }\n\
                    [env.dev-003.registration]\n\
                    command = ['sh', '-c', 'echo gateway_id: 550e8400-e29b-41d4-a716-446655440000; echo token: of-the-platform']\n";
    std::fs::write(workspace.path.join("lockgate.toml"), settings).unwrap();
    workspace.edit(|_| APPLICATION.to_owned());
    workspace
}

fn create(world: &World, env: &str, workspace: &Workspace, gateways: &str) {
    let path = workspace.path.display().to_string();
    let domain = format!("{env}.localhost");
    let args = ["create", env, &domain, &path, "--gateways", gateways];
    world.lockgate(&args).expect(0);
}

/// One field of what each application tells, or of each gateway in `status`.
fn fields(all: &[Value], name: &str) -> Vec<Value> {
    all.iter().map(|one| one[name].clone()).collect()
}

fn verified(world: &World, env: &str, token: &Value) -> Value {
    let keys = world.lockgate(&["keys", env]).stdout;
    let output = Command::new("node")
        .args(["-e", VERIFY, &keys, token.as_str().unwrap()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn tokens_verify_with_the_printed_keys_and_old_ones_are_replaced_by_a_deploy() {
    let world = World::new();
    let workspace = workspace(&world);
    create(&world, "dev-001", &workspace, "2");
    // A gateway as earlier versions made it.
    let folder = world.home().join("envs/dev-001/gateways/1");
    std::fs::write(folder.join("app-token"), "ab".repeat(32)).unwrap();
    world.serve();
    world
        .deploy("dev-001")
        .expect(0)
        .says("a new GATEWAY_TOKEN, valid for a year, goes to gw-pool-dev-001-1");
    for told in world.answers("dev-001") {
        let claims = verified(&world, "dev-001", &told["GATEWAY_TOKEN"]);
        assert_eq!(claims["good"], true, "{claims}");
        assert_eq!(claims["type"], "gateway_token");
        assert_eq!(claims["gateway_id"], told["GATEWAY_ID"]);
        assert_eq!(claims["iss"], "lockgate:dev-001");
        let (iat, exp) = (claims["iat"].as_u64(), claims["exp"].as_u64());
        assert_eq!(exp.unwrap() - iat.unwrap(), 365 * 24 * 60 * 60);
    }
    let ends = fields(&world.gateways("dev-001"), "token_expires");
    assert!(ends.iter().all(Value::is_u64), "{ends:?}");
    // The platform's own token is passed on as it is.
    create(&world, "dev-003", &workspace, "1");
    let deployed = world.deploy("dev-003");
    assert!(!deployed.expect(0).stderr.contains("GATEWAY_TOKEN"));
    let told = world.answers("dev-003");
    assert_eq!(told[0]["GATEWAY_TOKEN"], "of-the-platform");
    assert_eq!(
        told[0]["GATEWAY_ID"],
        "550e8400-e29b-41d4-a716-446655440000"
    );
    // With nothing to renew a deploy changes nothing.
    let pids = fields(&world.gateways("dev-001"), "pid");
    let again = world.deploy("dev-001");
    assert!(!again.expect(0).stderr.contains("GATEWAY_TOKEN"));
    assert_eq!(fields(&world.gateways("dev-001"), "pid"), pids);
}

#[test]
fn variables_take_effect_by_a_restart_and_outlive_deploys() {
    let world = World::new();
    let workspace = workspace(&world);
    create(&world, "dev-001", &workspace, "2");
    create(&world, "dev-002", &workspace, "1");
    world.serve();
    world
        .lockgate(&["set", "dev-001", "SECRET=before"])
        .expect(0);
    world.deploy("dev-001").expect(0);
    world.deploy("dev-002").expect(0);
    let secrets = || fields(&world.answers("dev-001"), "SECRET");
    let pids = || fields(&world.gateways("dev-001"), "pid");
    let agents = || fields(&world.gateways("dev-001"), "agent_pid");
    assert_eq!(secrets(), ["before", "before"]);
    let other = world.answers("dev-002");
    assert_eq!(
        (&other[0]["SECRET"], &other[0]["LEVEL"]),
        (&Value::Null, &json!("own"))
    );

    // One gateway's own, and nobody else is touched.
    let (before, keepers) = (pids(), agents());
    let args = ["set", "dev-001", "-g", "1", "SECRET=hunter2", "LEVEL=mine"];
    world.lockgate(&args).expect(0).says("gw-pool-dev-001-1");
    assert_eq!(secrets(), ["before", "hunter2"]);
    assert_eq!(fields(&world.answers("dev-001"), "LEVEL"), ["all", "mine"]);
    assert_eq!(pids()[0], before[0]);
    assert_ne!(pids()[1], before[1]);
    assert_eq!(agents(), keepers, "no gateway is made anew");

    // A new build and a restart keep them.
    workspace.edit(|text| format!("{text}// another build\n"));
    world.deploy("dev-001").expect(0);
    let restart = ["restart", "dev-001", "--no-build", "--wait", "ready"];
    world.lockgate(&restart).expect(0);
    assert_eq!(secrets(), ["before", "hunter2"]);

    // What the application does not start with is refused, and it runs on as it was.
    let bad = ["set", "dev-001", "-g", "0", "LEVEL=bad"];
    world
        .lockgate(&bad)
        .expect(1)
        .says("with its new settings")
        .says("`lockgate set dev-001 --unset NAME` takes one back");
    assert_eq!(fields(&world.answers("dev-001"), "LEVEL"), ["all", "mine"]);
    let unset = ["set", "dev-001", "-g", "0", "--unset", "LEVEL"];
    world.lockgate(&unset).expect(0);
    assert_eq!(fields(&world.answers("dev-001"), "LEVEL"), ["all", "mine"]);

    // Taken away, what is below is uncovered.
    let unset = [
        "set", "dev-001", "-g", "1", "--unset", "SECRET", "--unset", "LEVEL",
    ];
    world.lockgate(&unset).expect(0);
    assert_eq!(secrets(), ["before", "before"]);
    assert_eq!(fields(&world.answers("dev-001"), "LEVEL"), ["all", "all"]);
    world
        .lockgate(&["set", "dev-001", "--unset", "SECRET"])
        .expect(0);
    assert_eq!(secrets(), [Value::Null, Value::Null]);
}

#[test]
fn new_gateways_run_the_environments_build_at_once_and_others_go_whole() {
    let world = World::new();
    let workspace = workspace(&world);
    create(&world, "dev-001", &workspace, "2");
    world.serve();
    world
        .lockgate(&["set", "dev-001", "SECRET=shared"])
        .expect(0);
    world.deploy("dev-001").expect(0);
    let before = fields(&world.gateways("dev-001"), "pid");

    world
        .lockgate(&["scale", "dev-001", "4"])
        .expect(0)
        .says("gw-pool-dev-001-2, gw-pool-dev-001-3 are new");
    let gateways = world.gateways("dev-001");
    let running = fields(&gateways, "running_build");
    assert!(
        running.iter().all(|build| *build == running[0]),
        "{gateways:?}"
    );
    assert_eq!(fields(&world.answers("dev-001"), "SECRET"), ["shared"; 4]);
    assert_eq!(fields(&gateways, "pid")[..2], before);

    // One that is pinned does not go by the way.
    let pin = ["deploy", "dev-001", "-g", "3", "--wait", "ready"];
    world.lockgate(&pin).expect(0);
    let ports = world.ports("dev-001");
    let scale = ["scale", "dev-001", "1"];
    world
        .lockgate(&scale)
        .expect(1)
        .says("`gw-pool-dev-001-3` is pinned to build")
        .says("--force");
    assert_eq!(world.ports("dev-001"), ports);
    world
        .lockgate(&["scale", "dev-001", "1", "--force"])
        .expect(0)
        .says("dev-001 has 1 gateway");
    assert_eq!(world.ports("dev-001"), ports[..1]);
    assert_eq!(fields(&world.gateways("dev-001"), "pid"), before[..1]);
    for port in &ports[1..] {
        until("nobody listens any more", Duration::from_secs(10), || {
            std::net::TcpStream::connect(("127.0.0.1", *port))
                .is_err()
                .then_some(())
        });
    }
    let left = std::fs::read_dir(world.home().join("envs/dev-001/gateways")).unwrap();
    assert_eq!(left.count(), 1);
    assert_eq!(get(ports[0], "/").map(|answer| answer.status), Some(200));
}
