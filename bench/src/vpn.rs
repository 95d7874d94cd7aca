//! A gateway's VPN: from nothing to a client's first ping, beside the parameters that the shell
//! system makes first; and fifty clients at once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lockgate_builds::sign::SigningKey;

use crate::Options;
use crate::clock::Stopwatch;
use crate::error::BenchError;
use crate::process::{Running, command, first_line, run, stop};
use crate::samples::Samples;
use crate::table::{Row, Table, tell};

/// Medians are of so many at least.
const ROUNDS: u32 = 10;

/// Clients that connect at once.
const MANY: u8 = 50;

/// How often; their processes take most of it.
const MANY_ROUNDS: u32 = 5;

/// Where clients find the gateway.
const HOST: &str = "10.9.0.1";

/// How long clients may take to connect.
const CONNECTED_WITHIN: Duration = Duration::from_mins(1);

/// The pause before looking again: what is looked at takes some ten milliseconds.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Measures it.
pub(crate) fn vpn(options: &Options) -> Result<Vec<Table>, BenchError> {
    let rounds = if options.quick {
        1
    } else {
        options.rounds.max(ROUNDS)
    };
    let title = format!("vpn: nothing → a client's first ping, {rounds} rounds");
    let missing = ["openvpn", "nft", "ip", "ping", "openssl"];
    let missing: Vec<&str> = missing
        .into_iter()
        .filter(|program| first_line(program, "--version").is_none())
        .collect();
    if !options.alone || !missing.is_empty() {
        let why = format!("SKIPPED: `just bench vpn` as root; missing: {missing:?}");
        return Ok(vec![Table {
            title,
            rows: Vec::new(),
            notes: vec![why],
        }]);
    }
    let folder = tempfile::tempdir().map_err(BenchError::io("make", Path::new("a folder")))?;
    let gateway = Gateway::start(options, folder.path())?;
    for client in 0..MANY {
        network(client)?;
    }
    let mut measured = Measured::default();
    for round in 0..rounds {
        tell(&format!("vpn: round {} of {rounds}", round + 1));
        measured.once(&gateway, round)?;
        let clock = Stopwatch::start();
        run(command("openssl").args(["dhparam", "-noout", "2048"]))?;
        measured.dhparam.push_time(clock.elapsed());
    }
    for round in 0..rounds.min(MANY_ROUNDS) {
        tell(&format!("vpn: {MANY} clients at once, round {}", round + 1));
        measured.many(&gateway, rounds + round)?;
    }
    Ok(vec![measured.table(title)])
}

/// An agent without an application.
struct Gateway {
    agent: PathBuf,
    folder: PathBuf,
    _running: Running,
}

impl Gateway {
    fn start(options: &Options, folder: &Path) -> Result<Self, BenchError> {
        let agent = options.bin_dir.join("lockgate-agent");
        let agent = agent.canonicalize().map_err(|_| BenchError::NotBuilt {
            path: agent.clone(),
            hint: "`just build` makes it",
        })?;
        let token = folder.join("token");
        std::fs::write(&token, "token\n").map_err(BenchError::io("write", &token))?;
        let key = SigningKey::generate().map_err(|error| BenchError::Unexpected {
            what: error.to_string(),
        })?;
        let at = |name: &str| folder.join(name).display().to_string();
        let mut starting = command(&agent);
        starting.arg("run").envs([
            ("ENV_NAME", "bench".to_owned()),
            ("GATEWAY_HTTP_PORT", "7100".to_owned()),
            ("GATEWAY_VPN_PORT", "49100".to_owned()),
            (
                "GATEWAY_ID",
                "550e8400-e29b-41d4-a716-446655440000".to_owned(),
            ),
            ("GATEWAY_TOKEN", "a.b.c".to_owned()),
            ("GANYMEDE_FQDN", "ganymede.localhost".to_owned()),
            ("DOMAIN", "localhost".to_owned()),
            ("GATEWAY_ROOT", at("gateway")),
            ("LOG_FILE", at("gateway.log")),
            ("LOCKGATE_GATEWAY", "gw-pool-bench-0".to_owned()),
            ("LOCKGATE_SERVER", "http://127.0.0.1:1".to_owned()),
            ("LOCKGATE_KEY", key.public().to_line()),
            ("LOCKGATE_TOKEN_FILE", at("token")),
            ("LOCKGATE_RELEASES", at("lockgate/releases")),
            ("LOCKGATE_SOCKET", at("agent.sock")),
        ]);
        let mut running = Running::start(&mut starting, &folder.join("agent.log"))?;
        let card = ([127, 0, 0, 1], 7100).into();
        running.answers(card, "/.well-known/lockgate")?;
        Ok(Self {
            agent,
            folder: folder.to_owned(),
            _running: running,
        })
    }

    /// `lockgate-agent vpn …`
    fn ask(&self, words: &[&str]) -> Result<String, BenchError> {
        let socket = self.folder.join("agent.sock");
        let mut asking = command(&self.agent);
        run(asking.arg("vpn").args(words).env("LOCKGATE_SOCKET", socket))
    }

