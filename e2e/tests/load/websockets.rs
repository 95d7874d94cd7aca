//! WebSockets through both doors while routes change beside them.
//!
//! ```text
//! clients ══ TLS ══▶ front door ──▶ the gateway's door ─┬─▶ application
//!                        ▲                 ▲            └─▶ a user container, 172.16.0.6
//!         org assign, release       routes set
//! ```

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lockgate_e2e::load::{Load, Mix, Outcome, Plan, Secured, Speaks};
use lockgate_e2e::{FrontDoor, World, until};

use super::{ENV, Gateway, LoadApplication, ONE, TWO, host};

/// WebSockets to the application, and to a user container.
const TO_APPLICATION: usize = 400;
const TO_CONTAINER: usize = 100;

/// Routes that come, and go again, one by one.
const ROUTES: usize = 100;
/// After how many changes of routes another organization is assigned, or released.
const ORGANIZATION_EVERY: usize = 20;

/// Where a user container is found in the VPN.
const CONTAINER: &str = "172.16.0.6";
const CONTAINER_PORT: u16 = 8080;

/// How long opening all of them may take, and echoing.
const WITHIN: Duration = Duration::from_mins(2);

/// A server at the container's address: the application of the load, moved.
struct Container(Child);

impl Container {
    fn start(world: &World, application: &LoadApplication) -> Self {
        assert!(
            world.add_address(&format!("{CONTAINER}/32")),
            "this needs a network of its own"
        );
        let text = std::fs::read_to_string(application.path.join("main.js")).unwrap();
        let there = format!("server.listen({CONTAINER_PORT}, '{CONTAINER}'");
        let moved = text.replace("server.listen(8888, '127.0.0.1'", &there);
        assert_ne!(moved, text);
        let file = world.dir().join("container.js");
        std::fs::write(&file, moved).unwrap();
        let child = Command::new("node")
            .arg(&file)
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn container() -> String {
    format!("uc-{TWO}.{}", host(ONE))
}

/// Sets all routes of the gateway: the container's, and so many others.
fn set_routes(gateway: &Gateway<'_>, others: usize) {
    let mut lines = format!("{} {CONTAINER} {CONTAINER_PORT}\n", container());
    for number in 0..others {
        let name = format!("uc-0d1b3c5e-0000-4000-9000-{number:012x}.{}", host(ONE));
        writeln!(lines, "{name} 172.16.1.{} 8080", number + 1).unwrap();
    }
    let mut agent = gateway.world.program("lockgate-agent");
    agent
        .args(["routes", "set", "--socket"])
        .arg(&gateway.socket);
    let mut child = agent
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(lines.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said.trim(), r#"{"status": "ok"}"#);
}

/// Keeps so many WebSockets open to a host, over TLS.
fn load(door: &FrontDoor, host: String, websockets: usize) -> Load {
    let plan = Plan {
        target: ([127, 0, 0, 1], door.https).into(),
        secured: Some(Secured {
            host,
            trusted: door.trusted.clone(),
            http_2: false,
        }),
        speaks: Speaks::LoadApplication,
        rate: 5,
        mix: Mix {
            new: 1,
            keep: 1,
            post: 0,
            slow: 0,
            stream: 0,
            upload: 0,
            late: 0,
        },
        websockets,
        most: 100_000,
        seed: 1,
    };
    Load::start(plan).unwrap()
}

/// Opens the WebSockets, changes routes and organizations beside them, and has each echo after
/// that; what became of those to the application and those to the container.
fn change_routes(world: &World, while_open: impl FnOnce(&Gateway<'_>)) -> [Outcome; 2] {
    let application = LoadApplication::new(world);
    let _container = Container::start(world, &application);
    let gateway = Gateway::of_pool(world, &application, 2);
    let door = gateway.serve(ONE);
    set_routes(&gateway, 0);
    let loads = [
        load(&door, host(ONE), TO_APPLICATION),
        load(&door, container(), TO_CONTAINER),
    ];
    let all_echo = |what: &str| {
        let before = loads.each_ref().map(Load::echoes);
        until(what, WITHIN, || {
            let echo = |(load, before): (&Load, &u64)| {
                let wanted = load.wanted_websockets();
                // Each says something once a second: twice as many echoes are from all of them.
                load.open_websockets() == wanted && load.echoes() >= before + 2 * wanted as u64
            };
            loads.iter().zip(&before).all(echo).then_some(())
        });
    };
    all_echo("all WebSockets are open and echo");

    let up = 1..=ROUTES;
    for (number, others) in up.clone().chain(up.rev().map(|it| it - 1)).enumerate() {
        set_routes(&gateway, others);
        if number % ORGANIZATION_EVERY == 0 {
            let act = match number / ORGANIZATION_EVERY % 2 {
                0 => "assign",
                _ => "release",
            };
            let other = ["org", act, ENV, TWO, "--wait", "ready"];
            world.lockgate(&other).expect(0);
        }
    }
    all_echo("all WebSockets echo after the changes");
    while_open(&gateway);
    loads.map(Load::stop)
}

#[test]
fn changes_of_routes_and_organizations_drop_no_websocket() {
    let world = World::new();
    let outcomes = change_routes(&world, |_| {});
    for (to, outcome) in ["the application", "a user container"]
        .iter()
        .zip(&outcomes)
    {
        let text = format!("to {to}: {outcome}");
        println!("{text}");
        let websockets = &outcome.websockets;
        assert_eq!(websockets.broken.len(), 0, "{text}");
        assert_eq!(websockets.not_opened.len(), 0, "{text}");
        assert_eq!(websockets.closes.len(), 0, "{text}");
        assert_eq!(outcome.losses.len(), 0, "{text}");
    }
    let opened = outcomes.iter().map(|it| it.websockets.opened);
    assert_eq!(opened.sum::<u64>(), (TO_APPLICATION + TO_CONTAINER) as u64);
}

/// What nginx of a gateway's door has left: processes, those of them that only finish what they
/// serve, and their memory.
fn workers_of_nginx(world: &World) -> String {
    let door = world
        .home()
        .join(format!("envs/{ENV}/gateways/0/door/nginx.pid"));
    let master = std::fs::read_to_string(door).unwrap();
    let master = master.trim();
    let children = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children"));
    let (mut all, mut finishing, mut kib) = (0, 0, 0);
    for pid in children.unwrap().split_whitespace() {
        let title = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|text| text.trim().strip_suffix(" kB"));
        all += 1;
        finishing += usize::from(String::from_utf8_lossy(&title).contains("shutting down"));
        kib += resident
            .and_then(|text| text.parse::<u64>().ok())
            .unwrap_or_default();
    }
    format!("{all} workers, {finishing} of them shutting down, {kib} KiB resident")
}

/// The same on nginx's terms, as a figure: `cargo nextest run -p lockgate-e2e --test load
/// --run-ignored only --no-capture by_nginx`.
#[test]
#[ignore = "measures; nothing is asserted of nginx"]
fn changes_of_routes_by_nginx() {
    let world = World::with_agents_told(&[("LOCKGATE_DOOR", "nginx")]);
    let outcomes = change_routes(&world, |_| println!("{}", workers_of_nginx(&world)));
    for (to, outcome) in ["the application", "a user container"]
        .iter()
        .zip(&outcomes)
    {
        let websockets = &outcome.websockets;
        println!(
            "to {to}: {} opened, {:?} closed, {} broken; {} of {} requests lost",
            websockets.opened,
            websockets.codes(),
            websockets.broken.len(),
            outcome.losses.len(),
            outcome.sent_in_all(),
        );
    }
}
