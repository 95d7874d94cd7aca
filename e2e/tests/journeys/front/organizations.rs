//! Assigned, reached, released; by command and by the control socket.

use std::path::PathBuf;
use std::process::Command;

use lockgate_e2e::{FrontDoor, World};
use serde_json::{Value, json};

use super::{ONE, TWO, assign, host, running, until_answered, variable, workspace};

#[test]
fn an_organization_is_reached_by_its_name_until_it_is_released() {
    let world = World::new();
    let door = running(&world, &workspace(&world), 2);
    assign(&world, "dev-001", ONE);
    let url = format!("https://{}:{}/", host(ONE), door.https);

    let second = door.curl(&["--http2", &url]);
    assert_eq!(
        (second.status, second.version.as_str()),
        (200, "2"),
        "{second:?}"
    );
    let first = door.curl(&["--http1.1", &url]);
    assert_eq!(
        (first.status, first.version.as_str()),
        (200, "1.1"),
        "{first:?}"
    );
    assert_eq!(first.json(), second.json());
    let id = variable(&second.json(), "ORGANIZATION_ID");
    assert_eq!(id.as_deref(), Some(ONE));
    let container = format!("uc-{TWO}.{}", host(ONE));
    assert_ne!(
        door.get(&container, "/").status,
        0,
        "its certificate is good"
    );

    let unknown = door.get(&host(TWO), "/");
    assert_eq!(unknown.status, 404, "{unknown:?}");
    let command = format!("lockgate org assign dev-001 {TWO}");
    assert!(unknown.body.contains(&command), "{unknown:?}");

    let plain = format!("http://{}:{}/a?b=c", host(ONE), door.http);
    let led = door.curl(&[&plain]);
    assert_eq!(led.status, 308, "{led:?}");
    assert_eq!(led.location, format!("{url}a?b=c"));

    world.lockgate(&["stop", "dev-001", "0"]).expect(0);
    let stopped = until_answered(&door, &host(ONE), "is stopped", |it| it.status == 503);
    let why = "gateway `gw-pool-dev-001-0` does not run: it was stopped";
    assert!(stopped.body.contains(why), "{stopped:?}");
    let urls = world.lockgate(&["urls", "dev-001"]);
    urls.expect(0)
        .says("! answers 503: lockgate status dev-001")
        .says("! is stopped: lockgate start dev-001 0");
    world.lockgate(&["start", "dev-001", "0"]).expect(0);
    until_answered(&door, &host(ONE), "is back", |it| it.status == 200);

    let release = ["org", "release", "dev-001", ONE, "--wait", "ready"];
    world.lockgate(&release).expect(0);
    until_answered(&door, &host(ONE), "is released", |it| it.status == 404);
}

fn control_socket(world: &World) -> PathBuf {
    let folder = world.dir().join("lockgate");
    let sockets = std::fs::read_dir(folder).unwrap().flatten();
    // Those of agents have the gateway after a dash.
    let is_the_server_s = |path: &PathBuf| {
        let is_socket = path.extension().is_some_and(|it| it == "sock");
        let name = path.file_stem().and_then(|name| name.to_str());
        is_socket && name.is_some_and(|name| !name.contains('-'))
    };
    let mut all = sockets.map(|it| it.path()).filter(is_the_server_s);
    all.next().unwrap()
}

/// Asks the control socket with curl; status and body.
fn ask(door: &FrontDoor, world: &World, method: &str, path: &str) -> (u16, Value) {
    let socket = control_socket(world).display().to_string();
    let url = format!("http://lockgate/v1/environments/{path}");
    let answer = door.curl(&["--unix-socket", &socket, "--request", method, &url]);
    (answer.status, answer.json())
}

#[test]
fn a_controller_assigns_and_releases_by_the_control_socket() {
    let world = World::new();
    let door = running(&world, &workspace(&world), 1);
    let path = |organization: &str| format!("dev-001/organizations/{organization}");
    let url = format!("https://{}:{}/", host(ONE), door.https);
    let (status, told) = ask(&door, &world, "PUT", &path(ONE));
    let expected = json!({
        "organization": ONE, "env": "dev-001", "gateway": "gw-pool-dev-001-0", "number": 0,
        "url": url, "new": true,
    });
    assert_eq!((status, told), (201, expected));
    // The front door has it when it is answered; the gateway follows by itself.
    assert_eq!(door.get(&host(ONE), "/").status, 200);
    until_answered(&door, &host(ONE), "knows its organization", |it| {
        variable(&it.json(), "ORGANIZATION_ID").as_deref() == Some(ONE)
    });
    let (status, told) = ask(&door, &world, "PUT", &path(TWO));
    assert_eq!((status, &told["reason"]), (409, &json!("none-left")));
    let listed = world.lockgate(&["org", "list", "--format", "json"]).json();
    assert_eq!(listed["organizations"][0]["organization"], ONE);

    assert_eq!(ask(&door, &world, "DELETE", &path(ONE)).0, 200);
    assert_eq!(door.get(&host(ONE), "/").status, 404);
    let (status, told) = ask(&door, &world, "DELETE", &path(ONE));
    assert_eq!((status, &told["reason"]), (404, &json!("unserved")));
}

/// What a program does that trusts the authority by `NODE_EXTRA_CA_CERTS`. Where the machine's own
/// resolver does not know names below `localhost`, they are looked up here.
const FETCH: &str = "
const dns = require('node:dns');
const { lookup } = dns;
dns.lookup = (name, options, done) =>
  lookup(name.endsWith('.localhost') ? '127.0.0.1' : name, options, done);
fetch(process.argv[1]).then(async (answer) =>
  console.log(JSON.stringify({ status: answer.status, ...(await answer.json()) })));
";

#[test]
fn a_node_program_reaches_an_organization_with_the_authority_alone() {
    let world = World::new();
    let door = running(&world, &workspace(&world), 1);
    assign(&world, "dev-001", ONE);
    let url = format!("https://{}:{}/", host(ONE), door.https);
    let fetch = |trusts: bool| {
        let mut command = Command::new("node");
        command
            .args(["-e", FETCH, &url])
            .env_remove("NODE_EXTRA_CA_CERTS");
        if trusts {
            command.env("NODE_EXTRA_CA_CERTS", &door.trusted);
        }
        command.output().unwrap()
    };
    let output = fetch(true);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert_eq!(answer["status"], 200, "{output:?}");
    assert_eq!(variable(&answer, "ORGANIZATION_ID").as_deref(), Some(ONE));
    let refused = String::from_utf8_lossy(&fetch(false).stderr).into_owned();
    assert!(refused.contains("UNABLE_TO_"), "{refused}");
}
