//! A gateway's cold start: `docker run` of the gateway image to the first 200 through its
//! published port, beside the same of the base image with the smallest server there is.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use serde_json::Value;

use crate::Options;
use crate::application::Application;
use crate::engine::{Container, docker};
use crate::environment::Environment;
use crate::error::BenchError;
use crate::home::Home;
use crate::process::{free_port, run};
use crate::samples::Samples;
use crate::table::{Row, Table, tell};

/// The fewest rounds; fewer only in a quick look.
const ROUNDS: u32 = 10;
/// The goal, in milliseconds.
const GOAL_MS: f64 = 3000.0;
/// The image that is built and started.
const IMAGE: &str = "lockgate-bench/gateway:1";
/// The environment.
const ENV: &str = "cold";
/// Where the token lies in a container.
const TOKEN: &str = "/etc/lockgate/token";

/// Variables of an agent of the server that mean the same in a container.
const KEPT: [&str; 8] = [
    "ENV_NAME",
    "GATEWAY_HTTP_PORT",
    "GATEWAY_VPN_PORT",
    "GATEWAY_ID",
    "GATEWAY_TOKEN",
    "GANYMEDE_FQDN",
    "DOMAIN",
    "LOCKGATE_KEY",
];

/// What was measured of gateways.
#[derive(Default)]
struct Gateways {
    answered: Samples,
    returned: Samples,
    fetch: Samples,
    verify: Samples,
    boot: Samples,
    start: Samples,
}

/// Measures cold starts.
pub(crate) fn docker_start(options: &Options) -> Result<Vec<Table>, BenchError> {
    let rounds = if options.quick {
        1
    } else {
        options.rounds.max(ROUNDS)
    };
    let title = format!(
        "docker-start: docker run → first 200 through the published port, {rounds} rounds in turns"
    );
    let skipped = |missing: &str| {
        Ok(vec![Table {
            title: title.clone(),
            rows: Vec::new(),
            notes: vec![format!("SKIPPED: {missing}")],
        }])
    };
    let Some(base) = &options.base else {
        return skipped("no engine and base image; `just bench docker-start` has both");
    };
    let application = Application::find(&options.workspace)?;
    let folder = tempfile::tempdir().map_err(BenchError::io("make", Path::new("a folder")))?;
    let bridge = bridge()?;
    let home = match Home::start_on(options, folder.path(), &[bridge])? {
        Ok(home) => home,
        Err(missing) => return skipped(&missing),
    };
    run(home
        .program("lockgate")
        .args(["image", "build", "--base", base, "--tag", IMAGE]))?;
    let environment = Environment::start(&home, ENV, &application, 1, None)?;
    let (args, door) = gateway(&environment, bridge)?;

    let (mut gateways, mut floor) = (Gateways::default(), Samples::default());
    for round in 0..rounds {
        tell(&format!("docker-start: round {} of {rounds}", round + 1));
        gateways.once(&args, door)?;
        floor.push_time(smallest(base)?);
    }
    Ok(vec![table(title, gateways, floor)])
}

impl Gateways {
    fn once(&mut self, args: &[String], door: SocketAddr) -> Result<(), BenchError> {
        let (container, times) = Container::start(args, door)?;
        self.answered.push_time(times.answered);
        self.returned.push_time(times.returned);
        let report = container.exec(&["lockgate-agent", "status", "--format", "json"])?;
        let report: Value =
            serde_json::from_str(&report).map_err(|error| BenchError::Unexpected {
                what: format!("`lockgate-agent status` says no JSON ({error}): {report}"),
            })?;
        for (samples, name) in [
            (&mut self.fetch, "/timings/fetch_ms"),
            (&mut self.verify, "/timings/verify_ms"),
            (&mut self.boot, "/timings/boot_ms"),
            (&mut self.start, "/timings/start_ms"),
        ] {
            if let Some(ms) = report.pointer(name).and_then(Value::as_f64) {
                samples.push(ms);
            }
        }
        Ok(())
    }
}

/// The bridge's address on the host, with a port that is free on loopback.
fn bridge() -> Result<SocketAddr, BenchError> {
    let shown = docker(&[
        "network",
        "inspect",
        "--format",
        "{{(index .IPAM.Config 0).Gateway}}",
        "bridge",
    ])?;
    let address = shown.parse().map_err(|_| BenchError::Unexpected {
        what: format!("the engine's bridge has the address `{shown}`"),
    })?;
    Ok(SocketAddr::new(address, free_port()?.port()))
}

/// Ends the agent that the server started for the gateway; gives the arguments of
/// `docker run` that make a container the same gateway, and where that answers.
fn gateway(
    environment: &Environment<'_>,
    server: SocketAddr,
) -> Result<(Vec<String>, SocketAddr), BenchError> {
    let home = environment.home();
    let [gateway] = environment.gateways() else {
        return Err(BenchError::Unexpected {
            what: format!("`{ENV}` has {} gateways", environment.gateways().len()),
        });
    };
    let variables = gateway.variables()?;
    let of = |name: &str| {
        let found = variables.iter().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.clone())
            .ok_or_else(|| BenchError::Unexpected {
                what: format!("the agent has no `{name}`"),
            })
    };
    run(home.program("lockgate").args(["stop", ENV]))?;
    let port = gateway.door.port();
    let mut args = vec![
        "--hostname".to_owned(),
        of("LOCKGATE_GATEWAY")?,
        "--publish".to_owned(),
        format!("127.0.0.1:{port}:{port}"),
        "--volume".to_owned(),
        format!("{}:{TOKEN}:ro", of("LOCKGATE_TOKEN_FILE")?),
    ];
    let mut set = |variable: String| args.extend(["--env".to_owned(), variable]);
    for name in KEPT {
        set(format!("{name}={}", of(name)?));
    }
    set(format!("LOCKGATE_SERVER=http://{server}"));
    set(format!("LOCKGATE_TOKEN_FILE={TOKEN}"));
    args.push(IMAGE.to_owned());
    Ok((args, gateway.door))
}

/// `docker run` of the base with the smallest server that Node makes.
fn smallest(base: &str) -> Result<std::time::Duration, BenchError> {
    const SERVER: &str = "require('http').createServer((_, answer) => answer.end('{}')).listen(80)";
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?.port()));
    let publish = format!("{addr}:80");
    let args = ["--init", "--publish", &publish, base, "node", "-e", SERVER];
    Container::start(&args, addr).map(|(_, times)| times.answered)
}

fn table(title: String, gateways: Gateways, floor: Samples) -> Table {
    let mut notes = Vec::new();
    if let (Some(ours), Some(floor)) = (gateways.answered.median(), floor.median()) {
        notes.push(format!(
            "{:.0} ms more than the floor (to reach: ≤ {GOAL_MS} ms in all)",
            ours - floor
        ));
    }
    Table {
        title,
        rows: vec![
            Row::new("a gateway", gateways.answered, "ms"),
            Row::new("  docker run returned", gateways.returned, "ms"),
            Row::new("  the agent fetched the build", gateways.fetch, "ms"),
            Row::new("  and verified it", gateways.verify, "ms"),
            Row::new("  the application booted to its gate", gateways.boot, "ms"),
            Row::new("  and was ready", gateways.start, "ms"),
            Row::new("floor: the base with `node -e`", floor, "ms"),
        ],
        notes,
    }
}
