//! Processes whose parents have gone.

use std::time::Duration;

use lockgate_model::{Phase, Report};
use nix::sys::signal::Signal;

use super::{Gateway, OBEDIENT, Place, in_both_places, zombies_of};
use crate::application::{children, is_alive};

in_both_places! {
    a_burst_of_orphans_is_reaped
    one_that_dies_of_a_signal_without_a_name_blocks_nobody
    the_end_of_the_application_is_never_mistaken_for_theirs
}

/// Five hundred processes that die at about the same time, each in a session of its
/// own and without its parent. The file `done` says that all were started.
const BURST: &str = r#"
burst() {
  count=0
  while [ $count -lt 500 ]; do
    (setsid sh -c "sleep 0.$((count % 10)); exit $((count % 200 + 1))" "$FOLDER" &)
    count=$((count + 1))
  done
}
"#;

async fn a_burst_of_orphans_is_reaped(place: Place) {
    let mut gateway = Gateway::new(place).await;
    gateway.run_script(&format!("{BURST}{OBEDIENT}")).await;
    let agent = gateway.agent();
    gateway.order("burst; echo > \"$FOLDER/done\"");
    gateway.written("done").await;
    let application = gateway.application();
    gateway
        .world
        .until("nobody is left but the application", || {
            children(agent) == [application]
        })
        .await;
    let report = gateway.world.reports.all().pop().unwrap().report;
    assert_eq!((report.phase, report.restarts), (Phase::Ready, 0));
}

async fn one_that_dies_of_a_signal_without_a_name_blocks_nobody(place: Place) {
    let mut gateway = Gateway::new(place).await;
    gateway.run_script(OBEDIENT).await;
    let agent = gateway.agent();
    gateway.order(
        "for signal in 34 40 64 9 64; do
           (setsid sh -c \"kill -$signal \\$\\$\" &)
         done
         echo > \"$FOLDER/done\"",
    );
    gateway.written("done").await;
    let application = gateway.application();
    gateway
        .world
        .until("all are reaped", || children(agent) == [application])
        .await;
}

async fn the_end_of_the_application_is_never_mistaken_for_theirs(place: Place) {
    let mut gateway = Gateway::new(place).await;
    // HUP ends the pause; until then it is there to be seen.
    gateway.world.settings.limits.crash_delay = Duration::from_mins(1);
    gateway.run_script(&format!("{BURST}{OBEDIENT}")).await;
    let agent = gateway.agent();
    for (times, code) in [201, 211, 222, 233, 244].into_iter().enumerate() {
        gateway.order(&format!("burst & sleep 0.3; exit {code}"));
        let crashed = |report: &Report| report.phase == Phase::Backoff;
        let report = gateway.world.report("crashes", crashed).await;
        let expected = format!("exited with code {code}");
        assert_eq!(report.problem, Some(expected));
        gateway.signal_agent(Signal::SIGHUP);
        let again = u64::try_from(times).unwrap() + 1;
        let back = |report: &Report| report.phase == Phase::Ready && report.restarts == again;
        gateway.world.report("is back", back).await;
    }
    let application = gateway.application();
    gateway
        .world
        .until("nobody is left", || children(agent) == [application])
        .await;
    assert_eq!(zombies_of(agent), 0);
    assert!(is_alive(application));
}
