//! Reloads under load: what clients lose by them.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends by panic"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lockgate_e2e::load::{Class, Load, Mix, Outcome, Plan, Speaks};
use lockgate_e2e::{World, listening_ports, until};
use serde_json::Value;

const ENV: &str = "dev-001";

/// Every second one is a new build, the others start the same build again.
const RELOADS: usize = 20;

/// Requests a second of each of the two loads.
const RATE: u32 = 150;

/// As many reloads, and requests, on a Node that is not the default one: what differs
/// there shows at once.
const RELOADS_ELSEWHERE: usize = 6;
const RATE_ELSEWHERE: u32 = 75;

/// WebSockets of each of the two loads.
const WEBSOCKETS: usize = 50;

/// How many answers of a new process are waited for before the next reload.
const ANSWERS_BETWEEN: usize = 150;

/// All that clients do, in one mix.
const MIX: Mix = Mix {
    new: 30,
    keep: 30,
    post: 18,
    slow: 6,
    stream: 6,
    upload: 6,
    late: 4,
};

/// Half of the load, and half of the WebSockets.
fn half(port: u16, seed: u64, rate: u32) -> Load {
    let plan = Plan {
        target: ([127, 0, 0, 1], port).into(),
        speaks: Speaks::LoadApplication,
        rate,
        mix: MIX,
        websockets: WEBSOCKETS,
        most: 100_000,
        seed,
    };
    Load::start(plan).unwrap()
}

/// The application of the load in a folder of the world.
struct LoadApplication {
    path: PathBuf,
}

impl LoadApplication {
    fn new(world: &World) -> Self {
        let path = world.dir().join("load");
        std::fs::create_dir_all(&path).unwrap();
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("apps/load");
        for file in ["lockgate.toml", "main.js"] {
            std::fs::copy(from.join(file), path.join(file)).unwrap();
        }
        Self { path }
    }

    /// Another build, with or without a handler for TERM.
    fn build(&self, version: &str, handles_term: bool) {
        let bundle = self.path.join("main.js");
        let text = std::fs::read_to_string(&bundle).unwrap();
        let line = |line: &str| {
            if line.starts_with("const VERSION = ") {
                format!("const VERSION = \"{version}\";")
            } else if line.starts_with("const HANDLES_TERM = ") {
                format!("const HANDLES_TERM = {handles_term};")
            } else {
                line.to_owned()
            }
        };
        let text: Vec<_> = text.lines().map(line).collect();
        std::fs::write(&bundle, text.join("\n")).unwrap();
    }
}

/// One gateway that runs, its door and its application's own socket.
struct Gateway<'a> {
    world: &'a World,
    socket: PathBuf,
    door: u16,
    held: u16,
}

impl<'a> Gateway<'a> {
    fn start(world: &'a World, application: &LoadApplication) -> Self {
        world.serve();
        let path = application.path.display().to_string();
        let domain = format!("{ENV}.localhost");
        world
            .lockgate(&["create", ENV, &domain, &path, "--gateways", "1"])
            .expect(0);
        world.deploy(ENV).expect(0);
        let gateways = world.gateways(ENV);
        let number = |name: &str| gateways[0][name].as_u64().unwrap();
        let door = u16::try_from(number("http_port")).unwrap();
        let agent = number("agent_pid");
        let ports = listening_ports(agent);
        let [held] = ports
            .iter()
            .filter(|port| **port != door)
            .collect::<Vec<_>>()[..]
        else {
            panic!("the agent listens on {ports:?}, its door is {door}");
        };
        let environ = std::fs::read(format!("/proc/{agent}/environ")).unwrap();
        let environ = String::from_utf8(environ).unwrap();
        let socket = environ
            .split('\0')
            .find_map(|line| line.strip_prefix("LOCKGATE_SOCKET="))
            .expect("the agent's control socket");
        Self {
            world,
            socket: socket.into(),
            door,
            held: *held,
        }
    }

    /// Asks the agent itself.
    fn agent(&self, command: &str) -> Value {
        let output = self
            .world
            .program("lockgate-agent")
            .args([command, "--format", "json", "--socket"])
            .arg(&self.socket)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "`{command}`: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_str(&text).unwrap()
    }
}

