//! The shell system's entry points, called as its scripts and applications call them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use lockgate_model::Phase;

use crate::application::application;
use crate::doors::with_stdin;
use crate::world::World;

const OK: &str = "{\"status\": \"ok\"}\n";

/// Runs a script of the running release, with nothing in its environment but a path, as
/// `docker exec` does.
#[expect(
    clippy::disallowed_methods,
    reason = "the test starts the scripts that it tests"
)]
async fn run(world: &World, words: &[&str], stdin: &str) -> Output {
    let mut command = Command::new(world.path("opt/gateway/app").join(words[0]));
    command
        .args(&words[1..])
        .env_clear()
        .env("PATH", "/usr/bin:/bin");
    with_stdin(command, stdin).await
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

#[track_caller]
fn check(world: &World, output: &Output, code: i32) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}\n{}", world.told());
}

/// The workspace's own scripts, as a build carries them.
fn own_scripts(world: &World) {
    let app = world.path("workspace/app");
    fs::create_dir_all(app.join("lib")).unwrap();
    for (name, text) in [
        ("main.sh", "#!/bin/sh\necho \"own: $*\"\n"),
        (
            "lib/reload-gateway.sh",
            "#!/bin/sh\necho 'the old way'; exit 9\n",
        ),
        ("lib/helper.sh", "#!/bin/sh\necho helped\n"),
        (
            "config.conf",
            "export FROM_CONFIG=\"from the workspace\" # why\nexport DOMAIN=overridden\nexport SKIPPED=$(id)\n",
        ),
    ] {
        fs::write(app.join(name), text).unwrap();
        fs::set_permissions(app.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[tokio::test]
async fn scripts_of_the_shell_system_lead_to_the_agent() {
    let mut world = World::behind_nginx().await;
    own_scripts(&world);
    world.start_agent();
    world.deploy_and_wait("1.0.0").await;
    let before = world.hello().await.pid;

    let routes = "uc-1.domain.local 172.16.0.6 80\n";
    let update = ["main.sh", "-r", "bin/update-nginx-locations.sh"];
    let updated = run(&world, &update, routes).await;
    check(&world, &updated, 0);
    assert_eq!(stdout(&updated), OK);
    let refused = run(&world, &update, "uc-1.domain.local 172.17.0.6 80\n").await;
    check(&world, &refused, 1);
    assert_eq!(
        stdout(&refused),
        "{\"status\": \"error\", \"error\": \"no route is changed: \
         line 1: `172.17.0.6` does not lie in the VPN, 172.16.0.0/16\"}\n"
    );
    assert_eq!(
        world.ask(&["routes", "list"]).await.stdout,
        routes.as_bytes()
    );

    let reset = run(&world, &["main.sh", "-r", "bin/reset-gateway.sh"], "").await;
    check(&world, &reset, 0);
    assert_eq!(stdout(&reset), OK);
    let after = world.hello().await.pid;
    assert_ne!(after, before);

    let packed = world.pack(&application("2.0.0"));
    world.state_silently(&packed, |_| {});
    check(
        &world,
        &run(&world, &["lib/reload-gateway.sh"], "").await,
        0,
    );
    assert_eq!(world.hello().await.version, "2.0.0");
    check(
        &world,
        &run(&world, &["lib/fetch-gateway-build.sh"], "").await,
        0,
    );
    check(&world, &run(&world, &["lib/reset-nginx.sh"], "").await, 0);
    vpn_scripts(&world).await;

    let own = run(&world, &["main.sh", "-r", "bin/other.sh", "x"], "").await;
    assert_eq!(stdout(&own), "own: -r bin/other.sh x\n");
    assert_eq!(
        stdout(&run(&world, &["lib/helper.sh"], "").await),
        "helped\n"
    );
}

/// Those of the VPN, in a gateway that can have none.
async fn vpn_scripts(world: &World) {
    let started = run(world, &["lib/start-vpn.sh"], "").await;
    check(world, &started, 1);
    let said = stdout(&started);
    assert!(
        said.starts_with("{\"status\": \"error\", \"error\": \"")
            && said.contains("serves no organization"),
        "{said}"
    );
    // This gateway shares its network with others, and says so to whoever asks.
    let organization = "0d1b3c5e-8f1a-4c52-9a52-2f7e0a9a1c11";
    let started = ["vpn", "start", "--organization", organization];
    let started = world.ask(&started).await;
    check(world, &started, 1);
    assert!(
        stdout(&started).contains("shares its host's network"),
        "{}",
        stdout(&started)
    );
    let report = world.ask(&["status", "--format", "json"]).await;
    assert!(
        stdout(&report).contains("\"problem\": null"),
        "{}",
        stdout(&report)
    );
    let stopped = run(world, &["lib/stop-vpn.sh"], "").await;
    check(world, &stopped, 0);
    assert_eq!(
        stdout(&stopped),
        "{\"status\": \"ok\", \"message\": \"OpenVPN servers stopped successfully\"}\n"
    );
}

/// Build and page of the answer, once nginx was shown that nothing runs: a moment after
/// the application's socket is closed.
async fn stopped(world: &World) -> (Option<String>, Vec<u8>) {
    loop {
        let (status, build, page) = world.get().await.unwrap();
        assert!([502, 503].contains(&status), "{status}");
        if status == 503 {
            return (build, page.to_vec());
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_application_is_stopped_and_started_by_hand() {
    let mut world = World::behind_nginx().await;
    world.start_agent();
    let build = world.deploy_and_wait("1.0.0").await;
    let before = world.hello().await.pid;
    for _ in 0..2 {
        check(
            &world,
            &run(&world, &["lib/stop-app-gateway.sh"], "").await,
            0,
        );
        world.gone(before).await;
        let (named, page) = stopped(&world).await;
        assert_eq!(named.as_deref(), Some(build.as_str()));
        let page = String::from_utf8_lossy(&page);
        assert!(page.contains("the application is stopped"), "{page}");
    }
    // A reload finds nothing new, and it was stopped on purpose.
    check(
        &world,
        &run(&world, &["lib/reload-gateway.sh"], "").await,
        0,
    );
    stopped(&world).await;
    for _ in 0..2 {
        check(
            &world,
            &run(&world, &["lib/start-app-gateway.sh"], "").await,
            0,
        );
        assert_eq!(world.hello().await.version, "1.0.0");
    }
    check(
        &world,
        &run(&world, &["lib/stop-app-gateway.sh"], "").await,
        0,
    );
    let reset = run(&world, &["bin/reset-gateway.sh"], "").await;
    assert_eq!(stdout(&reset), OK);
    assert_eq!(world.hello().await.version, "1.0.0");
    check(
        &world,
        &run(&world, &["lib/stop-app-gateway.sh"], "").await,
        0,
    );
    world.deploy_and_wait("2.0.0").await;
}

#[tokio::test]
async fn an_application_may_reset_its_own_gateway() {
    let mut world = World::behind_nginx().await;
    world.start_agent();
    let resetting = application("1.0.0").replace(
        "/reload\") {",
        "/reset\") {
    const { spawnSync } = require(\"child_process\");
    const main = process.env.GATEWAY_ROOT + \"/app/main.sh\";
    const { stdout } = spawnSync(main, [\"-r\", \"bin/reset-gateway.sh\"]);
    response.end(stdout);
    return;
  }
  if (request.url === \"/reload\") {",
    );
    let packed = world.pack(&resetting);
    let seq = world.state(&packed, |_| {});
    world.settled(seq).await;
    let before = world.hello().await.pid;
    // It waits for the answer, and is ended only after it.
    let (status, _, body) = world.get_path("/reset").await.unwrap();
    assert_eq!(
        (status, &body[..]),
        (200, OK.as_bytes()),
        "{}",
        world.told()
    );
    world.gone(before).await;
    assert_eq!(world.hello().await.version, "1.0.0");
    world
        .report("is ready", |report| report.phase == Phase::Ready)
        .await;
}

#[tokio::test]
async fn what_config_conf_exports_reaches_the_application_below_the_gateway_s_own() {
    let mut world = World::new().await;
    own_scripts(&world);
    world.start_agent();
    let telling = application("1.0.0").replace(
        "{ version: \"1.0.0\", pid: process.pid }",
        "[\"FROM_CONFIG\", \"DOMAIN\", \"SKIPPED\"].map(name => process.env[name] ?? null)",
    );
    let packed = world.pack(&telling);
    let seq = world.state(&packed, |_| {});
    world.settled(seq).await;
    let (_, _, body) = world.get().await.unwrap();
    let values: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        values,
        serde_json::json!(["from the workspace", "localhost", null])
    );
    let log = fs::read_to_string(world.path("gateway.log")).unwrap();
    assert!(log.contains("app/config.conf: line 3 is skipped"), "{log}");
}
