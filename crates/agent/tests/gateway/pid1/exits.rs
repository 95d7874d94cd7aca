//! How the application's end is told, and how the agent's own is.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use lockgate_model::{Phase, Report};
use nix::sys::signal::Signal;

use super::{Gateway, OBEDIENT, Place, in_both_places};

in_both_places! {
    each_end_is_told_as_it_was
    an_agent_that_cannot_be_configured_says_78
}

/// Whether a dumped core can be told on this machine: how the system itself tells of
/// a shell that aborts.
#[expect(
    clippy::disallowed_methods,
    reason = "the same end is made here, to compare"
)]
fn abort_dumps_core(folder: &std::path::Path) -> bool {
    let mut shell = Command::new("sh");
    shell.args(["-c", ABORT]).current_dir(folder);
    shell.status().unwrap().core_dumped()
}

const ABORT: &str = "ulimit -c unlimited; kill -ABRT $$";

async fn each_end_is_told_as_it_was(place: Place) {
    let mut gateway = Gateway::new(place).await;
    gateway.run_script(OBEDIENT).await;
    let abort = if abort_dumps_core(&gateway.world.path("")) {
        "was killed by SIGABRT and dumped core"
    } else {
        "was killed by SIGABRT"
    };
    let ends = [
        ("exit 0", "exited with code 0"),
        ("exit 1", "exited with code 1"),
        ("exit 3", "exited with code 3"),
        ("exit 127", "exited with code 127"),
        ("exit 255", "exited with code 255"),
        ("kill -SEGV $$", "was killed by SIGSEGV"),
        ("kill -KILL $$", "was killed by SIGKILL"),
        ("kill -TERM $$", "was killed by SIGTERM"),
        (ABORT, abort),
        // A real-time signal, which has no name.
        ("kill -40 $$", "was killed by signal 40"),
    ];
    for (times, (order, end)) in ends.into_iter().enumerate() {
        let crashed = |report: &Report| report.phase == Phase::Backoff;
        gateway.order(order);
        let report = gateway.world.report(end, crashed).await;
        assert_eq!(report.problem.as_deref(), Some(end), "{order}");
        let crash = gateway.world.ask(&["logs", "--crash"]).await;
        let crash = String::from_utf8(crash.stdout).unwrap();
        let heading = crash.lines().next().unwrap_or_default();
        assert!(heading.ends_with(&format!(": {end}")), "{order}: {crash}");
        // Nobody waits for the delay after a crash.
        gateway.signal_agent(Signal::SIGHUP);
        let again = u64::try_from(times).unwrap() + 1;
        let back = |report: &Report| report.phase == Phase::Ready && report.restarts == again;
        gateway.world.report("is back", back).await;
    }
}

async fn an_agent_that_cannot_be_configured_says_78(place: Place) {
    let gateway = Gateway::new(place).await;
    let mut command = gateway.world.command(place.launcher());
    command.arg("run").env("GATEWAY_HTTP_PORT", "no port");
    let ran = command.output().unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(78), "{said}");
    assert!(said.contains("GATEWAY_HTTP_PORT"), "{said}");
}
