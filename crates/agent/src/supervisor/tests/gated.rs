//! Gated changes with real Node processes.

use lockgate_model::Strategy;

use super::*;

/// Takes a lock file once it listens, as only one process at a time may; answers
/// with its build's name.
const LOCKING: &str = "
console.log('node', process.version);
const fs = require('fs');
const server = require('http').createServer((request, response) => {
  response.end(`${process.env.BUILD} ${process.pid}`);
});
server.listen(8888, () => {
  try {
    fs.writeFileSync(process.env.LOCK, String(process.pid), { flag: 'wx' });
  } catch {
    fs.appendFileSync(`${process.env.LOCK}.two`, `${process.pid} `);
  }
});
process.on('SIGTERM', () => { fs.unlinkSync(process.env.LOCK); process.exit(0); });
";

/// Counts requests; loads the count before it listens, and saves it at its end.
const COUNTER: &str = "
console.log('node', process.version);
const fs = require('fs');
const path = process.env.COUNTER;
let count = fs.existsSync(path) ? Number(fs.readFileSync(path, 'utf8')) : 0;
const server = require('http').createServer((request, response) => {
  if (request.url === '/') return response.end('up');
  count += 1;
  response.end(`${process.env.BUILD} ${count}`);
});
server.listen(8888);
process.on('SIGTERM', () => {
  server.close(() => { fs.writeFileSync(path, String(count)); process.exit(0); });
  server.closeIdleConnections();
});
";

impl Bench {
    fn locking(&self, build: char, seq: u64) -> Target {
        let mut target = self.target(build, seq, "node", LOCKING);
        let lock = self.folder.path().join("lock").display().to_string();
        target.settings.env.insert("LOCK".into(), lock);
        target
    }

