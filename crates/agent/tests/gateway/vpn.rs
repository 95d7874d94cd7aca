//! The VPN of user containers, by a real openvpn, in a network of the test's own.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::application::application;
use crate::world::{DEADLINE, World};

pub(crate) const ONE: &str = "0d1b3c5e-8f1a-4c52-9a52-2f7e0a9a1c11";
const TWO: &str = "2f7e0a9a-8f1a-4c52-9a52-0d1b3c5e1c11";

/// Where the agent leaves what the application reads.
const PUBLISHED: &str = "/tmp/vpn-config.json";

/// Runs the calling test again where nobody else's tun0, /tmp and network names are: false where
/// that was done, or cannot be.
#[expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "the test starts itself once more, in another place, and says so loudly where it cannot"
)]
pub(crate) fn in_own_network() -> bool {
    const INSIDE: &str = "LOCKGATE_TEST_INSIDE_OWN_NETWORK";
    if std::env::var(INSIDE).is_ok() {
        return true;
    }
    let test = std::thread::current().name().unwrap().to_owned();
    let has = |program: &str| {
        let folders = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
        let mut folders = folders.iter().map(|folder| Path::new(folder).join(program));
        folders.any(|program| program.is_file())
    };
    let missing: Vec<&str> = ["openvpn", "nft", "iptables", "ip", "ping", "curl"]
        .into_iter()
        .filter(|program| !has(program))
        .collect();
    if !Uid::effective().is_root() || !missing.is_empty() || !Path::new("/dev/net/tun").exists() {
        eprintln!("SKIPPED: {test} needs root, /dev/net/tun and {missing:?}");
        return false;
    }
    let place = "mount -t tmpfs tmpfs /tmp && mount -t tmpfs tmpfs /run && \
                 ip link set lo up && ip netns add client && \
                 ip link add gateway type veth peer name client netns client && \
                 ip address add 10.9.0.1/24 dev gateway && ip link set gateway up && \
                 ip -n client address add 10.9.0.2/24 dev client && \
                 ip -n client link set client up && exec \"$@\"";
    let status = Command::new("unshare")
        // With the first process of its own, all that the test has started ends.
        .args([
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
        ])
        .args(["sh", "-c", place, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args([&test, "--exact", "--nocapture"])
        .env(INSIDE, "yes")
        .env("TMPDIR", "/run")
        .current_dir("/")
        .status();
    assert!(
        status.unwrap().success(),
        "{test} failed in its own network"
    );
    false
}

/// A gateway as in a container.
pub(crate) async fn world() -> World {
    let mut world = World::new().await;
    world.vars.push(("LOCKGATE_DOOR_IP", String::new()));
    world.app_address = ([127, 0, 0, 1], 8888).into();
    world
}

/// An application that does not start without what the VPN leaves it.
pub(crate) fn reads() -> String {
    format!(
        "require('fs').readFileSync('{PUBLISHED}');\n{}",
        application("1.0.0")
    )
}

/// A client in a network of its own. Ended when it is dropped.
pub(crate) struct Client {
    process: Child,
    log: std::path::PathBuf,
}

impl Client {
    #[expect(
        clippy::disallowed_methods,
        reason = "the test starts the client of the server that it tests"
    )]
    pub(crate) fn connect(world: &World, profile: &str) -> Self {
        let (config, log) = (world.path("client.ovpn"), world.path("client.log"));
        fs::write(&config, profile).unwrap();
        // What an earlier one wrote is not this one's.
        let _ = fs::remove_file(&log);
        let process = Command::new("ip")
            .args(["netns", "exec", "client", "openvpn", "--config"])
            .arg(&config)
            .arg("--log")
            .arg(&log)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, log }
    }

    /// Waits until it has been connected so many times.
    pub(crate) async fn connected(&self, times: usize) {
        let read = || fs::read_to_string(&self.log).unwrap_or_default();
        let waiting = async {
            while read().matches("Initialization Sequence Completed").count() < times {
                sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = timeout(DEADLINE, waiting).await;
        assert!(waited.is_ok(), "not connected: {}", read());
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the test does what a user container does"
    )]
    pub(crate) fn pings(&mut self, address: &str) -> bool {
        assert!(
            self.process.try_wait().unwrap().is_none(),
            "the client has ended"
        );
        let ping = ["netns", "exec", "client", "ping", "-c", "1", "-W", "2"];
        let output = Command::new("ip").args(ping).arg(address).output();
        output.unwrap().status.success()
    }
}

