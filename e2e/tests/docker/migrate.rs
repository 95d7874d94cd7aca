//! From the shell system to Lockgate: each step, what it leaves as it was, and its way back.

use std::sync::atomic::{AtomicBool, Ordering};

use lockgate_e2e::{Ran, Seed, Workspace, World, get, image, until};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{LONG, is_ready, settings, small, until_gateway};

const ENV: &str = "dev-001";

fn name(number: u32) -> String {
    format!("gw-pool-{ENV}-{number}")
}

/// The version that a gateway of the pool answers with.
fn version(number: u32) -> Option<String> {
    let port = u16::try_from(7100 + number).unwrap();
    let answer = get(port, "/").filter(|answer| answer.status == 200)?;
    answer.json()["version"].as_str().map(str::to_owned)
}

fn until_answers(number: u32, expected: &str) {
    until(&format!("{number} answers with {expected}"), LONG, || {
        (version(number)? == expected).then_some(())
    });
}

/// The engine's id of a container, when it was started, and when it is started again.
fn facts(world: &World, name: &str) -> [Value; 3] {
    let shown = world.engine().inspect(name);
    let policy = &shown["HostConfig"]["RestartPolicy"]["Name"];
    let (id, started) = (&shown["Id"], &shown["State"]["StartedAt"]);
    [id.clone(), started.clone(), policy.clone()]
}

/// The small application with the shell system's scripts, trials as short as they can be.
fn workspace(world: &World, seed: &Seed<'_>) -> Workspace {
    let workspace = small(world, "monorepo");
    seed.equip(&workspace);
    settings(&workspace, "trial = '1s'\n");
    workspace
}

/// `lockgate pack`, then `lockgate serve` where containers without an agent reach it.
fn serve_plain(world: &World, workspace: &Workspace) {
    pack(world, workspace);
    let bridge = format!("{}:{}", world.engine().bridge(), world.port);
    let serve = [
        "serve",
        "--detach",
        "--listen",
        &bridge,
        "--allow-plain",
        ENV,
    ];
    world.lockgate(&serve).expect(0);
}

fn pack(world: &World, workspace: &Workspace) {
    let path = workspace.path.display().to_string();
    world.lockgate(&["pack", ENV, &path]).expect(0);
}

/// `lockgate adopt dev-001 …` in this checkout.
fn adopt(world: &World, workspace: &Workspace, more: &[&str]) -> Ran {
    let path = workspace.path.display().to_string();
    world.lockgate(&[&["adopt", ENV, "--workspace", &path], more].concat())
}

/// The way back or its end, without a question.
fn kept(world: &World, more: &[&str]) -> Ran {
    world.lockgate(&[&["adopt", ENV, "--yes"], more].concat())
}

/// A pool of the shell system that serves from `lockgate serve`.
fn pool<'w>(world: &'w World, count: u32, more: &[&str]) -> (Seed<'w>, Workspace) {
    let seed = Seed::new(world);
    let workspace = workspace(world, &seed);
    serve_plain(world, &workspace);
    seed.pool(ENV, count, more);
    for number in 0..count {
        until_answers(number, "1.0.0");
    }
    (seed, workspace)
}

#[test]
fn pack_and_serve_take_the_place_of_tar_and_python_and_back_again() {
    let world = World::with_engine();
    let mut seed = Seed::new(&world);
    let workspace = workspace(&world, &seed);
    seed.pack(ENV, &workspace);
    seed.serve();
    seed.pool(ENV, 2, &[]);
    until_answers(0, "1.0.0");
    until_answers(1, "1.0.0");
    let before = facts(&world, &name(0));

    // There: the same address, port and path.
    seed.end_server();
    workspace.set_version("2.0.0");
    serve_plain(&world, &workspace);
    for number in 0..2 {
        seed.reload(&name(number)).expect(0);
        until_answers(number, "2.0.0");
    }
    let info = ["exec", &name(0), "cat", "/opt/gateway/BUILD_INFO.txt"];
    let info = world.engine().docker(&info);
    assert!(info.contains("Environment: dev-001"), "{info}");
    assert!(info.contains("Tool: lockgate"), "{info}");

    // And back: nothing but the server is another one.
    world.lockgate(&["serve", "stop"]).expect(0);
    workspace.set_version("3.0.0");
    seed.pack(ENV, &workspace);
    seed.serve();
    for number in 0..2 {
        seed.reload(&name(number)).expect(0);
        until_answers(number, "3.0.0");
    }
    assert_eq!(facts(&world, &name(0)), before);
}

