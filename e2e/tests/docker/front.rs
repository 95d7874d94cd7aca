//! Inside gateways the front door's names lead to it, with verification on.

use lockgate_e2e::{FrontDoor, Ran, Workspace, World, get, until};
use serde_json::{Value, json};

use crate::{LONG, is_ready, settings, until_gateway};

const ONE: &str = "0d1b3c5e-0000-4000-8000-000000000001";
const TWO: &str = "0d1b3c5e-0000-4000-8000-000000000002";
/// curl takes every name below `localhost` for its own host, so this is none.
const DOMAIN: &str = "dev-001.test";
/// Where the front door is for containers.
const BRIDGE: &str = "172.17.0.1";
const FIRST: &str = "gw-pool-dev-001-0";

/// A workspace whose application asks others, and a site for `ganymede.`.
fn workspace(world: &World) -> Workspace {
    let workspace = world.workspace("monorepo");
    workspace.edit(|_| include_str!("../../apps/asks/main.js").to_owned());
    std::fs::create_dir(workspace.path.join("site")).unwrap();
    std::fs::write(workspace.path.join("site/index.html"), "the platform").unwrap();
    settings(&workspace, "[front]\nganymede = 'site'\n");
    workspace
}

/// Two gateways, each with an organization.
fn running(world: &World, workspace: &Workspace) {
    let path = workspace.path.display().to_string();
    world.serve();
    let create = ["create", "dev-001", DOMAIN, &path, "--runtime", "docker"];
    world
        .lockgate(&[&create[..], &["--gateways", "2"]].concat())
        .expect(0);
    for organization in [ONE, TWO] {
        let assign = ["org", "assign", "dev-001", organization];
        world.lockgate(&assign).expect(0);
    }
    world.deploy("dev-001").expect(0);
}

fn host(organization: &str) -> String {
    format!("org-{organization}.{DOMAIN}")
}

/// A command in the first gateway, with the variables that its application has for OpenSSL.
fn inside(world: &World, command: &[&str]) -> Ran {
    let told = get(world.ports("dev-001")[0], "/").unwrap().json();
    let bundle = format!("SSL_CERT_FILE={}", told["SSL_CERT_FILE"].as_str().unwrap());
    let exec = ["exec", "--env", &bundle, FIRST];
    world.engine().run(&[&exec[..], command].concat())
}

/// What the first gateway's application is answered there.
fn fetched(world: &World, url: &str) -> Value {
    let path = format!("/fetch?url={url}");
    get(world.ports("dev-001")[0], &path).unwrap().json()
}

/// The lines of the first gateway's hosts file: the engine's, and the agent's without its markers.
fn hosts(world: &World) -> (Vec<String>, Vec<String>) {
    // One that is being started again has none at this moment.
    let text = world
        .engine()
        .run(&["exec", FIRST, "cat", "/etc/hosts"])
        .stdout;
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    let mut within = false;
    for line in text.lines() {
        match line {
            line if line.starts_with("# begin lockgate") => within = true,
            "# end lockgate" => within = false,
            line if within => ours.push(line.to_owned()),
            line => theirs.push(line.to_owned()),
        }
    }
    (theirs, ours)
}

fn until_names(world: &World, what: &str, names: &[&str]) {
    let expected: Vec<String> = match names {
        [] => Vec::new(),
        names => vec![format!("{BRIDGE}\t{}", names.join(" "))],
    };
    until(what, LONG, || (hosts(world).1 == expected).then_some(()));
}

/// Where containers reach the front door.
fn front(world: &World) -> Value {
    let status = world.lockgate(&["serve", "status", "--format", "json"]);
    status.expect(0).json()["server"]["front"]["containers"].clone()
}

fn serve_with_https(world: &World, port: &str) {
    world.stop();
    let mut serve = world.program("lockgate");
    serve.args(["serve", "--detach"]);
    serve.env("LOCKGATE_HTTPS_PORT", port);
    assert!(serve.status().unwrap().success());
}

