//! A build on its way through several gateways: in which order, how far, and what is left alone.

use std::fs;
use std::time::Duration;

use lockgate_e2e::{Workspace, World, until};
use nix::sys::signal::Signal;
use serde_json::Value;

const SOON: Duration = Duration::from_secs(30);

/// A world whose gateways run version 1.0.0, with trials of this length from now on.
fn running(trial: &str) -> (World, Workspace) {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    configure(&workspace, &format!("[app.limits]\ntrial = '{trial}'\n"));
    world.running("dev-001", &workspace);
    (world, workspace)
}

fn configure(workspace: &Workspace, text: &str) {
    fs::write(workspace.path.join("lockgate.toml"), text).unwrap();
}

/// Makes the bundle end by itself, so long after it listens.
fn exit_after(workspace: &Workspace, ms: u32) {
    workspace.prepend(&format!(
        "{{ const server = require('net').Server.prototype, listen = server.listen; \
         server.listen = function (...args) {{ const own = listen.apply(this, args); \
         setTimeout(() => {{ console.error('lost the database'); process.exit(7); }}, {ms}); \
         return own; }}; }}"
    ));
}

/// Makes the bundle do this in one gateway alone.
fn only_in(world: &World, workspace: &Workspace, number: usize, code: &str) {
    let ports = world.ports("dev-001");
    let port = ports.get(number).expect("the gateway");
    workspace.prepend(&format!(
        "if (process.env.GATEWAY_HTTP_PORT === '{port}') {{ {code} }}"
    ));
}

/// What an untouched gateway shows the same before and after.
fn fingerprint(gateway: &Value) -> Value {
    let fields = ["pid", "running_build", "desired_build", "since"];
    fields.iter().map(|name| gateway[*name].clone()).collect()
}

fn versions(world: &World) -> Vec<String> {
    let version = |answer: &Value| answer["version"].as_str().unwrap_or_default().to_owned();
    world.answers("dev-001").iter().map(version).collect()
}

/// The environment as `status` shows it.
fn environment(world: &World) -> Value {
    let status = world.lockgate(&["status", "dev-001", "--format", "json"]);
    let environment = status.json().pointer("/environments/0").cloned();
    environment.expect("an environment")
}