#[test]
fn reloads_under_load_lose_nothing() {
    lose_nothing(&World::new(), RELOADS, RATE);
}

#[test]
fn reloads_under_load_lose_nothing_on_node_22() {
    lose_nothing_on(22);
}

#[test]
fn reloads_under_load_lose_nothing_on_node_24() {
    lose_nothing_on(24);
}

/// The Node of this version, which the tests of the preload use.
fn lose_nothing_on(major: u32) {
    let nodes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/agent/preload-tests");
    let folder = nodes.join(format!("node_modules/node{major}/bin"));
    let node = folder.join("node");
    assert!(
        node.exists(),
        "{} is missing: run `just nodes`",
        node.display()
    );
    let world = World::with_node(&folder);
    let pid = lose_nothing(&world, RELOADS_ELSEWHERE, RATE_ELSEWHERE);
    let runs = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap();
    assert_eq!(runs, node.canonicalize().unwrap());
    let package = folder.join("../package.json");
    let package: Value = serde_json::from_slice(&std::fs::read(package).unwrap()).unwrap();
    let version = package["version"].as_str().unwrap_or_default();
    assert!(version.starts_with(&format!("{major}.")), "{version}");
}

/// Reloads so often under load; returns the number of the last process.
fn lose_nothing(world: &World, reloads: usize, rate: u32) -> u64 {
    let application = LoadApplication::new(world);
    let gateway = Gateway::start(world, &application);
    let loads = [half(gateway.door, 1, rate), half(gateway.held, 2, rate)];
    let settled = |pid: u64| {
        until("the new process serves all", Duration::from_mins(1), || {
            let serves = |load: &Load| {
                load.answers_of(pid) >= ANSWERS_BETWEEN && load.open_websockets() == WEBSOCKETS
            };
            loads.iter().all(serves).then_some(())
        });
    };
    let pid = |report: &Value| report["running"]["pid"].as_u64().unwrap();
    settled(pid(&gateway.agent("status")));

    let mut cold = Vec::new();
    for reload in 1..=reloads {
        if reload % 2 == 1 {
            application.build(&format!("{reload}.0"), reload % 4 == 1);
            world.deploy(ENV).expect(0);
        } else {
            gateway.agent("restart");
        }
        let report = gateway.agent("status");
        if report["change"]["gated"] != true || report["change"]["cut"] != 0 {
            cold.push(format!("{}", report["change"]));
        }
        settled(pid(&report));
    }

    let last = pid(&gateway.agent("status"));
    let [door, held] = loads.map(Load::stop);
    check("the gateway's door", &door, reloads);
    check("the application's socket", &held, reloads);
    assert!(cold.is_empty(), "not gated, or cut: {cold:#?}");
    last
}

/// Fails if a client of this load lost anything.
#[expect(clippy::print_stdout, reason = "shown by `--no-capture`")]
fn check(through: &str, outcome: &Outcome, reloads: usize) {
    let text = format!("through {through}: {outcome}");
    println!("{text}");
    assert_eq!(outcome.losses.len(), 0, "{text}");
    // These clients obey: whoever is told to go does so, and none is silent for long.
    assert_eq!(outcome.closed_idle, 0, "{text}");
    let least = (reloads + 1) * ANSWERS_BETWEEN;
    assert!(outcome.samples.len() >= least, "{least} expected; {text}");
    let asked = outcome.sent.values().filter(|count| **count > 0).count();
    assert_eq!(asked, Class::ALL.len(), "every class is asked; {text}");
    assert_eq!(outcome.websockets.broken.len(), 0, "{text}");
    assert_eq!(outcome.websockets.not_opened.len(), 0, "{text}");
    let closes = (reloads * WEBSOCKETS) as u64;
    assert_eq!(
        outcome.websockets.codes(),
        [(1012, closes)].into(),
        "{text}"
    );
    assert_eq!(outcome.answerers.len(), reloads + 1, "{text}");
    let versions: BTreeSet<_> = outcome.answerers.iter().map(|it| &it.version).collect();
    assert_eq!(versions.len(), reloads / 2 + 1, "{text}");
    let both: usize = outcome.switches().iter().map(|it| it.both).sum();
    assert_eq!(both, 0, "two processes answered at once; {text}");
}
