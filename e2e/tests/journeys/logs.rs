//! What applications write is shown, whatever becomes of them meanwhile.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Child;
use std::time::Duration;

use lockgate_e2e::{Workspace, World, until};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Numbers its lines, and says at its end how many there were.
const TALKATIVE: &str = r#"
const http = require("http");
let number = 0;
const say = () => console.log(`process ${process.pid} line ${(number += 1)}`);
for (let lines = 0; lines < 200; lines += 1) say();
const talking = setInterval(say, 3);
const server = http.createServer((request, response) => response.end("{}"));
server.listen(8888);
process.on("SIGTERM", () => {
  clearInterval(talking);
  console.log(`process ${process.pid} ends after ${number}`);
  process.stdout.write("", () => process.exit(0));
});
"#;

fn running() -> (World, Workspace) {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    workspace.edit(|_| TALKATIVE.to_owned());
    world.running("dev-001", &workspace);
    (world, workspace)
}

/// What a process wrote: its lines' numbers in their order, and at its end how many.
#[derive(Debug, Default)]
struct Told {
    lines: Vec<u64>,
    ended: Option<u64>,
}

/// What `--format json` shows, by gateway and process. Fails where a line is missing,
/// doubled, or comes after the end.
fn told(shown: &str) -> BTreeMap<String, BTreeMap<u64, Told>> {
    let mut told: BTreeMap<String, BTreeMap<u64, Told>> = BTreeMap::new();
    let whole = shown.rsplit_once('\n').map_or("", |(whole, _)| whole);
    for line in whole.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let field = |name| line.get(name).and_then(Value::as_str).unwrap();
        let gateway = field("gateway").to_owned();
        let words: Vec<&str> = field("text").split(' ').collect();
        let ["process", pid, what @ ..] = words.as_slice() else {
            continue;
        };
        if field("stream") != "out" {
            continue;
        }
        let process = told.entry(gateway).or_default();
        let process = process.entry(pid.parse().unwrap()).or_default();
        assert_eq!(process.ended, None, "{line} comes after the end");
        match what {
            ["line", number] => {
                let number = number.parse().unwrap();
                let last = process.lines.last().copied().unwrap_or_default();
                assert_eq!(number, last + 1, "{line}");
                process.lines.push(number);
            }
            ["ends", "after", number] => {
                let number = number.parse().unwrap();
                assert_eq!(process.lines.len() as u64, number, "{line}");
                process.ended = Some(number);
            }
            _ => unreachable!("{line}"),
        }
    }
    told
}

/// Waits until a follower has shown the end of so many processes of each gateway.
fn until_ended(world: &World, ended: usize) {
    until("all ends are shown", Duration::from_mins(1), || {
        let told = told(&world.written("follow"));
        let ends = |processes: &BTreeMap<u64, Told>| {
            let ended = processes.values().filter(|told| told.ended.is_some());
            ended.count()
        };
        let done = told.len() == 3 && told.values().all(|it| ends(it) == ended);
        done.then_some(())
    });
}

/// Ctrl-C: the follower ends as `tail -f` does.
fn interrupt(world: &World, mut follower: Child) {
    world.signal(follower.id().into(), Signal::SIGINT);
    let status = until("the follower ends", Duration::from_secs(10), || {
        follower.try_wait().unwrap()
    });
    assert_eq!(status.signal(), Some(Signal::SIGINT as i32));
}

