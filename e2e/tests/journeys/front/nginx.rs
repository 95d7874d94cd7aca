//! nginx in the front door's place, kept by the server.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use lockgate_e2e::{FrontDoor, Signal, Workspace, World, listening_ports, until};

use super::{ONE, TWO, assign, configure, create, host, until_answered, variable, workspace};

/// Each change is a reload of nginx.
const LONG: Duration = Duration::from_secs(30);

/// A server whose front door nginx serves, and `dev-001` with gateways that run.
fn by_nginx(world: &World, workspace: &Workspace, gateways: u32) -> FrontDoor {
    let serve = ["serve", "--detach", "--front", "nginx"];
    world.lockgate(&serve).expect(0).says("served by nginx");
    create(world, "dev-001", "dev-001.localhost", workspace, gateways);
    world.deploy("dev-001").expect(0);
    FrontDoor::of(world)
}

/// nginx's master process.
fn nginx(world: &World) -> Option<u64> {
    let file = world.home().join("nginx/front/nginx.pid");
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[test]
fn nginx_serves_the_front_door_and_comes_back_when_it_is_killed() {
    let world = World::new();
    let door = by_nginx(&world, &workspace(&world), 2);
    assign(&world, "dev-001", ONE);
    let answer = until_answered(&door, &host(ONE), "is served", |it| it.status == 200);
    let id = variable(&answer.json(), "ORGANIZATION_ID");
    assert_eq!(id.as_deref(), Some(ONE), "{answer:?}");
    let master = nginx(&world).expect("nginx runs");
    assert!(listening_ports(master).contains(&door.https));
    let plain = format!("http://{}:{}/a?b=c", host(ONE), door.http);
    let led = door.curl(&[&plain]);
    let expected = format!("https://{}:{}/a?b=c", host(ONE), door.https);
    assert_eq!((led.status, led.location), (308, expected));
    // The certificate of containers' names is made with the organization.
    let container = door.get(&format!("uc-{TWO}.{}", host(ONE)), "/");
    assert_ne!(container.status, 0, "{container:?}");

    let unserved = door.get(&host(TWO), "/");
    assert_eq!(unserved.status, 404, "{unserved:?}");
    assign(&world, "dev-001", TWO);
    until_answered(&door, &host(TWO), "is served", |it| it.status == 200);
    let release = ["org", "release", "dev-001", TWO, "--wait", "ready"];
    world.lockgate(&release).expect(0);
    until_answered(&door, &host(TWO), "is released", |it| it.status == 404);

    let killed = until("nginx runs", LONG, || nginx(&world));
    world.signal(killed, Signal::SIGKILL);
    until("another nginx runs", LONG, || {
        nginx(&world).filter(|pid| *pid != killed)
    });
    until_answered(&door, &host(ONE), "is served again", |it| it.status == 200);
    let status = world.lockgate(&["serve", "status", "--format", "json"]);
    let status = status.expect(0).json();
    let front = &status["server"]["front"];
    assert_eq!(front["driver"], "nginx");
    until("nothing is wrong any more", LONG, || {
        let status = world.lockgate(&["serve", "status", "--format", "json"]);
        status.json()["server"]["front"]["problem"]
            .is_null()
            .then_some(())
    });

    world.lockgate(&["stop", "dev-001", "0"]).expect(0);
    let stopped = until_answered(&door, &host(ONE), "is stopped", |it| it.status == 503);
    let why = "gateway `gw-pool-dev-001-0` does not run: it was stopped";
    assert!(stopped.body.contains(why), "{stopped:?}");
    world.lockgate(&["start", "dev-001", "0"]).expect(0);
    until_answered(&door, &host(ONE), "is back", |it| it.status == 200);
}

#[test]
fn nginx_ends_with_its_server_however_that_ends() {
    let world = World::new();
    let door = by_nginx(&world, &workspace(&world), 1);
    assign(&world, "dev-001", ONE);
    until_answered(&door, &host(ONE), "is served", |it| it.status == 200);
    world.stop();

    world
        .lockgate(&["serve", "--detach", "--front", "nginx"])
        .expect(0);
    let door = FrontDoor::of(&world);
    until_answered(&door, &host(ONE), "is served anew", |it| it.status == 200);
    let status = world.lockgate(&["serve", "status", "--format", "json"]);
    let server = status.json()["server"]["pid"].as_u64().unwrap();
    world.signal(server, Signal::SIGKILL);
    world.expect_empty();
}

/// A certificate that the server takes and nginx refuses: OpenSSL believes no signature by SHA-1.
fn signed_by_sha1(folder: &Path, names: &str) {
    let openssl = |args: &str| {
        let output = Command::new("openssl")
            .args(args.split(' '))
            .current_dir(folder)
            .output();
        let output = output.unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    std::fs::write(folder.join("names"), format!("subjectAltName={names}\n")).unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!(
        "req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=ca"
    ));
    openssl(&format!(
        "req {key} -keyout own.key -out own.csr -subj /CN=own"
    ));
    openssl(
        "x509 -req -sha1 -in own.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 \
         -extfile names -out own.pem",
    );
}

#[test]
fn a_certificate_that_nginx_refuses_leaves_the_other_environments_alone() {
    let world = World::new();
    let workspace = workspace(&world);
    let door = by_nginx(&world, &workspace, 1);
    create(&world, "dev-002", "dev-002.localhost", &workspace, 1);
    assign(&world, "dev-001", ONE);
    until_answered(&door, &host(ONE), "is served", |it| it.status == 200);
    signed_by_sha1(&workspace.path, "DNS:*.dev-001.localhost");
    let own = "[env.dev-001.front]\ncertificate = 'own.pem'\nkey = 'own.key'\n";
    configure(&workspace, own);
    world.deploy("dev-001").expect(0);
    let refused = world.home().join("nginx/front/refused/dev-001.conf");
    let told = until("the refusal is told", LONG, || {
        let status = world.lockgate(&["serve", "status"]);
        let told = status
            .stderr
            .contains("`dev-001` is served as before: nginx refused");
        told.then_some(status.stderr)
    });
    assert!(told.contains("ca md too weak"), "{told}");
    let text = std::fs::read_to_string(&refused).unwrap();
    assert!(text.contains(&host(ONE)), "{text}");
    // It is served as before, and the other environment follows what changes.
    assert_eq!(door.get(&host(ONE), "/").status, 200);
    world.deploy("dev-002").expect(0);
    assign(&world, "dev-002", TWO);
    let other = format!("org-{TWO}.dev-002.localhost");
    until_answered(&door, &other, "is served", |it| it.status == 200);

    configure(
        &workspace,
        "[env.dev-001.front]\ncertificate = 'none.pem'\nkey = 'own.key'\n",
    );
    world.deploy("dev-001").expect(0);
    until("the file is told that is missing", LONG, || {
        let status = world.lockgate(&["serve", "status"]);
        let told = status
            .stderr
            .contains("the certificate of `dev-001` cannot be used: `");
        (told && !refused.exists()).then_some(())
    });
    assert_eq!(door.get(&host(ONE), "/").status, 200);
    assert_eq!(door.get(&other, "/").status, 200);
}

#[test]
fn a_driver_that_is_none_is_refused() {
    let world = World::new();
    let serve = ["serve", "--front", "caddy"];
    world
        .lockgate(&serve)
        .expect(2)
        .says("'caddy' for '--front <embedded|nginx>'");
    let output = world
        .program("lockgate")
        .args(["serve", "--detach"])
        .env("LOCKGATE_FRONT", "caddy")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("`LOCKGATE_FRONT` is `caddy`"), "{said}");
}
