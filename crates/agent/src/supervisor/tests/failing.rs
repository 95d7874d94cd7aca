//! Builds that fail, as real Node processes.

use lockgate_model::Strategy;

use super::*;

impl Bench {
    /// Runs this, which is refused; the build before goes on, or comes back.
    pub(super) async fn refused(&mut self, target: Target) -> Snapshot {
        let seq = target.seq;
        self.handle.run(target).await;
        let refused = |it: &Snapshot| {
            it.phase == Phase::Ready && it.refused.as_ref().is_some_and(|it| it.seq == seq)
        };
        self.until("refused", refused).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_before_the_gate_never_touches_what_serves() {
    let mut bench = Bench::new().await;
    bench.handle.run(bench.target('a', 1, "node", SERVER)).await;
    let pid = bench.ready(1).await.running.unwrap().pid;
    for (seq, script, expected) in [
        (
            2,
            "throw new Error('no such luck')",
            "exited with code 1 before it listened, 3 times",
        ),
        (3, "for (;;) {}", "did not listen within 3s"),
        (4, "setInterval(() => {}, 1000)", "did not listen within 3s"),
    ] {
        let mut broken = bench.target('b', seq, "node", script);
        broken.settings.limits.ready = Duration::from_secs(3);
        let snapshot = bench.refused(broken).await;
        let refused = snapshot.refused.unwrap();
        assert_eq!(refused.reason, expected);
        assert_eq!(refused.unavailable_ms, Some(0));
        assert_eq!(snapshot.running.unwrap().pid, pid, "it serves on");
        assert_eq!(snapshot.good.unwrap().seq, 1);
    }
    bench.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_when_it_is_started_alone_gives_way_to_the_build_before() {
    let mut bench = Bench::new().await;
    bench.handle.run(bench.target('a', 1, "node", SERVER)).await;
    bench.until("good", |it| it.good.is_some()).await;
    let exits =
        format!("{SERVER} server.on('listening', () => setTimeout(() => process.exit(7), 500));");
    for (seq, script, expected) in [
        (
            2,
            "throw new Error('no such luck')",
            "exited with code 1 before it was ready, 3 times",
        ),
        (3, "for (;;) {}", "was not ready within 5s"),
        (4, exits.as_str(), "exited with code 7, 3 times"),
    ] {
        let mut broken = bench.target('b', seq, "node", script);
        broken.settings.strategy = Strategy::Cold;
        broken.settings.limits.ready = Duration::from_secs(5);
        broken.settings.limits.trial = Duration::from_secs(15);
        let snapshot = bench.refused(broken).await;
        let refused = snapshot.refused.unwrap();
        assert_eq!(refused.reason, expected);
        assert!(refused.unavailable_ms > Some(0), "{refused:?}");
        assert_eq!(snapshot.running.unwrap().build.as_str(), "aaaaaaaaaaaa");
        assert!(
            get(snapshot.address.unwrap(), "/")
                .unwrap()
                .starts_with("aaaa")
        );
    }
    bench.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_after_the_gate_gives_way_to_the_build_before() {
    let mut bench = Bench::new().await;
    bench.handle.run(bench.target('a', 1, "node", SERVER)).await;
    bench.until("good", |it| it.good.is_some()).await;
    let dies =
        format!("{SERVER} server.on('listening', () => setTimeout(() => process.exit(7), 100));");
    let bad = SERVER.replace("const body", "response.statusCode = 500; const body");
    let mute = "require('http').createServer(() => {}).listen(8888)";
    let elsewhere = "require('http').createServer(() => {}).listen(0)";
    for (seq, script, expected) in [
        (2, dies.as_str(), "exited with code 7, 3 times"),
        (
            3,
            bad.as_str(),
            "was not ready within 3s: `GET /` was answered 500 Internal Server Error",
        ),
        (
            4,
            mute,
            "was not ready within 3s: `GET /` was not answered within 300ms",
        ),
        (
            5,
            elsewhere,
            "was not ready within 3s: nothing listens on port 8888 yet",
        ),
    ] {
        let mut broken = bench.target('b', seq, "node", script);
        broken.settings.limits.ready = Duration::from_secs(3);
        broken.settings.ready.timeout = Duration::from_millis(300);
        let snapshot = bench.refused(broken).await;
        let refused = snapshot.refused.unwrap();
        assert_eq!(refused.reason, expected);
        // It was given that long, and nothing answered meanwhile.
        let least = if expected.starts_with("was not ready") {
            3000
        } else {
            1
        };
        assert!(refused.unavailable_ms >= Some(least), "{refused:?}");
        assert_eq!(snapshot.running.unwrap().build.as_str(), "aaaaaaaaaaaa");
        assert!(
            get(snapshot.address.unwrap(), "/")
                .unwrap()
                .starts_with("aaaa")
        );
    }
    bench.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_answers_once_and_then_hangs_is_refused() {
    let mut bench = Bench::new().await;
    bench.handle.run(bench.target('a', 1, "node", SERVER)).await;
    bench.until("good", |it| it.good.is_some()).await;
    let once = "let asked = 0; require('http').createServer((request, response) => {
        asked += 1; if (asked === 1) response.end();
    }).listen(8888)";
    let mut hangs = bench.target('b', 2, "node", once);
    hangs.settings.ready.timeout = Duration::from_millis(100);
    hangs.settings.limits.trial = Duration::from_mins(1);
    bench.handle.run(hangs).await;
    let back = |it: &Snapshot| it.phase == Phase::Ready && it.refused.is_some();
    // Three times three questions, one a second.
    let snapshot = bench.within(Duration::from_secs(90), "refused", back).await;
    assert_eq!(
        snapshot.refused.unwrap().reason,
        "stopped answering: `GET /` was not answered within 100ms, 3 times"
    );
    assert_eq!(snapshot.running.unwrap().build.as_str(), "aaaaaaaaaaaa");
    bench.shutdown().await;
}