/// What a client gets from the gateway's door in the VPN.
#[expect(
    clippy::disallowed_methods,
    reason = "the test does what a user container does"
)]
fn fetched() -> String {
    let curl = ["netns", "exec", "client", "curl", "-sS", "-m", "5"];
    let output = Command::new("ip")
        .args(curl)
        .arg("http://172.16.0.1/")
        .output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) async fn ask(world: &World, words: &[&str]) -> String {
    let output = world.ask(&[&["vpn"], words].concat()).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{}", world.told());
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) async fn status(world: &World) -> Value {
    serde_json::from_str(&ask(world, &["status", "--format", "json"]).await).unwrap()
}

/// Waits until the status is so.
pub(crate) async fn until(world: &World, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let waiting = async {
        loop {
            // An agent that starts does not answer yet.
            let said = world.ask(&["vpn", "status", "--format", "json"]).await;
            let status = serde_json::from_slice(&said.stdout).unwrap_or_default();
            if is_so(&status) {
                return status;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = timeout(DEADLINE, waiting).await;
    waited.unwrap_or_else(|_| panic!("not {what}\n{}", world.told()))
}

/// The profile that the shell system's application makes of what it reads, for files beside it.
fn as_the_shell_system(world: &World) -> String {
    let published: Value = serde_json::from_slice(&fs::read(PUBLISHED).unwrap()).unwrap();
    for (name, value) in published["certificates"].as_object().unwrap() {
        // `jq -r`, then `echo`.
        let content = format!("{}\n", value.as_str().unwrap());
        fs::write(world.path(name), content).unwrap();
    }
    let at = |name: &str| world.path(name).display().to_string();
    format!(
        "client\ndev tun\nproto udp\nremote 10.9.0.1 {port}\nresolv-retry infinite\nnobind\n\
         cipher AES-256-GCM\ncert {cert}\nkey {key}\nca {ca}\ntls-client\ntls-auth {ta} 1\n",
        port = published["port"],
        cert = at("clients.crt"),
        key = at("clients.key"),
        ca = at("ca.crt"),
        ta = at("ta.key"),
    )
}

pub(crate) async fn organization(world: &mut World, organization: Option<&str>) {
    let packed = world.pack(&reads());
    let seq = world.state(&packed, |statement| {
        statement.organization = organization.map(str::to_owned);
    });
    let report = world.settled(seq).await;
    assert_eq!(report.refused, None, "{}", world.told());
}

#[tokio::test]
async fn a_vpn_is_up_before_the_application_loads_and_outlives_it() {
    if !in_own_network() {
        return;
    }
    let mut world = world().await;
    world.start_agent();
    organization(&mut world, Some(ONE)).await;
    let first = status(&world).await;
    assert_eq!(
        (&first["state"], &first["isolated"]),
        (&"ready".into(), &true.into())
    );
    let published: Value = serde_json::from_slice(&fs::read(PUBLISHED).unwrap()).unwrap();
    assert_eq!(published["pid"], first["pid"]);

    let profile = ask(&world, &["client", "--host", "10.9.0.1"]).await;
    let mut client = Client::connect(&world, &profile);
    client.connected(1).await;
    assert!(client.pings("172.16.0.1"));
    assert!(fetched().contains("\"version\":\"1.0.0\""), "{}", fetched());
    let address = status(&world).await["clients"][0]["address"].clone();
    assert_eq!(address, "172.16.0.2");

    // The application is started anew: no tunnel notices.
    let restarted = world.ask(&["restart"]).await;
    assert!(restarted.status.success(), "{}", world.told());
    let after = status(&world).await;
    assert_eq!(after["pid"], first["pid"]);
    assert!(client.pings("172.16.0.1"));

    // Stopped by hand, until it is started by hand.
    ask(&world, &["stop"]).await;
    assert!(!Path::new(PUBLISHED).exists());
    assert!(!client.pings("172.16.0.1"));
    ask(&world, &["start"]).await;
    client.connected(2).await;
    assert!(client.pings("172.16.0.1"));
    assert_eq!(status(&world).await["clients"][0]["address"], address);
    assert_eq!(
        ask(&world, &["client", "--host", "10.9.0.1"]).await,
        profile
    );

    // It dies: it comes back with the same keys, the application is not touched.
    let pid = status(&world).await["pid"].as_i64().unwrap();
    let before = world.hello().await.pid;
    kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGKILL).unwrap();
    let again = until(&world, "back", |it| {
        it["state"] == "ready" && it["pid"] != pid
    })
    .await;
    assert_eq!(again["restarts"], 1);
    assert_eq!(world.hello().await.pid, before);
    let published: Value = serde_json::from_slice(&fs::read(PUBLISHED).unwrap()).unwrap();
    assert_eq!(published["pid"], again["pid"]);

    // The agent ends, and starts again: the same keys; nothing is left meanwhile.
    client.connected(3).await;
    let log = fs::read_to_string(&client.log).unwrap();
    assert_eq!(world.end_agent(Signal::SIGTERM).await, Some(0));
    let told = fs::read_to_string(&client.log).unwrap();
    assert!(
        told[log.len()..].contains("server-pushed-connection-reset"),
        "{told}"
    );
    assert!(!Path::new(PUBLISHED).exists(), "{}", world.told());
    world.start_agent();
    until(&world, "up again", |it| it["state"] == "ready").await;
    assert_eq!(
        ask(&world, &["client", "--host", "10.9.0.1"]).await,
        profile
    );

    drop(client);
    another_organization_and_none(&mut world, &profile).await;
}

/// Another organization has other keys, with which the shell system's clients connect; none has none.
async fn another_organization_and_none(world: &mut World, before: &str) {
    organization(world, Some(TWO)).await;
    assert_eq!(status(world).await["organization"], TWO);
    let other = ask(world, &["client", "--host", "10.9.0.1"]).await;
    assert_ne!(other, before);
    let mut client = Client::connect(world, &as_the_shell_system(world));
    client.connected(1).await;
    assert!(client.pings("172.16.0.1"));
    let packed = world.pack(&application("2.0.0"));
    let seq = world.state(&packed, |_| {});
    world.settled(seq).await;
    until(world, "released", |it| it["state"] == "off").await;
    assert!(!world.path("lockgate/vpn").exists());
}

#[tokio::test]
async fn a_vpn_that_cannot_start_keeps_no_application_from_running() {
    if !in_own_network() {
        return;
    }
    let mut world = world().await;
    let taken = UdpSocket::bind("0.0.0.0:49100").unwrap();
    world.start_agent();
    let packed = world.pack(&application("1.0.0"));
    let seq = world.state(&packed, |it| it.organization = Some(ONE.to_owned()));
    world.settled(seq).await;
    assert_eq!(world.hello().await.version, "1.0.0");
    let failed = until(&world, "failed", |it| it["state"] == "failed").await;
    let why = failed["problem"]["why"].as_str().unwrap();
    assert!(why.contains("Address already in use"), "{failed}");
    let report = world.ask(&["status"]).await.stdout;
    let report = String::from_utf8(report).unwrap();
    assert!(report.contains("the VPN does not run: openvpn"), "{report}");
    drop(taken);
    let up = until(&world, "up", |it| it["state"] == "ready").await;
    let report = world.ask(&["status"]).await.stdout;
    assert!(!String::from_utf8(report).unwrap().contains("problem"));

    // An agent that was killed has left its openvpn behind: the next one ends it.
    assert_eq!(world.end_agent(Signal::SIGKILL).await, None);
    world.start_agent();
    let again = |it: &Value| it["state"] == "ready" && it["pid"] != up["pid"];
    let again = until(&world, "up again", again).await;
    assert_eq!(again["restarts"], 0, "{again}");
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test takes a program away in a place of its own"
)]
pub(crate) fn mount(words: &[&str]) {
    assert!(
        Command::new(words[0])
            .args(&words[1..])
            .status()
            .unwrap()
            .success()
    );
}

#[tokio::test]
async fn without_rules_no_vpn_starts_unless_somebody_insists() {
    if !in_own_network() {
        return;
    }
    let mut world = world().await;
    mount(&["mount", "--bind", "/bin/false", "/usr/sbin/nft"]);
    world.start_agent();
    let packed = world.pack(&application("1.0.0"));
    let seq = world.state(&packed, |it| it.organization = Some(ONE.to_owned()));
    world.settled(seq).await;
    assert_eq!(world.hello().await.version, "1.0.0");
    let failed = until(&world, "failed", |it| it["state"] == "failed").await;
    let problem = failed["problem"].to_string();
    assert!(problem.contains("cannot be kept apart"), "{failed}");
    assert!(problem.contains("--unsafe-no-isolation"), "{failed}");

    ask(&world, &["start", "--unsafe-no-isolation"]).await;
    let loud = status(&world).await;
    assert_eq!(
        (&loud["state"], &loud["isolated"]),
        (&"ready".into(), &false.into())
    );
    let report = String::from_utf8(world.ask(&["status"]).await.stdout).unwrap();
    assert!(report.contains("NOT KEPT APART"), "{report}");

    mount(&["umount", "/usr/sbin/nft"]);
    for word in ["stop", "start"] {
        ask(&world, &[word]).await;
    }
    assert_eq!(status(&world).await["isolated"], true);
    let report = String::from_utf8(world.ask(&["status"]).await.stdout).unwrap();
    assert!(!report.contains("problem"), "{report}");
}
