//! Processes that get away from the application, and those that were never its own.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use lockgate_model::{Phase, Report};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Gateway, OBEDIENT, Place, in_both_places, zombies_of};
use crate::application::{application, children, is_alive};
use crate::world::free_port;

in_both_places! {
    what_gets_away_from_the_application_is_killed_and_named
    what_a_crash_leaves_behind_is_killed
    a_job_started_beside_the_agent_is_left_alone
}

/// Children that do not want to end, each with its number in a file: in the group and
/// deaf to TERM, in a session of its own, the same without parent and streams, and one
/// that has nothing of its environment left.
const GET_AWAY: &str = r#"
deaf='trap "" TERM; echo $$ > "$0"; while :; do sleep 1000; done'
sh -c "$deaf" "$FOLDER/of-group" &
setsid sh -c "$deaf" "$FOLDER/of-session" &
(setsid sh -c "$deaf" "$FOLDER/daemon" < /dev/null > /dev/null 2>&1 &)
(env -i setsid sh -c "$deaf" "$FOLDER/unmarked" < /dev/null > /dev/null 2>&1 &)
"#;

const AWAY: [&str; 4] = ["of-group", "of-session", "daemon", "unmarked"];

impl Gateway {
    /// Has the application start children that get away, and gives their numbers: as
    /// the agent sees them, and as the test does.
    async fn get_away(&self) -> Vec<(i32, i32)> {
        self.order(GET_AWAY);
        let mut away = Vec::new();
        for name in AWAY {
            let number = self.written(name).await.parse().unwrap();
            away.push((number, self.seen_from_here(number)));
        }
        away
    }
}

async fn what_gets_away_from_the_application_is_killed_and_named(place: Place) {
    let mut gateway = Gateway::new(place).await;
    gateway.world.settings.limits.grace = Duration::from_millis(300);
    gateway.run_script(OBEDIENT).await;
    let agent = gateway.agent();
    let away = gateway.get_away().await;
    let packed = gateway.world.pack(&format!("{OBEDIENT}# the next build\n"));
    let seq = gateway.world.state(&packed, |_| {});
    let report = gateway.world.settled(seq).await;
    for (_, pid) in &away {
        assert!(!is_alive(*pid), "{}", super::describe(*pid));
    }
    let named = report.change.unwrap().left_behind;
    // Those of its group ended with it.
    for (number, _) in &away[1..] {
        assert!(named.contains(&format!("sh ({number})")), "{named:?}");
    }
    assert!(
        named.iter().any(|it| it.starts_with("sleep (")),
        "{named:?}"
    );
    let said = format!("--- killed what was left behind: {}", named.join(", "));
    assert!(gateway.log().contains(&said), "{}", gateway.log());
    let application = gateway.application();
    let gone = || children(agent) == [application];
    gateway.world.until("nobody is left", gone).await;
}

async fn what_a_crash_leaves_behind_is_killed(place: Place) {
    let mut gateway = Gateway::new(place).await;
    gateway.run_script(OBEDIENT).await;
    let agent = gateway.agent();
    let away = gateway.get_away().await;
    gateway.order("exit 7");
    let back = |report: &Report| report.phase == Phase::Ready && report.restarts == 1;
    gateway.world.report("is back", back).await;
    for (_, pid) in &away {
        assert!(!is_alive(*pid), "{}", super::describe(*pid));
    }
    let application = gateway.application();
    let gone = || children(agent) == [application];
    gateway.world.until("nobody else is left", gone).await;
}

async fn a_job_started_beside_the_agent_is_left_alone(place: Place) {
    let mut gateway = Gateway::new(place).await;
    let folder = gateway.world.path("").display().to_string();
    // Children of the agent itself, as those that `docker exec` leaves to PID 1: one
    // started before it, in its own session, and one in a session of its own.
    let jobs = format!(
        "sleep 1000 & echo $! > {folder}/job
         setsid sleep 1000 & echo $! > {folder}/other
         exec \"$0\" \"$@\""
    );
    let launcher: Vec<&str> = place
        .launcher()
        .iter()
        .copied()
        .chain(["sh", "-c", &jobs])
        .collect();
    gateway.world.start_agent_below(&launcher);
    gateway.world.deploy_and_wait("1.0.0").await;
    let agent = gateway.agent();
    let mut pids = Vec::new();
    for name in ["job", "other"] {
        let number = gateway.written(name).await.parse().unwrap();
        pids.push(gateway.seen_from_here(number));
    }
    assert!(pids.iter().all(|pid| children(agent).contains(pid)));
    // A crash, a restart, and a stop: each is followed by a sweep.
    kill(Pid::from_raw(gateway.application()), Signal::SIGKILL).unwrap();
    let back = |report: &Report| report.phase == Phase::Ready && report.restarts == 1;
    gateway.world.report("is back", back).await;
    assert_eq!(gateway.world.ask(&["restart"]).await.status.code(), Some(0));
    let packed = gateway.world.pack(&application("1.0.0"));
    let seq = gateway
        .world
        .state(&packed, |statement| statement.run = false);
    gateway.world.settled(seq).await;
    for pid in &pids {
        assert!(is_alive(*pid), "{}", gateway.log());
    }
    // When it ends by itself, it is taken in.
    for pid in &pids {
        kill(Pid::from_raw(*pid), Signal::SIGKILL).unwrap();
    }
    gateway
        .world
        .until("both are reaped", || children(agent).is_empty())
        .await;
    assert_eq!(zombies_of(agent), 0);
}