    fn counter(&self, build: char, seq: u64) -> Target {
        let mut target = self.target(build, seq, "node", COUNTER);
        let path = self.folder.path().join("counter").display().to_string();
        target.settings.env.insert("COUNTER".into(), path);
        target
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_are_never_past_listen() {
    two_are_never_past_listen(Bench::new().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_are_never_past_listen_on_other_nodes() {
    for major in [22, 24] {
        two_are_never_past_listen(Bench::on_node(major).await).await;
    }
}

async fn two_are_never_past_listen(mut bench: Bench) {
    bench.handle.run(bench.locking('a', 1)).await;
    let address = bench.ready(1).await.address.unwrap();
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stop = Arc::clone(&done);
    let client = std::thread::spawn(move || {
        let mut answers = 0;
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            get(address, "/").unwrap();
            answers += 1;
        }
        answers
    });
    for (seq, build) in (2..).zip("babab".chars()) {
        bench.handle.run(bench.locking(build, seq)).await;
        let change = bench.ready(seq).await.change.unwrap();
        assert!(change.gated, "{change:?}\n{}", bench.log());
    }
    bench.handle.restart().await;
    let pid = |it: &Snapshot| it.running.as_ref().map(|it| it.pid);
    let before = pid(&bench.snapshots.borrow());
    let again = |it: &Snapshot| it.phase == Phase::Ready && pid(it) != before;
    assert!(bench.until("again", again).await.change.unwrap().gated);
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(client.join().unwrap() > 5);
    let lock = bench.folder.path().join("lock");
    assert!(lock.exists(), "the lock is taken");
    assert!(!bench.folder.path().join("lock.two").exists());
    bench.expect_node();
    bench.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_that_is_loaded_before_listen_loses_no_increment() {
    no_increment_is_lost(Bench::new().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_that_is_loaded_before_listen_loses_no_increment_on_other_nodes() {
    for major in [22, 24] {
        no_increment_is_lost(Bench::on_node(major).await).await;
    }
}

async fn no_increment_is_lost(mut bench: Bench) {
    bench.handle.run(bench.counter('a', 1)).await;
    let address = bench.ready(1).await.address.unwrap();
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let stop = Arc::clone(&done);
            std::thread::spawn(move || {
                let mut answers = 0;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    get(address, "/count").unwrap();
                    answers += 1;
                }
                answers
            })
        })
        .collect();
    // The first time there is no file yet.
    for (seq, build) in (2..).zip("bcb".chars()) {
        bench.handle.run(bench.counter(build, seq)).await;
        let change = bench.ready(seq).await.change.unwrap();
        let counter = bench.folder.path().join("counter");
        let why = format!("it read {} before it listened", counter.display());
        assert_eq!(change.why_cold, Some(why), "{}", bench.log());
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    let asked: u32 = clients.into_iter().map(|it| it.join().unwrap()).sum();
    let last = get(address, "/count").unwrap();
    assert_eq!(last, format!("bbbbbbbbbbbb {}", asked + 1));
    bench.expect_node();
    bench.shutdown().await;
}

/// Serves, and stands still: at once for `/stuck`, when it is drained for `/then-stuck`.
const STUCK: &str = "
const stuck = () => { for (;;); };
require('http').createServer((request, response) => {
  if (request.url === '/') return response.end('up');
  console.log('asked', request.url);
  if (request.url === '/stuck') setTimeout(stuck);
  // The preload has then put its own in the place of the method.
  setInterval(() => Object.hasOwn(response, 'writeHead') && stuck(), 1);
}).listen(8888);
";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_allowed_before_listen_is_done_beside_the_old_process() {
    let mut bench = Bench::new().await;
    bench.handle.run(bench.counter('a', 1)).await;
    bench.ready(1).await;
    for (seq, build) in (2..).zip("bc".chars()) {
        let mut next = bench.counter(build, seq);
        let folder = bench.folder.path().display();
        next.settings.before_listen = vec![format!("read:{folder}/*")];
        bench.handle.run(next).await;
        let change = bench.ready(seq).await.change.unwrap();
        assert!(change.gated, "{change:?}\n{}", bench.log());
    }
    bench.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forced_is_reported_without_a_reason() {
    let mut bench = Bench::new().await;
    bench.handle.run(bench.counter('a', 1)).await;
    bench.ready(1).await;
    for (seq, strategy, gated) in [(2, Strategy::Gated, true), (3, Strategy::Cold, false)] {
        let mut next = bench.counter('b', seq);
        next.restart = seq;
        next.settings.strategy = strategy;
        bench.handle.run(next).await;
        let change = bench.ready(seq).await.change.unwrap();
        assert_eq!((change.gated, change.why_cold), (gated, None));
    }
    bench.shutdown().await;
}

/// A lock whose holder is gone is free.
fn stale_locks(program: &str) -> String {
    let stale = "catch {
    const held = Number(fs.readFileSync(process.env.LOCK, 'utf8'));
    let lives = true;
    try { process.kill(held, 0); } catch { lives = false; }
    if (!lives) return fs.writeFileSync(process.env.LOCK, String(process.pid));";
    program.replace("catch {", stale)
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_past_listen_beside_another_when_it_is_cold_crashes_or_goes_back() {
    for strategy in [Strategy::Auto, Strategy::Cold] {
        let mut bench = Bench::new().await;
        let program = stale_locks(LOCKING);
        let dies = format!(
            "{program} server.on('listening', () => setTimeout(() => process.exit(7), 100));"
        );
        let mut seq = 0;
        let mut next = |bench: &Bench, build, program: &str| {
            seq += 1;
            let mut target = bench.locking(build, seq);
            target.settings.command[2] = program.to_owned();
            target.settings.strategy = strategy;
            target
        };
        for build in "aba".chars() {
            let target = next(&bench, build, &program);
            let seq = target.seq;
            bench.handle.run(target).await;
            let change = bench.ready(seq).await.change;
            let gated = change.is_some_and(|it| it.gated);
            assert_eq!(gated, strategy == Strategy::Auto && seq > 1);
        }
        // It crashes.
        let good = |it: &Snapshot| !it.on_trial && it.phase == Phase::Ready;
        let pid = bench.until("good", good).await.running.unwrap().pid;
        kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).unwrap();
        let back = |it: &Snapshot| it.phase == Phase::Ready && it.restarts == 1;
        bench.until("back", back).await;
        // The next build is refused past its gate.
        let broken = next(&bench, 'c', &dies);
        let refused = bench.refused(broken).await.refused.unwrap();
        assert!(refused.unavailable_ms > Some(0), "{refused:?}");
        let lock = bench.folder.path().join("lock");
        let holder = std::fs::read_to_string(&lock).unwrap();
        let running = bench.snapshots.borrow().running.clone().unwrap().pid;
        assert_eq!(holder, running.to_string());
        assert!(!bench.folder.path().join("lock.two").exists());
        bench.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_cuts_that_cannot_count_it_is_told() {
    let mut bench = Bench::new().await;
    for (seq, path, expected) in [
        (1, "/stuck", "did not hear that it was to drain"),
        (3, "/then-stuck", "did not finish its drain in time"),
    ] {
        let mut target = bench.target('a', seq, "node", STUCK);
        target.settings.limits.linger = Duration::ZERO;
        target.settings.limits.drain = Duration::from_millis(200);
        bench.handle.run(target).await;
        let address = bench.ready(seq).await.address.unwrap();
        let asked = std::thread::spawn(move || get(address, path));
        while !bench.log().contains(&format!("asked {path}")) {
            assert!(!asked.is_finished(), "{}", bench.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let next = bench.target('b', seq + 1, "node", SERVER);
        bench.handle.run(next).await;
        let change = bench.ready(seq + 1).await.change.unwrap();
        assert!(change.gated, "{change:?}");
        let why = format!("the old process {expected}; what it was answering may be cut");
        assert_eq!(change.uncounted, Some(why), "{}", bench.log());
        assert!(asked.join().unwrap().is_err(), "it was cut");
    }
    // The next one counts again.
    bench.handle.run(bench.target('c', 5, "node", SERVER)).await;
    let change = bench.ready(5).await.change.unwrap();
    assert_eq!((change.uncounted, change.cut), (None, 0));
    bench.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_by_itself_while_it_drains_stops_no_watch() {
    let mut bench = Bench::new().await;
    // It leaves as soon as the preload has told it to drain.
    let leaves = "require('http').createServer((request, response) => {
        if (request.url === '/') return response.end('up');
        console.log('asked');
        setInterval(() => Object.hasOwn(response, 'writeHead') && process.exit(0), 1);
    }).listen(8888)";
    bench.handle.run(bench.target('a', 1, "node", leaves)).await;
    let address = bench.ready(1).await.address.unwrap();
    let asked = std::thread::spawn(move || get(address, "/hold"));
    while !bench.log().contains("asked") {
        assert!(!asked.is_finished(), "{}", bench.log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bench.handle.run(bench.target('b', 2, "node", SERVER)).await;
    let snapshot = bench.ready(2).await;
    assert!(snapshot.change.unwrap().gated);
    let timings = snapshot.timings;
    assert!(timings.boot_ms > Some(0), "{timings:?}");
    assert!(timings.drain_ms.is_some(), "{timings:?}");
    assert!(timings.unavailable_ms >= timings.start_ms, "{timings:?}");
    assert!(asked.join().unwrap().is_err());
    bench.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_discarded_process_leaves_behind_is_killed_and_named() {
    let mut bench = Bench::new().await;
    bench.handle.run(bench.target('a', 1, "node", SERVER)).await;
    bench.ready(1).await;
    let leaves = format!(
        "const left = require('child_process').spawn('sleep', ['1000'], {{ detached: true, stdio: 'ignore' }});
         console.log('left', left.pid, '.'); left.unref();
         {SERVER}"
    );
    bench
        .handle
        .run(bench.target('b', 2, "node", &leaves))
        .await;
    let named = |it: &Snapshot| {
        let change = it.change.as_ref();
        it.settled == 2 && change.is_some_and(|it| !it.left_behind.is_empty())
    };
    let change = bench.until("named", named).await.change.unwrap();
    let why = "it started sleep before it listened";
    assert_eq!(change.why_cold.as_deref(), Some(why));
    let log = bench.log();
    let (_, left) = log.split_once("out left ").unwrap();
    let (pid, _) = left.split_once(" .").unwrap();
    assert_eq!(change.left_behind, [format!("sleep ({pid})")]);
    let said = "killed what a discarded process had left behind: sleep (";
    assert!(log.contains(said), "{log}");
    await_end(pid.parse().unwrap()).await;
    bench.shutdown().await;
}

/// What the inspector there shows. It keeps its connections open.
fn targets(inspector: SocketAddr) -> String {
    let mut stream = TcpStream::connect(inspector).unwrap();
    write!(stream, "GET /json/list HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let (mut text, mut chunk) = (String::new(), [0; 1024]);
    while !text.contains("} ]") {
        let count = stream.read(&mut chunk).unwrap();
        assert_ne!(count, 0, "{text}");
        text += std::str::from_utf8(&chunk[..count]).unwrap();
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_debugger_that_the_agent_asks_for_is_waited_for_alone() {
    let mut bench = Bench::inheriting(&[("NODE_OPTIONS", "--inspect-brk=127.0.0.1:0")]).await;
    let mut without = bench.target('a', 1, "node", SERVER);
    without
        .settings
        .env
        .insert("NODE_OPTIONS".into(), String::new());
    bench.handle.run(without).await;
    bench.ready(1).await;
    bench.handle.run(bench.target('b', 2, "node", SERVER)).await;
    let waits = |it: &Snapshot| it.phase == Phase::Starting;
    let change = bench.until("started", waits).await.change.unwrap();
    let why = "it waits for a debugger before it runs";
    assert_eq!(change.why_cold.as_deref(), Some(why));
    bench.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inspector_moves_to_the_new_process() {
    let mut bench = Bench::new().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let inspector = free.local_addr().unwrap();
    drop(free);
    for (seq, build) in (1..).zip("ab".chars()) {
        let mut target = bench.target(build, seq, "node", SERVER);
        let inspect = format!("--inspect={inspector}");
        target.settings.command.insert(1, inspect);
        bench.handle.run(target).await;
        let snapshot = bench.ready(seq).await;
        let list = targets(inspector);
        let pid = snapshot.running.unwrap().pid;
        assert!(list.contains(&format!("node[{pid}]")), "{pid}: {list}");
        let gated = snapshot.change.is_some_and(|change| change.gated);
        assert_eq!(gated, seq == 2);
    }
    bench.shutdown().await;
}
