//! What signals to the agent do.

use std::time::Duration;

use lockgate_model::Phase;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Gateway, Place, in_both_places, state_of};
use crate::application::{application, is_alive};

in_both_places! {
    each_ending_signal_ends_it_in_good_order
    an_agent_without_an_application_ends_at_once
    a_second_ending_signal_kills
    a_hang_up_reloads
    others_reach_the_application_alone_and_term_its_group
    a_signal_that_nobody_waits_for_is_no_harm
    a_stopped_application_goes_on_when_the_agent_is_told
    a_stopped_application_ends_as_if_it_ran
}

/// Says what it was sent, and has a child in its group that does so, too.
const LISTENING: &str = r#"
const http = require("http");
const names = ["USR1", "USR2", "WINCH", "ALRM", "VTALRM", "PROF", "URG", "IO", "PWR", "CONT", "TSTP"];
const child = `for name in ${names.join(" ")}; do trap "echo child got $name" $name; done
trap "echo child got TERM; over=1" TERM
echo child listens
while [ -z "$over" ]; do sleep 0.05; done
echo child ends`;
for (const name of names) process.on(`SIG${name}`, () => console.log("application got", name));
process.on("SIGTERM", () => {
  console.log("application got TERM");
  // Its child has the last word.
  running.on("exit", () => process.exit(0));
});
const running = require("child_process").spawn("sh", ["-c", child], { stdio: "inherit" });
http.createServer((_, response) => response.end("{}")).listen(8888, "127.0.0.1");
"#;

const FORWARDED: [Signal; 11] = [
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
    Signal::SIGALRM,
    Signal::SIGVTALRM,
    Signal::SIGPROF,
    Signal::SIGURG,
    Signal::SIGIO,
    Signal::SIGPWR,
    Signal::SIGCONT,
    Signal::SIGTSTP,
];

async fn each_ending_signal_ends_it_in_good_order(place: Place) {
    let mut gateway = Gateway::new(place).await;
    gateway.start_agent();
    let orderly = application("1.0.0").replace(
        "process.on(\"SIGTERM\", () => ",
        "process.on(\"SIGTERM\", () => console.log(\"closing\") || ",
    );
    let packed = gateway.world.pack(&orderly);
    let seq = gateway.world.state(&packed, |_| {});
    gateway.world.settled(seq).await;
    for (times, signal) in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT]
        .into_iter()
        .enumerate()
    {
        if times > 0 {
            gateway.start_agent();
        }
        // A report of this start may not have come yet.
        let application = gateway.seen_from_here(gateway.world.hello().await.pid);
        gateway.signal_agent(signal);
        let code = gateway.world.agent_ended().await;
        assert_eq!(code, Some(0), "{signal}: {}", gateway.world.told());
        assert!(!is_alive(application), "{signal}");
        let closed = gateway.log().matches("out closing").count();
        assert_eq!(closed, times + 1, "{signal}: {}", gateway.log());
    }
}

async fn an_agent_without_an_application_ends_at_once(place: Place) {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
        let mut gateway = Gateway::new(place).await;
        gateway.start_agent();
        gateway.world.report("waits", |_| true).await;
        gateway.signal_agent(signal);
        let code = gateway.world.agent_ended().await;
        assert_eq!(code, Some(0), "{signal}: {}", gateway.world.told());
    }
}

async fn a_second_ending_signal_kills(place: Place) {
    let mut gateway = Gateway::new(place).await;
    gateway.world.settings.limits.grace = Duration::from_mins(5);
    gateway.start_agent();
    let stubborn = application("1.0.0").replace("server.close(() => process.exit(0))", "{}");
    let packed = gateway.world.pack(&stubborn);
    let seq = gateway.world.state(&packed, |_| {});
    gateway.world.settled(seq).await;
    let application = gateway.application();
    gateway.signal_agent(Signal::SIGINT);
    let stops = |report: &lockgate_model::Report| report.phase == Phase::Stopping;
    gateway.world.report("stops", stops).await;
    assert!(is_alive(application));
    gateway.signal_agent(Signal::SIGQUIT);
    let code = gateway.world.agent_ended().await;
    assert_eq!(code, Some(0), "{}", gateway.world.told());
    assert!(!is_alive(application));
}