/// Serves, and has a child in a session of its own that holds every descriptor it
/// could get hold of, the listening socket too.
fn with_a_holder(version: &str) -> String {
    format!(
        r#"{}
server.on("listening", () => {{
  const holder = require("child_process").spawn("sleep", ["1000"], {{
    detached: true,
    stdio: ["ignore", "inherit", "inherit", server._handle, 3, 4, 5, 6],
  }});
  holder.unref();
  require("fs").writeFileSync(process.env.FOLDER + "/holder", holder.pid + "\n");
}});
"#,
        application(version)
    )
}

#[tokio::test]
async fn a_killed_agent_leaves_no_application_and_the_next_one_has_its_socket_at_once() {
    let mut gateway = Gateway::new(Place::OneOfMany).await;
    gateway.world.app_address.set_port(free_port());
    gateway.start_agent();
    let packed = gateway.world.pack(&with_a_holder("1.0.0"));
    let seq = gateway.world.state(&packed, |_| {});
    let report = gateway.world.settled(seq).await;
    assert_eq!(report.refused, None, "{}", gateway.world.told());
    for _ in 0..20 {
        let before = gateway.world.hello().await;
        let holder: i32 = gateway.written("holder").await.parse().unwrap();
        std::fs::remove_file(gateway.world.path("holder")).unwrap();
        assert_eq!(gateway.world.end_agent(Signal::SIGKILL).await, None);
        // The next one waits for nothing.
        gateway.start_agent();
        let after = gateway.world.hello().await;
        assert_ne!(after.pid, before.pid);
        gateway.world.gone(before.pid).await;
        assert!(!is_alive(holder), "{}", gateway.world.told());
        let report = gateway.world.reports.all().pop().unwrap().report;
        assert_eq!(report.restarts, 0, "{report:?}");
    }
    let told = gateway.world.told();
    assert!(!told.contains("cannot listen"), "{told}");
    assert!(told.contains("killed what an earlier agent had left behind left=\"sleep"));
    assert_eq!(gateway.world.end_agent(Signal::SIGTERM).await, Some(0));
}

#[tokio::test]
async fn an_agent_that_is_killed_at_any_moment_leaves_nothing_for_the_next_one() {
    let mut gateway = Gateway::new(Place::OneOfMany).await;
    gateway.world.app_address.set_port(free_port());
    gateway.start_agent();
    gateway.world.deploy_and_wait("1.0.0").await;
    for times in 0..20 {
        gateway.world.end_agent(Signal::SIGKILL).await;
        gateway.start_agent();
        // Not a wait for anything: the moments shall differ.
        tokio::time::sleep(Duration::from_millis(times * 7)).await;
    }
    let hello = gateway.world.hello().await;
    assert_eq!(hello.version, "1.0.0");
    let agent = gateway.agent();
    // A report of the last start may not have come yet.
    let application = gateway.seen_from_here(hello.pid);
    let folder = gateway.world.path("");
    let alone = || {
        let mut left = super::naming(&folder);
        left.retain(|pid| *pid != agent && *pid != application);
        left.is_empty()
    };
    gateway.world.until("nobody else is left", alone).await;
    let told = gateway.world.told();
    assert!(!told.contains("cannot listen"), "{told}");
}

#[tokio::test]
async fn an_agent_that_is_killed_while_one_drains_and_another_is_held_leaves_neither() {
    let mut gateway = Gateway::new(Place::OneOfMany).await;
    gateway.world.app_address.set_port(free_port());
    // The old one drains for as long as this request is not answered.
    gateway.world.settings.limits.drain = Duration::from_mins(2);
    gateway.start_agent();
    let holds = application("1.0.0").replace(
        "response.end(JSON",
        "if (request.url === '/hold') { console.log('holding'); return; }\n  response.end(JSON",
    );
    let packed = gateway.world.pack(&holds);
    let seq = gateway.world.state(&packed, |_| {});
    gateway.world.settled(seq).await;
    let before = gateway.world.hello().await;
    let mut client = TcpStream::connect(gateway.world.app_address).unwrap();
    client
        .write_all(b"GET /hold HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .unwrap();
    let asked = || gateway.log().contains("holding");
    gateway.world.until("it is asked", asked).await;

    let packed = gateway.world.pack(&application("2.0.0"));
    let seq = gateway.world.state(&packed, |_| {});
    let drains = |report: &Report| report.phase == Phase::Draining;
    gateway.world.report("drains", drains).await;
    let both = children(gateway.agent());
    assert_eq!(both.len(), 2, "{both:?}");
    assert!(both.contains(&before.pid), "{both:?}");
    assert_eq!(gateway.world.end_agent(Signal::SIGKILL).await, None);
    gateway.start_agent();
    let report = gateway.world.report("is ready", |report| {
        (report.seq, report.settled, report.phase) == (seq, seq, Phase::Ready)
    });
    let report = report.await;
    assert_eq!((&report.refused, report.restarts), (&None, 0));
    assert_eq!(gateway.world.hello().await.version, "2.0.0");
    for pid in both {
        assert!(!is_alive(pid), "{}", gateway.world.told());
    }
    assert_eq!(children(gateway.agent()).len(), 1);
    let told = gateway.world.told();
    assert!(!told.contains("cannot listen"), "{told}");
}