/// A container that is somebody else's and has the environment's label.
fn database(world: &World) -> [Value; 3] {
    let named = ["run", "--detach", "--name", "database"];
    let label = ["--label", "environment=dev-001"];
    let sleeps = ["--entrypoint", "sleep", "lockgate-test/seed", "1000"];
    world
        .engine()
        .docker(&[&named[..], &label, &sleeps].concat());
    facts(world, "database")
}

/// Adopts a gateway while these answer every request with a version.
fn adopt_beside(world: &World, workspace: &Workspace, number: u32, others: &[u32]) -> Ran {
    let done = AtomicBool::new(false);
    let number = number.to_string();
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut answers = 0;
            while !done.load(Ordering::Relaxed) {
                for other in others {
                    assert_eq!(version(*other).as_deref(), Some("1.0.0"), "{other}");
                    answers += 1;
                }
            }
            answers
        });
        let adopted = adopt(world, workspace, &["--gateway", &number, "--yes"]);
        done.store(true, Ordering::Relaxed);
        assert!(asking.join().unwrap() > others.len());
        adopted
    })
}

/// Fails unless a gateway is to everybody what its container of before was.
fn expect_same_identity(world: &World, number: u32) {
    let variables = [
        ("ENV_NAME", ENV.to_owned()),
        ("GATEWAY_HTTP_PORT", (7100 + number).to_string()),
        ("GATEWAY_VPN_PORT", (49100 + number).to_string()),
        (
            "GATEWAY_ID",
            format!("550e8400-e29b-41d4-a716-44665544000{number}"),
        ),
        (
            "GATEWAY_TOKEN",
            format!("eyJhbGciOiJIUzI1NiJ9.gateway-{number}.c2ln"),
        ),
        ("GANYMEDE_FQDN", "ganymede.domain.local".to_owned()),
        ("DOMAIN", "domain.local".to_owned()),
    ];
    for (variable, value) in variables {
        let asked = ["exec", &name(number), "printenv", variable];
        assert_eq!(world.engine().docker(&asked), value, "{variable}");
    }
    let shown = world.engine().inspect(&name(number));
    assert_eq!(shown["Config"]["Image"], image());
}