#[test]
fn followed_logs_of_three_gateways_have_no_gap_over_twenty_restarts() {
    let (world, _workspace) = running();
    let follow = ["logs", "dev-001", "--follow", "--format", "json"];
    let follower = world.start("follow", &follow);
    for restart in 1..=20 {
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
        until_ended(&world, restart);
    }
    interrupt(&world, follower);

    world.lockgate(&["stop", "dev-001"]).expect(0);
    let all = world.lockgate(&["logs", "dev-001", "--format", "json"]);
    for (gateway, processes) in told(&all.expect(0).stdout) {
        assert_eq!(processes.len(), 21, "{gateway}");
        assert!(processes.values().all(|told| told.ended.is_some()));
    }
    let times: Vec<u64> = all
        .stdout
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["time"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert!(times.is_sorted(), "all gateways' lines are merged by time");
}

/// Begins a colour and does not end it.
const COLOURFUL: &str = r#"
const server = require("http").createServer((request, response) => response.end("{}"));
server.listen(8888, () => console.log(`\u001b[31mprocess ${process.pid} listens`));
process.on("SIGTERM", () => process.exit(0));
"#;

#[test]
fn a_terminal_shows_whose_a_line_is_in_colours_until_ctrl_c() {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    workspace.edit(|_| COLOURFUL.to_owned());
    world.running("dev-001", &workspace);
    let terminal = world.terminal(60, &["logs", "dev-001", "-f"]);
    let lines_of = |gateway: &str, count: usize| {
        until("the lines are shown", Duration::from_mins(1), || {
            let seen = terminal.seen();
            let lines = seen.lines().filter(|line| line.contains(" listens"));
            let lines = lines.filter(|line| line.contains(gateway));
            let lines: Vec<String> = lines.map(ToOwned::to_owned).collect();
            (lines.len() >= count).then_some(lines)
        })
    };
    let restart = ["restart", "dev-001", "1", "--no-build", "--wait", "ready"];
    world.lockgate(&restart).expect(0);
    for (gateway, count) in [("gw-0 |", 1), ("gw-1 |", 2)] {
        for line in lines_of(gateway, count) {
            // A gateway's name has a colour of its own, and the application's ends with its line.
            let (name, text) = line.split_once("process ").unwrap();
            assert!(name.starts_with("\u{1b}["), "{line:?}");
            assert!(name.ends_with("\u{1b}[31m"), "{line:?}");
            assert!(text.trim_end().ends_with("\u{1b}[0m"), "{line:?}");
        }
    }
    let status = terminal.interrupt();
    assert_eq!(status.signal(), Some(Signal::SIGINT as i32));
}

#[test]
fn a_follower_outlives_the_server_and_the_environment() {
    let (world, workspace) = running();
    let follow = ["logs", "dev-001", "--follow", "--format", "json"];
    let follower = world.start("follow", &follow);
    world
        .lockgate(&["stop", "dev-001", "gw-pool-dev-001-1"])
        .expect(0);
    world
        .lockgate(&["start", "dev-001", "gw-pool-dev-001-1"])
        .expect(0);
    world
        .lockgate(&["restart", "dev-001", "0", "--no-build", "--wait", "ready"])
        .expect(0);
    world
        .lockgate(&["restart", "dev-001", "2", "--no-build", "--wait", "ready"])
        .expect(0);
    until_ended(&world, 1);
    world.lockgate(&["serve", "stop"]).expect(0);
    until_ended(&world, 2);
    world.serve();
    world
        .lockgate(&["wait", "dev-001", "--for", "ready", "--timeout", "30s"])
        .expect(0);
    world.lockgate(&["delete", "dev-001", "--yes"]).expect(0);

    until_ended(&world, 3);

    // Made again, with other gateways of the same names.
    world.create("dev-001", &workspace);
    world.deploy("dev-001").expect(0);
    world.lockgate(&["stop", "dev-001"]).expect(0);
    until_ended(&world, 4);
    interrupt(&world, follower);
}

#[test]
fn lines_begin_with_their_gateway_unless_there_is_one_or_nobody_wants_it() {
    let (world, _workspace) = running();
    let shown = |args: &[&str]| {
        let args = [&["logs", "dev-001", "--lines", "1"], args].concat();
        world.lockgate(&args).expect(0).stdout.clone()
    };
    let begins = |text: &str, start: &str| {
        assert!(text.lines().count() > 0);
        for line in text.lines() {
            assert!(line.starts_with(start), "{line}");
        }
    };
    let all = shown(&[]);
    let names: Vec<&str> = all
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["gw-0", "gw-1", "gw-2"]);
    begins(&shown(&["--no-prefix"]), "process ");
    begins(&shown(&["--gateway", "1"]), "process ");
    let two = shown(&["--gateway", "gw-1", "--gateway", "2", "--timestamps"]);
    assert_eq!(two.lines().count(), 2);
    assert!(two.lines().all(|line| line.contains("Z process ")), "{two}");
    assert!(
        !world
            .lockgate(&["logs", "dev-001"])
            .stdout
            .contains('\u{1b}')
    );
}

#[test]
fn crashes_are_shown_by_gateway_and_by_number() {
    let (world, workspace) = running();
    workspace.edit(|_| "console.log('last words'); throw new Error('boom');".to_owned());
    world.deploy("dev-001").expect(1);
    let crashes = |which: &str| {
        let args = [
            "logs",
            "dev-001",
            "--gateway",
            "1",
            which,
            "--format",
            "json",
        ];
        let shown = world.lockgate(&args).expect(0).stdout.clone();
        let line = |line: &str| serde_json::from_str::<Value>(line).unwrap();
        let lines = shown.lines().map(line);
        lines.collect::<Vec<_>>()
    };
    let list = crashes("--crash=list");
    let numbers: Vec<u64> = list.iter().filter_map(|it| it["crash"].as_u64()).collect();
    assert_eq!(numbers, [1, 2, 3], "three tries: {list:?}");
    let second = crashes("--crash=2");
    assert!(second.iter().all(|line| line["crash"] == 2), "{second:?}");
    assert_eq!(second[0]["stream"], "agent");
    assert_eq!(second[1]["text"], "last words");
    assert_eq!(crashes("--crash")[0]["crash"], 3);
    let all = world.lockgate(&["logs", "dev-001", "--crash=all"]);
    all.expect(0).says("gw-2 | last words");
    // The log itself says it, too, and the time once.
    let log = world.lockgate(&["logs", "dev-001", "-t", "--gateway", "1"]);
    let told = log.stdout.lines().filter(|it| it.contains(" --- "));
    let told: Vec<&str> = told
        .filter(|it| it.contains(": exited with code 1"))
        .collect();
    assert!(told.len() >= 3, "{}", log.stdout);
    for line in told {
        let (_, what) = line.split_once("Z --- ").unwrap();
        assert!(what.starts_with("build "), "{line}");
    }
}
