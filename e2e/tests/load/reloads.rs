//! Reloads under load: what clients lose by them.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use lockgate_e2e::load::{Class, Load, Mix, Outcome, Plan, Secured, Speaks};
use lockgate_e2e::{World, until};
use serde_json::Value;

use super::{ENV, Gateway, LoadApplication, ONE, host};

/// Every second one is a new build, the others start the same build again.
const RELOADS: usize = 20;

/// Requests a second of each of the two loads.
const RATE: u32 = 150;

/// As many reloads, and requests, on a Node that is not the default one: what differs
/// there shows at once.
const RELOADS_ELSEWHERE: usize = 6;
const RATE_ELSEWHERE: u32 = 75;

/// As many over TLS through both doors, where each request costs four processes of a debug build
/// some of two processors.
const RELOADS_OVER_TLS: usize = 10;
const RELOADS_BEHIND_NGINX: usize = 4;
const RATE_OVER_TLS: u32 = 100;

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
        rate,
        ..plan(seed)
    };
    Load::start(plan).unwrap()
}

/// A load of nobody yet.
fn plan(seed: u64) -> Plan {
    Plan {
        target: ([127, 0, 0, 1], 0).into(),
        secured: None,
        speaks: Speaks::LoadApplication,
        rate: RATE,
        mix: MIX,
        websockets: WEBSOCKETS,
        most: 100_000,
        seed,
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
    let (last, [door, held]) = reload(&gateway, &application, loads, reloads);
    check("the gateway's door", &door, reloads, WEBSOCKETS);
    check("the application's socket", &held, reloads, WEBSOCKETS);
    last
}

/// Reloads so often under two loads; the number of the last process, and what became of them.
fn reload(
    gateway: &Gateway<'_>,
    application: &LoadApplication,
    loads: [Load; 2],
    reloads: usize,
) -> (u64, [Outcome; 2]) {
    let open = loads.each_ref().map(Load::wanted_websockets);
    let settled = |pid: u64| {
        until("the new process serves all", Duration::from_mins(1), || {
            let serves = |(load, open): (&Load, &usize)| {
                load.answers_of(pid) >= ANSWERS_BETWEEN && load.open_websockets() == *open
            };
            loads.iter().zip(&open).all(serves).then_some(())
        });
    };
    let pid = |report: &Value| report["running"]["pid"].as_u64().unwrap();
    settled(pid(&gateway.agent("status")));

    let mut cold = Vec::new();
    for reload in 1..=reloads {
        if reload % 2 == 1 {
            application.build(&format!("{reload}.0"), reload % 4 == 1);
            gateway.world.deploy(ENV).expect(0);
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
    let outcomes = loads.map(Load::stop);
    assert!(cold.is_empty(), "not gated, or cut: {cold:#?}");
    (last, outcomes)
}

#[test]
fn reloads_under_load_lose_nothing_over_tls() {
    lose_nothing_over_tls(&World::new(), RELOADS_OVER_TLS);
}

/// nginx lets nobody wait, and a reload of the application is nothing that it has to know of.
#[test]
fn reloads_under_load_lose_nothing_behind_nginx() {
    lose_nothing_over_tls(&World::with_front("nginx"), RELOADS_BEHIND_NGINX);
}

/// Through both doors, by HTTP/1.1 and by HTTP/2.
fn lose_nothing_over_tls(world: &World, reloads: usize) {
    let application = LoadApplication::new(world);
    let gateway = Gateway::start(world, &application);
    let door = gateway.serve(ONE);
    let load = |http_2: bool, seed, websockets| {
        let plan = Plan {
            target: ([127, 0, 0, 1], door.https).into(),
            secured: Some(Secured {
                host: host(ONE),
                trusted: door.trusted.clone(),
                http_2,
            }),
            rate: RATE_OVER_TLS,
            websockets,
            ..plan(seed)
        };
        Load::start(plan).unwrap()
    };
    let loads = [load(false, 1, WEBSOCKETS), load(true, 2, 0)];
    let (_, [http_1, http_2]) = reload(&gateway, &application, loads, reloads);
    check("both doors by HTTP/1.1", &http_1, reloads, WEBSOCKETS);
    check("both doors by HTTP/2", &http_2, reloads, 0);
}

/// Fails if a client of this load lost anything.
#[expect(clippy::print_stdout, reason = "shown by `--no-capture`")]
fn check(through: &str, outcome: &Outcome, reloads: usize, websockets: usize) {
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
    let codes = outcome.websockets.codes();
    let closes = (reloads * websockets) as u64;
    assert_eq!(
        codes.get(&1012).copied().unwrap_or_default(),
        closes,
        "{text}"
    );
    assert!(codes.keys().all(|code| *code == 1012), "{text}");
    assert_eq!(outcome.answerers.len(), reloads + 1, "{text}");
    let versions: BTreeSet<_> = outcome.answerers.iter().map(|it| &it.version).collect();
    assert_eq!(versions.len(), reloads / 2 + 1, "{text}");
    let both: usize = outcome.switches().iter().map(|it| it.both).sum();
    assert_eq!(both, 0, "two processes answered at once; {text}");
}
