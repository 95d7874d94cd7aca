//! Too little memory, with real Node processes.

use super::*;
use crate::memory::group::Group;

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_the_kernel_ends_while_it_boots_is_started_cold() {
    let mut bench = Bench::new().await;
    bench.handle.run(bench.target('a', 1, "node", SERVER)).await;
    bench.ready(1).await;
    // As the kernel does it when memory runs out: the one that is held goes first.
    let ended = format!(
        "const score = require('fs').readFileSync('/proc/self/oom_score_adj', 'utf8').trim();
         if (score === '1000') process.kill(process.pid, 'SIGKILL');
         {SERVER}"
    );
    bench.handle.run(bench.target('b', 2, "node", &ended)).await;
    let snapshot = bench.ready(2).await;
    assert_eq!(snapshot.refused, None, "{}", bench.log());
    assert_eq!(snapshot.running.unwrap().build.as_str(), "bbbbbbbbbbbb");
    let change = snapshot.change.unwrap();
    let why = "it was killed by SIGKILL while it booted beside the other one";
    assert_eq!(change.why_cold.as_deref(), Some(why));
    bench.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kernel_would_end_what_is_held_first_and_what_serves_before_the_agent() {
    let mut bench = Bench::new().await;
    let script = format!(
        "const score = () => require('fs').readFileSync('/proc/self/oom_score_adj', 'utf8').trim();
         console.log(process.env.BUILD, 'boots at', score());
         {}",
        SERVER.replace("${process.pid}", "${score()}")
    );
    for (seq, build, boots) in [(1, 'a', 500), (2, 'b', 1000), (3, 'c', 1000)] {
        bench
            .handle
            .run(bench.target(build, seq, "node", &script))
            .await;
        let address = bench.ready(seq).await.address.unwrap();
        let name = build.to_string().repeat(12);
        let booted = format!("{name} boots at {boots}");
        assert!(bench.log().contains(&booted), "{booted}\n{}", bench.log());
        assert_eq!(get(address, "/").unwrap(), format!("{name} 500"));
    }
    bench.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cgroup_without_room_for_two_makes_it_cold() {
    let group = match Group::new() {
        Ok(group) => group,
        Err(error) => {
            println!("SKIPPED: a cgroup cannot be made here: {error}");
            return;
        }
    };
    let mut bench = Bench::new().await;
    let large = format!("globalThis.kept = Buffer.alloc(128 << 20, 1); {SERVER}");
    bench.handle.run(bench.target('a', 1, "node", &large)).await;
    bench.ready(1).await;
    // What it has is counted elsewhere: the group has this agent and what comes.
    group.limit(160);
    group.enter(std::process::id());
    bench.handle.run(bench.target('b', 2, "node", SERVER)).await;
    let snapshot = bench.ready(2).await;
    assert_eq!(snapshot.running.unwrap().build.as_str(), "bbbbbbbbbbbb");
    let change = snapshot.change.unwrap();
    let why = change.why_cold.expect("a reason");
    assert!(why.contains("MiB of memory are free, "), "{why}");
    assert!(!bench.log().contains("is held at its gate"));
    bench.shutdown().await;
    group.leave();
}
