//! What keeps the VPN's clients apart where there is no nftables.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::process::{Command, Output};

use lockgate_model::VpnAllowance;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::application::application;
use crate::vpn::{
    Client, ONE, ask, in_own_network, mount, organization, reads, status, until, world,
};
use crate::world::World;

/// Both ways in which iptables speaks to the kernel.
const TOOLS: [&str; 5] = [
    "iptables",
    "iptables-save",
    "iptables-restore",
    "ip6tables-save",
    "ip6tables-restore",
];

/// A port of the gateway's own, which is no client's to ask.
const OWN: &str = "http://172.16.0.1:7777/";

/// An address in a network behind the gateway.
const BEHIND: &str = "10.10.0.2";

#[expect(
    clippy::disallowed_methods,
    reason = "the agent finds node where the test does"
)]
fn path() -> String {
    std::env::var("PATH").unwrap()
}

/// No `nft` is there any more; what is called `iptables` speaks in this way.
fn without_nft(world: &mut World, way: &str) {
    mount(&["mount", "--bind", "/dev/null", "/usr/sbin/nft"]);
    let folder = world.path("tools");
    fs::create_dir(&folder).unwrap();
    for tool in TOOLS {
        let program = format!("/usr/sbin/xtables-{way}-multi");
        symlink(program, folder.join(tool)).unwrap();
    }
    let path = format!("{}:{}", folder.display(), path());
    world.vars.push(("PATH", path));
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test does what somebody in the gateway does"
)]
fn run(words: &[&str]) -> Output {
    Command::new(words[0]).args(&words[1..]).output().unwrap()
}

/// As somebody in the gateway, by the test's `iptables`.
fn iptables(world: &World, words: &[&str]) -> String {
    let tool = world.path("tools").join(words[0]).display().to_string();
    let ran = run(&[&[tool.as_str()], &words[1..]].concat());
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.success(), "{words:?}: {said}");
    String::from_utf8(ran.stdout).unwrap()
}

/// Somebody else's rule stands first in each chain.
fn rules_of_others(world: &World) {
    for chain in ["INPUT", "FORWARD"] {
        iptables(world, &["iptables", "-A", chain, "-j", "ACCEPT"]);
    }
}

/// A network behind the gateway, which passes on whatever it is let.
fn behind() {
    let steps = "ip netns add behind && \
                 ip link add inside type veth peer name behind netns behind && \
                 ip address add 10.10.0.1/24 dev inside && ip link set inside up && \
                 ip -n behind address add 10.10.0.2/24 dev behind && \
                 ip -n behind link set behind up && \
                 ip -n behind route add 172.16.0.0/16 via 10.10.0.1 && \
                 echo 1 > /proc/sys/net/ipv4/ip_forward";
    mount(&["sh", "-c", steps]);
}

/// Answers whoever asks the gateway's own port, as long as the test runs.
fn own_port() {
    let listener = TcpListener::bind("0.0.0.0:7777").unwrap();
    std::thread::spawn(move || {
        for asked in listener.incoming() {
            let mut asked = asked.unwrap();
            let _ = asked.read(&mut [0; 1024]);
            let _ = asked.write_all(b"HTTP/1.0 204 No Content\r\n\r\n");
        }
    });
}

/// Whether the client gets an answer there.
fn reaches(url: &str) -> bool {
    let curl = ["ip", "netns", "exec", "client", "curl", "-sS", "-m", "2"];
    run(&[&curl[..], &[url]].concat()).status.success()
}

/// What stands in the kernel's chains and in ours.
fn saved(world: &World) -> String {
    ["iptables-save", "ip6tables-save"]
        .map(|tool| iptables(world, &[tool, "-t", "filter"]))
        .concat()
}

async fn is_isolated(world: &World) -> bool {
    let status = status(world).await;
    assert_eq!(status["state"], "ready", "{status}");
    let by = status["by"].as_str();
    assert_eq!(by.is_some(), status["isolated"] == true, "{status}");
    assert_ne!(by, Some("nftables"));
    if by.is_none() {
        let why = status["unisolated"].to_string();
        assert!(why.contains("tables's chain"), "{why}");
    }
    by.is_some()
}

/// What a statement allows is reached as long as it does, by the same process of openvpn.
async fn allowed_by_a_statement(world: &mut World) {
    let pid = status(world).await["pid"].clone();
    for entries in [&["7777/tcp"][..], &[]] {
        let packed = world.pack(&reads());
        let allow = entries.iter().map(|one| VpnAllowance::parse(one).unwrap());
        world.state(&packed, |statement| {
            statement.organization = Some(ONE.to_owned());
            statement.vpn_allow = allow.collect();
        });
        let now = until(world, "told", |it| it["allowed"] == json!(entries)).await;
        assert_eq!((&now["pid"], &now["isolated"]), (&pid, &json!(true)));
        assert_eq!(reaches(OWN), !entries.is_empty());
    }
}