    /// Starts the VPN of an organization of which it has no keys, and gives a client's profile.
    fn vpn(&self, number: u32) -> Result<PathBuf, BenchError> {
        let organization = format!("0d1b3c5e-8f1a-4c52-9a52-{number:012}");
        self.ask(&["start", "--organization", &organization])?;
        Ok(self.folder.join("client.ovpn"))
    }

    fn profile(&self, path: &Path) -> Result<(), BenchError> {
        let profile = self.ask(&["client", "--host", HOST])?;
        std::fs::write(path, profile).map_err(BenchError::io("write", path))
    }
}

/// A network of a client's own, on the bridge.
fn network(client: u8) -> Result<(), BenchError> {
    let (name, link) = (format!("c{client}"), format!("v{client}"));
    let lines = format!(
        "ip netns add {name}; ip link add {link} type veth peer name eth0 netns {name}
         ip link set {link} master clients up
         ip -n {name} address add 10.9.1.{}/16 dev eth0; ip -n {name} link set eth0 up",
        client + 1
    );
    run(command("sh").args(["-euc", &lines])).map(drop)
}

fn inside(client: u8, program: &str) -> Command {
    let mut command = command("ip");
    command.args(["netns", "exec", &format!("c{client}"), program]);
    command
}

/// A client that connects until this is dropped.
struct Client {
    number: u8,
    running: Running,
}

impl Client {
    fn start(number: u8, profile: &Path, folder: &Path) -> Result<Self, BenchError> {
        let mut openvpn = inside(number, "openvpn");
        openvpn.arg("--config").arg(profile);
        let log = folder.join(format!("client-{number}.log"));
        Ok(Self {
            number,
            running: Running::start(&mut openvpn, &log)?,
        })
    }

    fn connected(&self) -> Result<(), BenchError> {
        let waited = Stopwatch::start();
        while waited.elapsed() < CONNECTED_WITHIN {
            let log = self.running.log_end();
            if log.contains("Initialization Sequence Completed") {
                return Ok(());
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Err(BenchError::TooLate {
            what: format!("client {}", self.number),
            seconds: CONNECTED_WITHIN.as_secs(),
            log: self.running.log_end(),
        })
    }

    fn ping(&self) -> Result<(), BenchError> {
        let words = ["-c", "1", "-W", "2", "172.16.0.1"];
        run(inside(self.number, "ping").args(words)).map(drop)
    }
}

#[derive(Default)]
struct Measured {
    server: Samples,
    connected: Samples,
    ping: Samples,
    dhparam: Samples,
    many: Samples,
}

impl Measured {
    fn once(&mut self, gateway: &Gateway, round: u32) -> Result<(), BenchError> {
        let clock = Stopwatch::start();
        let profile = gateway.vpn(round)?;
        self.server.push_time(clock.elapsed());
        gateway.profile(&profile)?;
        let client = Client::start(0, &profile, &gateway.folder)?;
        client.connected()?;
        self.connected.push_time(clock.elapsed());
        client.ping()?;
        self.ping.push_time(clock.elapsed());
        drop(client);
        gateway.ask(&["stop"]).map(drop)
    }

    fn many(&mut self, gateway: &Gateway, number: u32) -> Result<(), BenchError> {
        let profile = gateway.vpn(number)?;
        gateway.profile(&profile)?;
        let clock = Stopwatch::start();
        let clients = (0..MANY).map(|number| Client::start(number, &profile, &gateway.folder));
        let clients: Vec<Client> = clients.collect::<Result<_, _>>()?;
        for client in &clients {
            client.connected()?;
        }
        self.many.push_time(clock.elapsed());
        for client in &clients {
            client.ping()?;
        }
        let status = gateway.ask(&["status"])?;
        let seen = status.matches("172.16.").count();
        if seen != usize::from(MANY) {
            return Err(BenchError::Unexpected {
                what: format!("{seen} of {MANY} clients are connected:\n{status}"),
            });
        }
        // Each takes a second to say good-bye: all at the same time.
        for client in &clients {
            stop(client.running.pid(), || true);
        }
        drop(clients);
        gateway.ask(&["stop"]).map(drop)
    }

    fn table(self, title: String) -> Table {
        let goal = "goal ≤ 3 s from nothing to the first ping".to_owned();
        let beside = self.dhparam.median().zip(self.ping.median());
        let times = beside.map(|(theirs, ours)| format!("{:.0} × as fast", theirs / ours));
        Table {
            title,
            rows: vec![
                Row::new("keys made, rules loaded, server up", self.server, "ms"),
                Row::new("a client connected", self.connected, "ms"),
                Row::new("its first ping answered", self.ping, "ms"),
                Row::new("`openssl dhparam 2048` alone", self.dhparam, "ms"),
                Row::new(
                    "50 clients started at once, all connected and answered",
                    self.many,
                    "ms",
                ),
            ],
            notes: std::iter::once(goal).chain(times).collect(),
        }
    }
}
