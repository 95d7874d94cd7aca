//! A container of the image: it answers, says how it is, and ends in good order.

use lockgate_e2e::{Container, Engine, World, until};
use serde_json::Value;

use crate::gateway::{Gateway, SOON};
use crate::{HOW, image};

/// Health is asked every second, so that a journey need not wait for it.
const HEALTH: [&str; 6] = [
    "--health-interval",
    "1s",
    "--health-retries",
    "2",
    "--health-start-period",
    "1s",
];

/// Waits until the engine says this of the container's health.
fn until_health(container: &Container<'_>, wanted: &str) {
    until(&format!("the container is {wanted}"), SOON, || {
        (container.fact("/State/Health/Status") == wanted).then_some(())
    });
}

/// What the agent in a container says of itself.
fn report(container: &Container<'_>) -> Value {
    let status = container.exec(&["lockgate-agent", "status", "--format", "json"]);
    serde_json::from_str(&status.stdout).unwrap_or_default()
}

#[test]
fn a_gateway_run_by_hand_answers_tells_and_ends_in_good_order() {
    let world = World::beside_engine();
    let (engine, image) = image(&world);
    let gateway = Gateway::deployed(&world, &engine, "dev-001");
    let container = gateway.create(&engine, image, &HEALTH);
    container.act("start").expect(0);
    assert_eq!(gateway.answers()["version"], "1.0.0");
    until_health(&container, "healthy");

    let logs = container.act("logs");
    logs.expect(0)
        .says("agent starts")
        .says("gateway listens on 127.0.0.1:8888");
    // The agent's own on standard error, the application's on standard output.
    assert!(logs.stderr.contains("agent starts"), "{logs:?}");
    assert!(logs.stdout.contains("gateway listens"), "{logs:?}");

    // Who does not end within ten seconds is killed: 137.
    container.act("stop").expect(0);
    assert_eq!(container.fact("/State/ExitCode"), 0);
    container.act("logs").says("gateway stops").says("ended");

    // What it fetched is still there, and it starts again.
    container.act("start").expect(0);
    gateway.answers();
}

#[test]
fn a_gateway_that_was_told_of_no_server_finds_it_by_the_default_route() {
    let world = World::beside_engine();
    let (engine, image) = image(&world);
    let gateway = Gateway::deployed(&world, &engine, "dev-001").without_server(world.port);
    let container = gateway.create(&engine, image, &HEALTH);
    container.act("start").expect(0);
    assert_eq!(gateway.answers()["version"], "1.0.0");
    let server = format!("http://{}:{}", engine.bridge(), world.port);
    assert_eq!(report(&container)["server"], server);
    let told = container.exec(&["printenv", "LOCKGATE_SERVER", "LOCKGATE_SERVERS_FILE"]);
    assert_eq!((told.code, told.stdout.as_str()), (1, ""));
}

#[test]
fn a_gateway_whose_application_crashes_again_and_again_is_unhealthy() {
    let world = World::beside_engine();
    let (engine, image) = image(&world);
    let gateway = Gateway::deployed(&world, &engine, "dev-001");
    let container = gateway.create(&engine, image, &HEALTH);
    container.act("start").expect(0);
    gateway.answers();
    until_health(&container, "healthy");
    // The third crash on trial ends it; no build ran here before that it could go back to.
    for crashes in 1..=3 {
        let pid = until("the application runs", SOON, || {
            report(&container).pointer("/running/pid")?.as_u64()
        });
        container.exec(&["kill", "-9", &pid.to_string()]).expect(0);
        until("the crash is noticed", SOON, || {
            let now = report(&container);
            let refused = now["refused"].is_object();
            let other = now.pointer("/running/pid").and_then(Value::as_u64) != Some(pid);
            (other && (crashes < 3 || refused)).then_some(())
        });
    }
    until_health(&container, "unhealthy");
    let status = container.exec(&["lockgate-agent", "status", "--check"]);
    status
        .expect(1)
        .says("error: gateway `gw-pool-dev-001-0` does not answer");
}

#[test]
fn a_base_of_ones_own_with_a_user_of_its_own_runs() {
    let world = World::beside_engine();
    let engine = Engine::of_process(HOW);
    let (base, image) = ("lockgate-test/own-base", "lockgate-test/own");
    // What the agent and nginx write belongs to the user.
    engine.image(
        base,
        "RUN mkdir -p /opt/lockgate /run/lockgate \\\n    \
         && chown -R 1000:1000 /opt /run/lockgate /var/lib/nginx /var/log/nginx\n\
         USER 1000:1000",
    );
    let built = world.lockgate(&["image", "build", "--base", base, "--tag", image]);
    built.expect(0);
    let gateway = Gateway::deployed(&world, &engine, "dev-001");
    let container = gateway.create_with_token_of(&engine, image, 1000, &HEALTH);
    container.act("start").expect(0);
    gateway.answers();
    until_health(&container, "healthy");
    assert_eq!(container.exec(&["id", "-u"]).stdout, "1000\n");
    container.act("stop").expect(0);
    assert_eq!(container.fact("/State/ExitCode"), 0);
}

#[test]
fn a_read_only_root_needs_nothing_but_tmpfs() {
    let world = World::beside_engine();
    let (engine, image) = image(&world);
    let gateway = Gateway::deployed(&world, &engine, "dev-001");
    let mut more = vec!["--read-only"];
    more.extend(HEALTH);
    for folder in [
        "/opt:exec",
        "/run",
        "/tmp",
        "/var/lib/nginx",
        "/var/log/nginx",
    ] {
        more.extend(["--tmpfs", folder]);
    }
    // Nothing can be copied into a read-only root.
    let container = gateway.create_with_token_of(&engine, image, 0, &more);
    container.act("start").expect(0);
    gateway.answers();
    until_health(&container, "healthy");
    container.act("restart").expect(0);
    gateway.answers();
}

#[test]
fn missing_variables_are_all_named_and_end_it_with_78() {
    let world = World::beside_engine();
    let (engine, image) = image(&world);
    let container = engine.create("gw-pool-dev-001-0", &["--hostname", "gw", image]);
    let ran = engine.run(&["start", "--attach", &container.name]);
    ran.expect(78);
    for name in [
        "ENV_NAME",
        "GATEWAY_HTTP_PORT",
        "GATEWAY_VPN_PORT",
        "GATEWAY_ID",
        "GATEWAY_TOKEN",
        "GANYMEDE_FQDN",
        "DOMAIN",
        "LOCKGATE_KEY",
        "LOCKGATE_TOKEN_FILE",
    ] {
        ran.says(&format!("`{name}` is not set"));
    }
    assert_eq!(container.fact("/State/ExitCode"), 78);
}