#[test]
fn names_of_the_front_door_work_in_gateways_with_verification_on() {
    let world = World::with_engine();
    let workspace = workspace(&world);
    running(&world, &workspace);
    let ganymede = format!("ganymede.{DOMAIN}");
    let (own, other) = (host(ONE), host(TWO));
    until_names(&world, "its names are there", &[DOMAIN, &ganymede, &own]);
    assert_eq!(front(&world), json!([format!("{BRIDGE}:443")]));

    let of_own = inside(&world, &["curl", "-fsS", &format!("https://{own}/")]);
    assert_eq!(of_own.expect(0).json()["host"], FIRST);
    assert_eq!(of_own.json()["ORGANIZATION_ID"], ONE);
    let distrusts = ["exec", FIRST, "curl", "-fsS", &format!("https://{own}/")];
    world.engine().run(&distrusts).expect(60);
    // The system's own certificates are in the file, too.
    let count = "grep -c BEGIN /etc/ssl/certs/ca-certificates.crt; grep -c BEGIN $SSL_CERT_FILE";
    let counts = inside(&world, &["sh", "-c", count])
        .expect(0)
        .stdout
        .clone();
    let counts: Vec<u32> = counts.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(counts[0] + 1, counts[1]);

    // Node's own fetch, with nothing said to it.
    let site = fetched(&world, &format!("https://{ganymede}/"));
    assert_eq!(site, json!({"status": 200, "body": "the platform"}));
    let itself = fetched(&world, &format!("https://{own}/"));
    assert_eq!(itself["status"], 200, "{itself}");

    // Another organization's name is no name here; at the front door it is one all the same.
    let resolve = format!("{other}:443:{BRIDGE}");
    let url = format!("https://{other}/");
    let of_other = inside(&world, &["curl", "-fsS", "--resolve", &resolve, &url]);
    assert_eq!(of_other.expect(0).json()["host"], "gw-pool-dev-001-1");
    let unknown = fetched(&world, &url);
    assert!(unknown["error"].is_string(), "{unknown}");

    let (theirs, _) = hosts(&world);
    world
        .lockgate(&["org", "release", "dev-001", ONE, "--wait", "ready"])
        .expect(0);
    until_names(
        &world,
        "its organization's name is gone",
        &[DOMAIN, &ganymede],
    );
    assert_eq!(hosts(&world).0, theirs);

    // The engine writes the file anew for each start.
    world.engine().docker(&["restart", FIRST]);
    until_names(&world, "they are back", &[DOMAIN, &ganymede]);
}

#[test]
fn where_the_usual_port_is_taken_containers_are_served_on_another() {
    let world = World::with_engine();
    let workspace = workspace(&world);
    let _held = std::net::TcpListener::bind((BRIDGE, 443)).unwrap();
    running(&world, &workspace);
    let port = FrontDoor::of(&world).https;
    assert_eq!(front(&world), json!([format!("{BRIDGE}:{port}")]));
    let told = format!("front door for containers on https://{BRIDGE}:{port}");
    world.lockgate(&["serve", "status"]).expect(0).says(&told);
    let site = fetched(&world, &format!("https://ganymede.{DOMAIN}:{port}/"));
    assert_eq!(site, json!({"status": 200, "body": "the platform"}));
}

#[test]
fn names_and_trust_follow_the_server_without_a_new_container() {
    let world = World::with_engine();
    let workspace = workspace(&world);
    running(&world, &workspace);
    let ganymede = format!("ganymede.{DOMAIN}");
    let names = [DOMAIN, &ganymede, &host(ONE)];
    until_names(&world, "its names are there", &names);
    let life = || {
        let shown = world.engine().inspect(FIRST);
        (shown["Id"].clone(), shown["State"]["StartedAt"].clone())
    };
    let (before, theirs) = (life(), hosts(&world).0);

    serve_with_https(&world, "off");
    until_names(&world, "there is no front door", &[]);
    assert_eq!(
        (hosts(&world).0, front(&world)),
        (theirs.clone(), json!([]))
    );

    // Another authority, as where somebody has removed the first.
    let authority = || std::fs::read_to_string(world.home().join("ca/trusted.pem")).unwrap();
    let first = authority();
    std::fs::remove_dir_all(world.home().join("ca")).unwrap();
    serve_with_https(&world, "0");
    until_names(&world, "its names are back", &names);
    until("the new authority is there", LONG, || {
        let cat = ["exec", FIRST, "cat", "/etc/lockgate/ca.pem"];
        let there = world.engine().run(&cat).stdout;
        (there == authority() && there != first).then_some(())
    });
    assert!(!authority().contains("PRIVATE KEY"));
    world
        .lockgate(&[
            "restart",
            "dev-001",
            "gateway",
            "--no-build",
            "--wait",
            "ready",
        ])
        .expect(0);
    until_gateway(&world, "it is ready", "dev-001", 0, is_ready);
    let site = fetched(&world, &format!("https://{ganymede}/"));
    assert_eq!(site, json!({"status": 200, "body": "the platform"}));
    assert_eq!((life(), hosts(&world).0), (before, theirs));
}

#[test]
fn clients_of_a_vpn_get_nothing_at_the_front_door() {
    let world = World::with_engine();
    let workspace = workspace(&world);
    running(&world, &workspace);
    let engine = world.engine();
    engine.docker(&["network", "create", "--subnet", "172.16.9.0/24", "vpn"]);
    let ask = |network: &str| {
        let resolve = format!("{DOMAIN}:443:{BRIDGE}");
        let url = format!("https://{DOMAIN}/");
        let run = ["run", "--rm", "--network", network, &engine.base, "curl"];
        let curl = ["-ksS", "-o", "/dev/null", "-w", "%{http_code}"];
        engine.run(&[&run[..], &curl, &["--resolve", &resolve, &url]].concat())
    };
    let bridge = ask("bridge");
    // There is no site for the domain itself.
    assert_eq!(bridge.expect(0).stdout, "404");
    let vpn = ask("vpn");
    assert_eq!(vpn.stdout, "000", "{vpn:?}");
    assert!(
        ["reset by peer", "SSL_ERROR_SYSCALL", "unexpected eof"]
            .iter()
            .any(|how| vpn.stderr.contains(how)),
        "{vpn:?}"
    );
}