fn events(stdout: &str) -> Vec<Value> {
    let lines = stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_build_that_exits_after_two_seconds_fails_the_deploy_with_its_last_lines() {
    let (world, workspace) = running("3s");
    exit_after(&workspace, 2_000);
    let deployed = world.lockgate(&["deploy", "dev-001"]);
    deployed
        .expect(1)
        .says("exited with code 7, 3 times")
        .says("lost the database")
        .says("kept its old build");
    world.expect_version("dev-001", "1.0.0");
    world
        .lockgate(&["status", "dev-001"])
        .expect(0)
        .says("because it exited with code 7, 3 times, runs ");
}

#[test]
fn a_deploy_tells_ready_at_once_and_good_after_the_trial() {
    let (world, workspace) = running("2s");
    workspace.set_version("2.0.0");
    let deployed = world.lockgate(&["deploy", "dev-001", "--format", "json"]);
    let events = events(&deployed.expect(0).stdout);
    let at = |fits: &dyn Fn(&Value) -> bool| events.iter().position(fits).unwrap();
    let trial = at(&|event| event["event"] == "trial");
    let ready = at(&|event| event["event"] == "gateway" && event["ready_ms"].is_u64());
    let good = at(&|event| event["verdict"]["state"] == "runs");
    assert!(ready < trial && trial < good, "{events:?}");
    assert_eq!(events[ready]["on_trial"], true);
    let result = events.last().unwrap();
    for gateway in result["gateways"].as_array().unwrap() {
        assert_eq!(gateway["good"], true, "{result}");
        let (ready, took) = (gateway["ready_ms"].as_u64(), gateway["took_ms"].as_u64());
        assert!(ready.unwrap() < took.unwrap(), "{result}");
    }
    // Who waits for less has less to tell.
    workspace.set_version("3.0.0");
    let args = ["deploy", "dev-001", "--wait", "ready", "--format", "json"];
    let quick = self::events(&world.lockgate(&args).expect(0).stdout);
    assert!(quick.iter().all(|event| event["event"] != "trial"));
    assert_eq!(quick.last().unwrap()["gateways"][0]["good"], false);
}

#[test]
fn ctrl_c_during_the_trial_leaves_the_build_running() {
    let (world, workspace) = running("30s");
    workspace.set_version("2.0.0");
    let mut deploying = world.start("deploy", &["deploy", "dev-001"]);
    until("the build is on trial", SOON, || {
        world
            .written("deploy")
            .contains("on trial for 30s")
            .then_some(())
    });
    world.signal(deploying.id().into(), Signal::SIGINT);
    let ended = until("the deploy ends", SOON, || {
        deploying.try_wait().ok().flatten()
    });
    let written = world.written("deploy");
    assert_eq!(ended.code(), Some(130), "{written}");
    assert!(!written.contains("error:"), "{written}");
    assert!(
        written.contains("runs on 3 gateways and is on trial"),
        "{written}"
    );
    world.expect_version("dev-001", "2.0.0");
}

#[test]
fn a_canary_that_fails_leaves_all_others_untouched() {
    let (world, workspace) = running("2s");
    let before = world.gateways("dev-001");
    exit_after(&workspace, 1_000);
    world
        .lockgate(&["deploy", "dev-001", "--strategy", "canary"])
        .expect(1)
        .says("gateway `gw-pool-dev-001-0` does not run build")
        .says("`gw-pool-dev-001-1`, `gw-pool-dev-001-2` were left untouched");
    let after = world.gateways("dev-001");
    for number in [1, 2] {
        assert_eq!(fingerprint(&after[number]), fingerprint(&before[number]));
    }
    assert!(after[0]["refused"].is_object(), "{}", after[0]);
    let rollout = environment(&world)["rollout"].clone();
    assert_eq!(rollout["reached"][0], "gw-pool-dev-001-0", "{rollout}");
    assert_eq!(rollout["left"].as_array().unwrap().len(), 2, "{rollout}");
    // What was begun is undone, not the deploy before it.
    world
        .lockgate(&["rollback", "dev-001", "--wait", "ready"])
        .expect(0);
    world.expect_version("dev-001", "1.0.0");
    let environment = environment(&world);
    assert!(environment["rollout"].is_null(), "{environment}");
    assert_eq!(environment["build"], before[1]["running_build"]);
}

#[test]
fn a_canary_passes_its_trial_before_the_others_are_told() {
    let (world, workspace) = running("2s");
    workspace.set_version("2.0.0");
    let args = [
        "deploy",
        "dev-001",
        "--strategy",
        "canary",
        "--wait",
        "ready",
    ];
    world
        .lockgate(&args)
        .expect(0)
        .says("ready on gw-pool-dev-001-0")
        .says("on trial for 2s, then 2 more");
    world.expect_version("dev-001", "2.0.0");
    let started: Vec<u64> = world
        .gateways("dev-001")
        .iter()
        .map(|gateway| gateway["since"].as_u64().unwrap())
        .collect();
    assert!(started[1] >= started[0] + 2_000, "{started:?}");
    assert!(started[2] >= started[0] + 2_000, "{started:?}");
}

#[test]
fn a_rolling_deploy_goes_on_when_the_one_before_is_ready() {
    let (world, workspace) = running("1s");
    workspace.set_version("2.0.0");
    configure(
        &workspace,
        "[deploy]\nstrategy = 'rolling'\n[app.limits]\ntrial = '1s'\n",
    );
    let deployed = world.lockgate(&["deploy", "dev-001", "--format", "json"]);
    let events = events(&deployed.expect(0).stdout);
    for number in 1..3 {
        let published = |event: &Value| {
            event["event"] == "published"
                && event["names"][0] == format!("gw-pool-dev-001-{number}")
        };
        let before = format!("gw-pool-dev-001-{}", number - 1);
        let ready = |event: &Value| event["gateway"] == *before && event["ready_ms"].is_u64();
        let (ready, published) = (
            events.iter().position(ready).unwrap(),
            events.iter().position(published).unwrap(),
        );
        assert!(ready < published, "{number}: {events:?}");
    }
    let result = events.last().unwrap();
    assert_eq!(result["strategy"], "rolling");
    world.expect_version("dev-001", "2.0.0");
}

#[test]
fn a_rolling_deploy_stops_at_the_first_failure_and_the_next_deploy_catches_up() {
    let (world, workspace) = running("1s");
    let before = world.gateways("dev-001");
    workspace.set_version("2.0.0");
    only_in(&world, &workspace, 1, "throw new Error('no such table');");
    world
        .lockgate(&["deploy", "dev-001", "--strategy", "rolling"])
        .expect(1)
        .says("gateway `gw-pool-dev-001-1` does not run build")
        .says("no such table")
        .says("`gw-pool-dev-001-2` was left untouched");
    assert_eq!(versions(&world), ["2.0.0", "1.0.0", "1.0.0"]);
    let after = world.gateways("dev-001");
    assert_eq!(fingerprint(&after[2]), fingerprint(&before[2]));
    world
        .lockgate(&["status", "dev-001"])
        .expect(0)
        .says("did not come to its end: it reached gw-pool-dev-001-0, gw-pool-dev-001-1;");

    workspace.edit(|text| text.split_once('\n').unwrap().1.to_owned());
    world.deploy("dev-001").expect(0);
    world.expect_version("dev-001", "2.0.0");
    assert!(environment(&world)["rollout"].is_null());
}

#[test]
fn a_killed_rolling_deploy_leaves_both_builds_told_and_no_lock() {
    let (world, workspace) = running("1s");
    workspace.set_version("2.0.0");
    // Long enough to be caught between two gateways.
    let wait = "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3000);";
    only_in(&world, &workspace, 1, wait);
    let args = ["deploy", "dev-001", "--strategy", "rolling"];
    let mut deploying = world.start("deploy", &args);
    until("the second gateway was told", SOON, || {
        let reached = environment(&world)["rollout"]["reached"].clone();
        (reached.as_array()?.len() == 2).then_some(())
    });
    world
        .lockgate(&["status", "dev-001"])
        .says("is under way in process");
    world.signal(deploying.id().into(), Signal::SIGKILL);
    until("it is gone", SOON, || deploying.try_wait().ok().flatten());

    until("the second gateway went on by itself", SOON, || {
        (versions(&world) == ["2.0.0", "2.0.0", "1.0.0"]).then_some(())
    });
    let rollout = environment(&world)["rollout"].clone();
    assert_eq!(rollout["under_way"], false, "{rollout}");
    assert_eq!(rollout["left"][0], "gw-pool-dev-001-2", "{rollout}");
    world.deploy("dev-001").expect(0);
    world.expect_version("dev-001", "2.0.0");
    assert!(environment(&world)["rollout"].is_null());
}

#[test]
fn a_pinned_gateway_stays_where_it_is_until_it_is_unpinned() {
    let (world, workspace) = running("1s");
    workspace.set_version("2.0.0");
    let args = ["deploy", "dev-001", "--gateway", "1", "--wait", "ready"];
    world.lockgate(&args).expect(0);
    assert_eq!(versions(&world), ["1.0.0", "2.0.0", "1.0.0"]);
    let pinned = world.gateways("dev-001")[1].clone();
    assert_eq!(pinned["pinned"]["build"], pinned["running_build"]);
    let told = "gw-pool-dev-001-1 is pinned to";
    let status = || world.lockgate(&["status", "dev-001"]);
    status().says("pinned").says(told);
    let untouched = |world: &World| {
        let now = world.gateways("dev-001")[1].clone();
        assert_eq!(fingerprint(&now), fingerprint(&pinned));
    };

    workspace.set_version("3.0.0");
    let unpin = "`lockgate deploy dev-001 --gateway 1 --unpin` ends that";
    world.deploy("dev-001").expect(0).says(told).says(unpin);
    assert_eq!(versions(&world), ["3.0.0", "2.0.0", "3.0.0"]);
    untouched(&world);
    // The build that went to one gateway alone is none to go back to.
    let back = ["rollback", "dev-001", "--wait", "ready"];
    world.lockgate(&back).expect(0).says(told);
    assert_eq!(versions(&world), ["1.0.0", "2.0.0", "1.0.0"]);
    world
        .lockgate(&["restart", "dev-001", "--wait", "ready"])
        .expect(0)
        .says(told);
    untouched(&world);

    let unpin = ["deploy", "dev-001", "--unpin", "--wait", "ready"];
    world.lockgate(&unpin).expect(0);
    world.expect_version("dev-001", "3.0.0");
    assert!(world.gateways("dev-001")[1]["pinned"].is_null());
}

#[test]
fn a_gateway_that_refuses_a_build_is_not_pinned_to_it() {
    let (world, workspace) = running("1s");
    workspace.prepend("throw new Error('no such table');");
    world
        .lockgate(&["deploy", "dev-001", "--gateway", "gw-pool-dev-001-2"])
        .expect(1);
    assert!(world.gateways("dev-001")[2]["pinned"].is_null());
    world.expect_version("dev-001", "1.0.0");
}

#[test]
fn a_pin_to_a_build_that_is_refused_later_ends_with_the_next_deploy() {
    let (world, workspace) = running("20s");
    let good = fs::read_to_string(workspace.bundle()).unwrap();
    exit_after(&workspace, 4_000);
    let args = ["deploy", "dev-001", "--gateway", "1", "--wait", "ready"];
    world.lockgate(&args).expect(0);
    until("the build is refused", 3 * SOON, || {
        let now = world.gateways("dev-001").remove(1);
        (now["state"] == "refused").then_some(())
    });
    assert!(!world.gateways("dev-001")[1]["pinned"].is_null());

    workspace.edit(|_| good);
    workspace.set_version("2.0.0");
    let wait = ["deploy", "dev-001", "--wait", "ready"];
    world
        .lockgate(&wait)
        .expect(0)
        .says("gw-pool-dev-001-1 was pinned to")
        .says("which it refused; it is pinned no more");
    world.expect_version("dev-001", "2.0.0");
    assert!(world.gateways("dev-001")[1]["pinned"].is_null());
}

#[test]
fn one_deploy_at_a_time_and_the_next_may_wait() {
    let (world, workspace) = running("1s");
    workspace.set_version("2.0.0");
    configure(&workspace, "[build]\ncommand = 'sleep 300'\n");
    let mut first = world.start("first", &["deploy", "dev-001", "--build"]);
    until("the first builds", SOON, || {
        world.written("first").contains("building:").then_some(())
    });
    let holder = format!("is being changed by process {} (deploy; begun", first.id());
    for args in [
        &["deploy", "dev-001"][..],
        &["restart", "dev-001", "--no-build"],
        &["rollback", "dev-001"],
        &["stop", "dev-001"],
        &["start", "dev-001"],
        &["delete", "dev-001", "--yes"],
        &["deploy", "dev-001", "--unpin"],
    ] {
        let refused = world.lockgate(args);
        refused.expect(1).says(&holder).says("`--lock-wait` waits");
    }
    world
        .lockgate(&["deploy", "dev-001", "--lock-wait=1s"])
        .expect(1)
        .says("it was waited for 1s in vain");

    configure(&workspace, "");
    let args = ["deploy", "dev-001", "--lock-wait", "--wait", "ready"];
    let mut second = world.start("second", &args);
    until("the second waits", SOON, || {
        world
            .written("second")
            .contains(&format!("waiting: environment `dev-001` {holder}"))
            .then_some(())
    });
    world.expect_version("dev-001", "1.0.0");
    // However the first ends, the kernel frees its lock.
    world.signal(first.id().into(), Signal::SIGKILL);
    until("the first is gone", SOON, || {
        first.try_wait().ok().flatten()
    });
    let ended = until("the second is done", SOON, || {
        second.try_wait().ok().flatten()
    });
    assert!(ended.success(), "{}", world.written("second"));
    world.expect_version("dev-001", "2.0.0");
    // What the killed build left is not the journey's to keep.
    let left = until("the build command is found", SOON, || sleeping(&world));
    world.signal(left, Signal::SIGKILL);
}

/// The `sleep` that a killed deploy left.
fn sleeping(world: &World) -> Option<u64> {
    let folder = world.dir().as_os_str().as_encoded_bytes();
    let all = fs::read_dir("/proc").unwrap().flatten();
    let mut ours = all.filter(|process| {
        let read = |file| fs::read(process.path().join(file)).unwrap_or_default();
        let in_world = read("environ")
            .windows(folder.len())
            .any(|part| part == folder);
        in_world && read("cmdline").starts_with(b"sleep\x00300")
    });
    ours.find_map(|process| process.file_name().to_str()?.parse().ok())
}
