//! What is asked of a running agent.

use lockgate_model::{Phase, Report};
use nix::sys::signal::Signal;

use crate::application::{application, throwing};
use crate::world::World;

#[tokio::test]
async fn commands_ask_the_agent_and_a_gateway_can_be_stopped() {
    let mut world = World::new().await;
    world.start_agent();
    let build = world.deploy_and_wait("1.0.0").await;
    let before = world.hello().await;

    let status = world.ask(&["status", "--format", "json"]).await;
    let report: Report = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(report.agent_pid, u32::try_from(world.agent_pid()).unwrap());
    assert_eq!(report.desired_build, Some(build));

    let reload = world.ask(&["reload"]).await;
    assert!(
        reload.status.success(),
        "{}",
        String::from_utf8_lossy(&reload.stderr)
    );
    assert_eq!(
        world.hello().await.pid,
        before.pid,
        "nothing changed, nothing restarts"
    );

    let restart = world.ask(&["restart"]).await;
    assert!(
        restart.status.success(),
        "{}",
        String::from_utf8_lossy(&restart.stderr)
    );
    let after = world.hello().await;
    assert_ne!(after.pid, before.pid);

    let packed = world.pack(&application("1.0.0"));
    let seq = world.state(&packed, |statement| statement.restart = 1);
    world.settled(seq).await;
    assert_ne!(world.hello().await.pid, after.pid, "the counter grew");

    let seq = world.state(&packed, |statement| {
        statement.run = false;
        statement.restart = 1;
    });
    let report = world.settled(seq).await;
    assert_eq!((report.phase, report.running), (Phase::Stopped, None));
    assert_eq!(world.get().await.unwrap().0, 503);
    let restart = world.ask(&["restart"]).await;
    assert_eq!(restart.status.code(), Some(1));

    let seq = world.state(&packed, |_| {});
    world.settled(seq).await;
    assert_eq!(world.hello().await.version, "1.0.0");
}

#[tokio::test]
async fn a_reload_finds_what_no_notice_told() {
    let mut world = World::new().await;
    world.start_agent();
    world.deploy_and_wait("1.0.0").await;

    let packed = world.pack(&application("2.0.0"));
    let seq = world.state_silently(&packed, |_| {});
    let reload = world.ask(&["reload", "--format", "json"]).await;
    let report: Report = serde_json::from_slice(&reload.stdout).unwrap();
    assert_eq!((report.seq, report.settled), (seq, seq));
    assert_eq!(world.hello().await.version, "2.0.0");

    let packed = world.pack(&application("3.0.0"));
    let seq = world.state_silently(&packed, |_| {});
    world.signal_agent(Signal::SIGHUP);
    world.settled(seq).await;

    let packed = world.pack(&throwing());
    world.state_silently(&packed, |_| {});
    let reload = world.ask(&["reload"]).await;
    let said = String::from_utf8(reload.stderr).unwrap();
    assert_eq!(reload.status.code(), Some(1));
    assert!(said.contains("kept its old build"), "{said}");
    assert_eq!(world.hello().await.version, "3.0.0");
}

#[tokio::test]
async fn a_server_that_moved_is_followed_where_it_says_it_is() {
    let mut world = World::new().await;
    world.start_agent();
    world.deploy_and_wait("1.0.0").await;
    let before = world.server_address;

    world.stop_server().await;
    world.server_address.set_port(0);
    world.start_server().await;
    let server = format!("http://{}", world.server_address);
    assert_ne!(world.server_address, before);
    std::fs::write(world.path("servers"), format!("{server}\n")).unwrap();
    let (_, seq) = world.deploy("2.0.0");
    let reload = world.ask(&["reload"]).await;
    assert!(
        reload.status.success(),
        "{}",
        String::from_utf8_lossy(&reload.stderr)
    );
    let report = world.settled(seq).await;
    assert_eq!(report.server, Some(server));
    assert_eq!(world.hello().await.version, "2.0.0");
}

#[tokio::test]
async fn the_application_may_ask_for_its_own_replacement() {
    let mut world = World::new().await;
    world.start_agent();
    world.deploy_and_wait("1.0.0").await;
    let packed = world.pack(&application("2.0.0"));
    let seq = world.state_silently(&packed, |_| {});
    // It waits for the answer and ends only after it: the agent must not wait for
    // that end first.
    let (status, _, body) = world.get_path("/reload").await.unwrap();
    assert_eq!(status, 200, "{}", world.told());
    let report: Report = serde_json::from_slice(&body).unwrap();
    assert!(report.settled < seq);
    let report = world.settled(seq).await;
    assert_eq!(report.running.unwrap().build, packed.manifest.build);
    assert_eq!(world.hello().await.version, "2.0.0");
}

#[tokio::test]
async fn the_application_inherits_no_secret_of_the_agent() {
    let mut world = World::new().await;
    world.start_agent();
    let telling = application("1.0.0").replace(
        "{ version: \"1.0.0\", pid: process.pid }",
        "Object.keys(process.env).sort()",
    );
    let packed = world.pack(&telling);
    let seq = world.state(&packed, |_| {});
    world.settled(seq).await;
    let (_, _, body) = world.get().await.unwrap();
    let names: Vec<String> = serde_json::from_slice(&body).unwrap();
    for there in ["ENV_NAME", "GATEWAY_TOKEN", "PORT", "LOCKGATE_SOCKET"] {
        assert!(
            names.iter().any(|name| name == there),
            "{there} of {names:?}"
        );
    }
    let ours = names.iter().filter(|name| name.starts_with("LOCKGATE_"));
    let ours: Vec<_> = ours.map(String::as_str).collect();
    assert_eq!(ours, ["LOCKGATE_SOCKET", "LOCKGATE_START"]);
}

#[tokio::test]
async fn an_environment_that_cannot_be_used_is_exit_78_and_a_wrong_argument_2() {
    let world = World::new().await;
    let run = world
        .ask_with(&["run"], &[("ENV_NAME", ""), ("GATEWAY_HTTP_PORT", "x")])
        .await;
    let said = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(78), "{said}");
    assert_eq!(
        said,
        "error: this gateway's environment cannot be used: 2 problems\n  \
           caused by: `ENV_NAME` is not set\n  \
           caused by: `GATEWAY_HTTP_PORT` is `x`, not a port from 1 to 65535\n  \
           hint: `lockgate create` makes gateways with all of these; in a container of your own set them with `--env`\n"
    );
    let wrong = world.ask(&["reload", "--timeout", "soon"]).await;
    assert_eq!(wrong.status.code(), Some(2));
    let status = world.ask(&["status"]).await;
    let said = String::from_utf8(status.stderr).unwrap();
    assert_eq!(status.status.code(), Some(1));
    assert!(said.contains("hint: no agent has made"), "{said}");
}

#[tokio::test]
async fn logs_show_what_the_application_wrote() {
    let mut world = World::new().await;
    world.start_agent();
    world.deploy_and_wait("1.0.0").await;
    let logs = world.ask(&["logs"]).await;
    let shown = String::from_utf8(logs.stdout).unwrap();
    assert!(shown.contains("serving 1.0.0"), "{shown}");

    let packed = world.pack(&throwing());
    let seq = world.state(&packed, |_| {});
    world.settled(seq).await;
    let crash = world.ask(&["logs", "--crash"]).await;
    let shown = String::from_utf8(crash.stdout).unwrap();
    assert!(shown.contains("boom at start"), "{shown}");
}