#[test]
fn gateways_are_adopted_one_by_one_while_the_others_serve() {
    let world = World::with_engine();
    let (seed, workspace) = pool(&world, 3, &[]);
    let database = database(&world);
    let before: Vec<_> = (0..3).map(|number| facts(&world, &name(number))).collect();

    // What would be done is said, and nothing is.
    adopt(&world, &workspace, &["--dry-run"])
        .expect(0)
        .says("gw-pool-dev-001-2")
        .says("`database` has the label of `dev-001`");
    adopt(&world, &workspace, &[]).expect(2).says("--yes");
    assert!(!world.home().join("envs/dev-001").exists());
    assert_eq!(facts(&world, &name(0)), before[0]);

    adopt_beside(&world, &workspace, 0, &[1, 2])
        .expect(0)
        .says("--undo");
    assert_eq!(version(0).as_deref(), Some("1.0.0"));
    expect_same_identity(&world, 0);
    let aside = "gw-pool-dev-001-0.before-lockgate";
    let [id, _, policy] = facts(&world, aside);
    assert_eq!((id, policy), (before[0][0].clone(), "no".into()));
    assert_eq!(world.engine().inspect(aside)["State"]["Running"], false);
    assert_eq!(facts(&world, &name(1)), before[1]);
    assert_eq!(facts(&world, &name(2)), before[2]);

    // A build reaches both kinds.
    workspace.set_version("2.0.0");
    world.deploy(ENV).expect(0);
    until_answers(0, "2.0.0");
    for number in 1..3 {
        seed.reload(&name(number)).expect(0);
        until_answers(number, "2.0.0");
    }

    // The others, as programs are told it.
    let rest = adopt(&world, &workspace, &["--yes", "--format", "json"]);
    assert!(!rest.expect(0).stdout.contains("c2ln"), "{}", rest.stdout);
    let result: Value = serde_json::from_str(rest.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(result["event"], "result");
    let expected = serde_json::json!([name(1), name(2)]);
    assert_eq!(result["adopted"], expected, "{result}");
    workspace.set_version("3.0.0");
    world.deploy(ENV).expect(0);
    world.expect_version(ENV, "3.0.0");
    expect_same_identity(&world, 2);
    adopt(&world, &workspace, &["--yes"])
        .expect(0)
        .says("nothing to adopt");
    assert_eq!(facts(&world, "database"), database);
}

#[test]
fn an_adopted_gateway_goes_back_until_its_container_is_removed() {
    let world = World::with_engine();
    let (_seed, workspace) = pool(&world, 2, &[]);
    let before: Vec<_> = (0..2).map(|number| facts(&world, &name(number))).collect();
    adopt(&world, &workspace, &["--yes"]).expect(0);
    workspace.set_version("2.0.0");
    world.deploy(ENV).expect(0);

    // Without a word nothing goes back.
    world
        .lockgate(&["adopt", ENV, "--undo"])
        .expect(2)
        .says("gw-pool-dev-001-1.before-lockgate")
        .says("--yes");
    // With its id and its policy, and with what is current.
    kept(&world, &["--undo", "--gateway", "1"]).expect(0);
    let [id, _, policy] = facts(&world, &name(1));
    assert_eq!([id, policy], [before[1][0].clone(), before[1][2].clone()]);
    until_answers(1, "2.0.0");
    assert_eq!(world.gateways(ENV)[1]["state"], "stopped");
    assert_eq!(version(0).as_deref(), Some("2.0.0"));
    assert_eq!(
        world.engine().containers(),
        [name(0), format!("{}.before-lockgate", name(0)), name(1)]
    );

    // It comes again, and then there is no way back any more.
    adopt(&world, &workspace, &["--yes"]).expect(0);
    until_answers(1, "2.0.0");
    kept(&world, &["--finish"]).expect(0);
    assert_eq!(world.engine().containers(), [name(0), name(1)]);
    kept(&world, &["--undo"])
        .expect(0)
        .says("no container is kept");
    until_answers(0, "2.0.0");
}

#[test]
fn a_gateway_that_does_not_get_ready_gives_its_place_back() {
    let world = World::with_engine();
    let (seed, workspace) = pool(&world, 2, &["--env", "FEATURE_KEY=not-for-logs"]);

    // Where the old container could not be started again, it is left alone.
    world.lockgate(&["serve", "stop"]).expect(0);
    let bridge = format!("{}:{}", world.engine().bridge(), world.port);
    let closed = ["serve", "--detach", "--listen", &bridge];
    world.lockgate(&closed).expect(0);
    adopt(&world, &workspace, &["--yes"])
        .expect(1)
        .says("answers 401: it could not be started again")
        .says("`lockgate serve --allow-plain dev-001` lets it");
    world.lockgate(&["serve", "stop"]).expect(0);
    serve_plain(&world, &workspace);

    // A build that no container has run is not tried at all.
    workspace.prepend("throw new Error('broken');");
    pack(&world, &workspace);
    let before: Vec<_> = (0..2).map(|number| facts(&world, &name(number))).collect();
    adopt(&world, &workspace, &["--yes"]).expect(1).says(
        "`docker exec gw-pool-dev-001-0 /opt/gateway/app/lib/reload-gateway.sh` brings it there",
    );
    let now: Vec<_> = (0..2).map(|number| facts(&world, &name(number))).collect();
    assert_eq!(now, before);
    assert!(!world.home().join("envs/dev-001").exists());

    // One that needs what only the old container has, does not start in the new one.
    workspace.edit(|text| {
        let own = "if (!process.env.FEATURE_KEY) throw new Error('no FEATURE_KEY');";
        text.replace("throw new Error('broken');", own)
    });
    pack(&world, &workspace);
    for number in 0..2 {
        seed.reload(&name(number)).expect(0);
        until_answers(number, "1.0.0");
    }
    let failed = adopt(&world, &workspace, &["--yes"]);
    failed
        .expect(1)
        .says("`gw-pool-dev-001-1`: variables that are not taken over: FEATURE_KEY;")
        .says("no FEATURE_KEY")
        .says("the container of before is started again as `gw-pool-dev-001-0`")
        .says("as they were: `gw-pool-dev-001-1`");
    assert!(!failed.stderr.contains("not-for-logs"), "{}", failed.stderr);
    until_answers(0, "1.0.0");
    let [id, started, policy] = facts(&world, &name(0));
    assert_eq!([id, policy], [before[0][0].clone(), before[0][2].clone()]);
    assert_ne!(started, before[0][1]);
    assert_eq!(facts(&world, &name(1)), before[1]);
    assert_eq!(world.engine().containers(), [name(0), name(1)]);

    // Given to the application, it starts.
    let value = ["set", ENV, "FEATURE_KEY=not-for-logs"];
    world.lockgate(&value).expect(0);
    adopt(&world, &workspace, &["--yes"]).expect(0);
    for number in 0..2 {
        let at = usize::try_from(number).unwrap();
        until_gateway(&world, "it serves", ENV, at, is_ready);
        until_answers(number, "1.0.0");
    }
}

#[test]
fn a_container_that_does_not_run_is_given_up_long_before_a_boot_would_be() {
    let world = World::with_engine();
    let (_seed, workspace) = pool(&world, 1, &[]);
    let no_agent = "lockgate-test/no-agent";
    world.engine().image(no_agent, "ENTRYPOINT [\"false\"]");
    settings(&workspace, &format!("[docker]\nimage = '{no_agent}'\n"));
    let before = facts(&world, &name(0));
    adopt(&world, &workspace, &["--yes"])
        .expect(1)
        .says("the container of `gw-pool-dev-001-0` does not run")
        .says("ended with exit code 1");
    until_answers(0, "1.0.0");
    let [id, _, policy] = facts(&world, &name(0));
    assert_eq!([id, policy], [before[0].clone(), before[2].clone()]);
    assert_eq!(world.engine().containers(), [name(0)]);
}

/// Starts to adopt, and sends a signal once the old container is put aside.
fn ended_by(world: &World, workspace: &Workspace, signal: Signal) -> Option<i32> {
    let path = workspace.path.display().to_string();
    let adopt = ["adopt", ENV, "--workspace", &path, "--yes"];
    let mut adopting = world.start("adopting", &adopt);
    let aside = format!("{}.before-lockgate", name(0));
    until("the old container is put aside", LONG, || {
        world.engine().containers().contains(&aside).then_some(())
    });
    world.signal(adopting.id().into(), signal);
    adopting.wait().unwrap().code()
}

#[test]
fn an_adoption_that_is_ended_goes_back_and_one_that_is_killed_goes_on() {
    let world = World::with_engine();
    let (_seed, workspace) = pool(&world, 1, &[]);
    let before = facts(&world, &name(0));
    let interrupted = ended_by(&world, &workspace, Signal::SIGINT);
    assert_eq!(interrupted, Some(130), "{}", world.written("adopting"));
    until_answers(0, "1.0.0");
    let [id, _, policy] = facts(&world, &name(0));
    assert_eq!([id, policy], [before[0].clone(), before[2].clone()]);
    assert_eq!(world.engine().containers(), [name(0)]);

    assert_eq!(ended_by(&world, &workspace, Signal::SIGKILL), None);
    adopt(&world, &workspace, &["--yes"]).expect(0);
    until_answers(0, "1.0.0");
    expect_same_identity(&world, 0);
    // The way back is as it was.
    kept(&world, &["--undo"]).expect(0);
    until_answers(0, "1.0.0");
    let [id, _, policy] = facts(&world, &name(0));
    assert_eq!([id, policy], [before[0].clone(), before[2].clone()]);
}

#[test]
fn what_is_in_the_way_is_named_at_once_and_nothing_is_changed() {
    let world = World::with_engine();
    let seed = Seed::new(&world);
    let workspace = workspace(&world, &seed);
    settings(&workspace, "[docker]\nimage = 'no/such:1'\n");
    let create = |number: u32, more: &[&str]| {
        let name = name(number);
        let label = ["create", "--name", &name, "--label", "environment=dev-001"];
        let all = [&label[..], more, &["lockgate-test/seed"]].concat();
        world.engine().docker(&all);
    };
    create(
        0,
        &["--env", "ENV_NAME=dev-002", "--env", "GATEWAY_HTTP_PORT=80"],
    );
    create(1, &["--label", "io.lockgate.home=another"]);
    let all = || [0, 1].map(|number| world.engine().inspect(&name(number)));
    let before = all();
    world.serve();
    adopt(&world, &workspace, &["--yes"])
        .expect(1)
        .says("nothing was changed")
        .says("has no image `no/such:1`")
        .says("`gw-pool-dev-001-0` has `ENV_NAME=dev-002`, not `dev-001`")
        .says("`GATEWAY_HTTP_PORT=80`, which is no port of 7100–7199")
        .says("`gw-pool-dev-001-0` has no `GATEWAY_ID`")
        .says("`gw-pool-dev-001-1` belongs to the Lockgate home another");
    assert_eq!(all(), before);
    let list = world.lockgate(&["list", "--format", "json"]).json();
    assert!(!list.to_string().contains(ENV), "{list}");
}