async fn a_hang_up_reloads(place: Place) {
    let mut gateway = Gateway::new(place).await;
    gateway.start_agent();
    gateway.world.deploy_and_wait("1.0.0").await;
    let packed = gateway.world.pack(&application("2.0.0"));
    let seq = gateway.world.state_silently(&packed, |_| {});
    gateway.signal_agent(Signal::SIGHUP);
    gateway.world.settled(seq).await;
    assert_eq!(gateway.world.hello().await.version, "2.0.0");
}

async fn others_reach_the_application_alone_and_term_its_group(place: Place) {
    let mut gateway = Gateway::new(place).await;
    gateway.start_agent();
    let packed = gateway.world.pack(LISTENING);
    let seq = gateway.world.state(&packed, |_| {});
    gateway.world.settled(seq).await;
    gateway.logged("out child listens").await;
    for signal in FORWARDED {
        gateway.signal_agent(signal);
        let name = signal.as_str().trim_start_matches("SIG");
        gateway.logged(&format!("out application got {name}")).await;
    }
    gateway.signal_agent(Signal::SIGTERM);
    let code = gateway.world.agent_ended().await;
    assert_eq!(code, Some(0), "{}", gateway.world.told());
    // The child runs every trap that is due before it ends.
    let log = gateway.log();
    assert!(log.contains("out child ends"), "{log}");
    assert!(log.contains("out application got TERM"), "{log}");
    let of_child: Vec<&str> = log
        .lines()
        .filter_map(|line| line.split_once("out child got ").map(|(_, name)| name))
        // CONT follows TERM.
        .filter(|name| *name != "CONT")
        .collect();
    assert_eq!(of_child, ["TERM"], "{log}");
}

async fn a_signal_that_nobody_waits_for_is_no_harm(place: Place) {
    let mut gateway = Gateway::new(place).await;
    gateway.start_agent();
    gateway.world.report("waits", |_| true).await;
    for signal in FORWARDED {
        gateway.signal_agent(signal);
    }
    gateway.world.deploy_and_wait("1.0.0").await;
}

async fn a_stopped_application_goes_on_when_the_agent_is_told(place: Place) {
    let mut gateway = Gateway::new(place).await;
    gateway.start_agent();
    gateway.world.deploy_and_wait("1.0.0").await;
    let before = gateway.world.hello().await;
    let application = gateway.application();
    kill(Pid::from_raw(application), Signal::SIGSTOP).unwrap();
    let stopped = || state_of(application) == Some('T');
    gateway.world.until("it is stopped", stopped).await;
    let status = gateway.world.ask(&["status"]).await;
    let shown = String::from_utf8(status.stdout).unwrap();
    assert_eq!(status.status.code(), Some(0), "{shown}");
    assert!(shown.contains("ready"), "{shown}");
    gateway.signal_agent(Signal::SIGCONT);
    assert_eq!(gateway.world.hello().await, before);
}

async fn a_stopped_application_ends_as_if_it_ran(place: Place) {
    let mut gateway = Gateway::new(place).await;
    // Far longer than a test waits.
    gateway.world.settings.limits.grace = Duration::from_mins(5);
    gateway.start_agent();
    gateway.world.deploy_and_wait("1.0.0").await;
    let application = gateway.application();
    kill(Pid::from_raw(application), Signal::SIGSTOP).unwrap();
    let stopped = || state_of(application) == Some('T');
    gateway.world.until("it is stopped", stopped).await;
    gateway.signal_agent(Signal::SIGTERM);
    let code = gateway.world.agent_ended().await;
    assert_eq!(code, Some(0), "{}", gateway.world.told());
    assert!(!is_alive(application));
}