async fn clients_are_kept_apart_by_iptables(way: &str) {
    let mut world = world().await;
    without_nft(&mut world, way);
    behind();
    own_port();
    rules_of_others(&world);
    let before = saved(&world).matches("-A ").count();
    world.start_agent();
    organization(&mut world, Some(ONE)).await;
    assert!(is_isolated(&world).await);
    let shown = ask(&world, &["status"]).await;
    assert!(
        shown.contains("the rules are there, by iptables"),
        "{shown}"
    );
    let rules = saved(&world);

    let profile = ask(&world, &["client", "--host", "10.9.0.1"]).await;
    let mut client = Client::connect(&world, &profile);
    client.connected(1).await;
    // As a compromised client would.
    let route = ["route", "add", BEHIND, "via", "172.16.0.1"];
    mount(&[&["ip", "-n", "client"], &route[..]].concat());
    assert!(client.pings("172.16.0.1"));
    assert!(reaches("http://172.16.0.1/"));
    assert!(!reaches(OWN));
    assert!(!client.pings(BEHIND));

    allowed_by_a_statement(&mut world).await;

    // Each attempt succeeds without what leads into the rules, and it is said each time.
    let jump = ["INPUT", "-i", "tun0", "-j", "LOCKGATE-VPN-IN"];
    iptables(&world, &[&["iptables", "-D"], &jump[..]].concat());
    assert!(reaches(OWN));
    assert!(!is_isolated(&world).await);
    let report = String::from_utf8(world.ask(&["status"]).await.stdout).unwrap();
    assert!(report.contains("NOT KEPT APART"), "{report}");
    iptables(&world, &[&["iptables", "-I"], &jump[..]].concat());
    assert!(is_isolated(&world).await);
    let accept = ["FORWARD", "-i", "tun0", "-j", "ACCEPT"];
    for answers in [&accept, &["FORWARD", "-o", "tun0", "-j", "ACCEPT"]] {
        iptables(&world, &[&["iptables", "-I"], &answers[..]].concat());
    }
    assert!(client.pings(BEHIND));
    assert!(!is_isolated(&world).await);

    // A start makes them the first again. Nothing is left of a VPN that was stopped.
    ask(&world, &["stop"]).await;
    let left = saved(&world);
    assert!(!left.contains("LOCKGATE"), "{left}");
    assert_eq!(left.matches("-A ").count(), before + 2, "{left}");
    ask(&world, &["start"]).await;
    assert!(is_isolated(&world).await);
    client.connected(2).await;
    assert!(!reaches(OWN));
    assert!(!client.pings(BEHIND));

    // An agent that is killed leaves its rules; the next one's are there once.
    assert_eq!(world.end_agent(Signal::SIGKILL).await, None);
    assert!(saved(&world).contains("LOCKGATE-VPN-IN"));
    world.start_agent();
    until(&world, "up again", |it| it["state"] == "ready").await;
    assert!(is_isolated(&world).await);
    let ours = |saved: &str| saved.matches("LOCKGATE").count();
    assert_eq!(ours(&saved(&world)), ours(&rules), "{}", saved(&world));

    // It dies: they are there when it is back.
    let pid = status(&world).await["pid"].as_i64().unwrap();
    kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGKILL).unwrap();
    until(&world, "back", |it| {
        it["restarts"] == 1 && it["state"] == "ready"
    })
    .await;
    assert!(is_isolated(&world).await);
}

#[tokio::test]
async fn without_nft_clients_are_kept_apart_by_iptables() {
    if in_own_network() {
        clients_are_kept_apart_by_iptables("nft").await;
    }
}

#[tokio::test]
async fn without_nft_clients_are_kept_apart_by_legacy_iptables() {
    if in_own_network() {
        clients_are_kept_apart_by_iptables("legacy").await;
    }
}

#[tokio::test]
async fn where_no_tool_is_there_it_is_said_before_somebody_wants_a_vpn() {
    if !in_own_network() {
        return;
    }
    let mut world = world().await;
    for tool in ["nft", "iptables-restore"] {
        mount(&["mount", "--bind", "/dev/null", &format!("/usr/sbin/{tool}")]);
    }
    world.start_agent();
    let off = until(&world, "answered", |it| it["state"] == "off").await;
    let problem = off["problem"].to_string();
    assert!(problem.contains("neither `nft` is installed"), "{off}");
    assert!(problem.contains("install nftables"), "{off}");
    let packed = world.pack(&application("1.0.0"));
    let seq = world.state(&packed, |it| it.organization = Some(ONE.to_owned()));
    world.settled(seq).await;
    let failed = until(&world, "failed", |it| it["state"] == "failed").await;
    let problem = failed["problem"].to_string();
    assert!(problem.contains("neither `nft` is installed"), "{failed}");
    assert_eq!(
        (&failed["isolated"], &failed["by"]),
        (&false.into(), &().into())
    );
}
