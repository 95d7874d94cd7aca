//! What an application listens on, and who waits there, over changes.

use std::net::UdpSocket;
use std::os::unix::net::UnixStream;

use super::*;

/// Answers with its process; at SIGUSR2 listens once more, with a queue of its own.
const AGAIN: &str = "
const http = require('http');
const answer = (request, response) => response.end(`${process.env.BUILD} ${process.pid}`);
http.createServer(answer).listen(8888);
process.on('SIGUSR2', () => {
  const again = http.createServer(answer).listen(8888, () => console.log('again'));
  again._handle.listen(10);
});
";

/// Answers with its process on a port, by datagrams, on a path, and last on the held
/// socket.
const SIDE: &str = "
const http = require('http'), net = require('net'), dgram = require('dgram');
const { METRICS, DATAGRAMS, UNIX } = process.env;
const pid = String(process.pid);
const answer = (request, response) => response.end(pid);
const metrics = http.createServer(answer).listen(METRICS, '127.0.0.1');
const datagrams = dgram.createSocket('udp4', (_, { port }) => datagrams.send(pid, port, '127.0.0.1'));
datagrams.bind(DATAGRAMS, '127.0.0.1');
const unix = net.createServer((socket) => socket.end(pid)).listen(UNIX);
const server = http.createServer(answer).listen(8888);
process.on('SIGTERM', () => [metrics, datagrams, unix, server].forEach((it) => it.close()));
";

/// Clears its path before it listens, as one must that is ended without a handler.
const CLEARED: &str = "
require('fs').rmSync(process.env.UNIX, { force: true });
require('net').createServer((socket) => socket.end(String(process.pid))).listen(process.env.UNIX);
require('http').createServer((request, response) => response.end()).listen(8888);
";

/// Is healthy when it is asked for the third time; has nothing at `/`.
const HEALTH: &str = "
let asked = 0;
require('http').createServer((request, response) => {
  response.statusCode = request.url !== '/health' ? 500 : (asked += 1) < 3 ? 503 : 204;
  response.end();
  console.log('asked', request.url, response.statusCode);
}).listen(8888);
";

/// Listens, and accepts nobody, as if the queue never ended.
const BESIEGED: &str = "
const server = require('http').createServer((request, response) => response.end());
server.listen(8888, () => {
  const handle = server._handle;
  server._handle = { close: (closed) => setImmediate(closed) };
  handle.close();
});
";

impl Bench {
    /// Waits for a line of each of so many processes.
    async fn log_has(&self, line: &str, count: usize) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while self.log().matches(line).count() < count {
            assert!(
                tokio::time::Instant::now() < deadline,
                "no `{line}` in {}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid.cast_signed()), signal).unwrap();
}

/// Stops the process, opens that many connections, and lets it go on.
async fn wait_at(address: SocketAddr, pid: u32, count: usize) {
    signal(pid, Signal::SIGSTOP);
    let stands = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.starts_with('T')
    };
    while !stands() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let clients: Vec<_> = (0..count)
        .map(|number| {
            TcpStream::connect_timeout(&address, Duration::from_secs(10))
                .unwrap_or_else(|error| panic!("connection {number} of {count}: {error}"))
        })
        .collect();
    signal(pid, Signal::SIGCONT);
    drop(clients);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_as_long_after_a_reload_and_after_every_later_listen() {
    let mut bench = Bench::new().await;
    bench.handle.run(bench.target('a', 1, "node", AGAIN)).await;
    bench.ready(1).await;
    bench.handle.run(bench.target('b', 2, "node", AGAIN)).await;
    let snapshot = bench.ready(2).await;
    assert!(snapshot.change.unwrap().gated);
    let (address, pid) = (snapshot.address.unwrap(), snapshot.running.unwrap().pid);
    // Node's own queue holds 511.
    wait_at(address, pid, 600).await;
    signal(pid, Signal::SIGUSR2);
    bench.log_has("out again", 1).await;
    wait_at(address, pid, 600).await;
    bench.shutdown().await;
}

/// A port that is free, also for datagrams.
fn free_port() -> u16 {
    loop {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        if UdpSocket::bind(address).is_ok() {
            return address.port();
        }
    }
}

fn by_datagram(port: u16) -> std::io::Result<String> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    socket.connect(("127.0.0.1", port))?;
    socket.send(b"who")?;
    let mut answer = [0; 32];
    let count = socket.recv(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..count]).into_owned())
}

fn by_path(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    UnixStream::connect(path)?.read_to_string(&mut text)?;
    Ok(text)
}

/// Waits until this process answers. What is bound beside the held socket may be
/// there a little later than that is ready.
async fn answered_by(pid: u32, what: &str, ask: impl Fn() -> std::io::Result<String>) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let answer = ask();
        if answer.as_deref().ok() == Some(pid.to_string().as_str()) {
            return;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "{what} of {pid}: {answer:?}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_ports_and_paths_move_with_a_gated_change() {
    let mut bench = Bench::new().await;
    let [metrics, datagrams] = [free_port(), free_port()];
    let unix = bench.folder.path().join("side.sock");
    for (seq, build) in (1..).zip("abab".chars()) {
        let mut target = bench.target(build, seq, "node", SIDE);
        target.settings.env.extend([
            ("METRICS".to_owned(), metrics.to_string()),
            ("DATAGRAMS".to_owned(), datagrams.to_string()),
            ("UNIX".to_owned(), unix.display().to_string()),
        ]);
        bench.handle.run(target).await;
        let snapshot = bench.ready(seq).await;
        if seq > 1 {
            let change = snapshot.change.unwrap();
            assert!(change.gated, "{change:?}");
        }
        let (address, pid) = (snapshot.address.unwrap(), snapshot.running.unwrap().pid);
        let metrics = SocketAddr::from(([127, 0, 0, 1], metrics));
        answered_by(pid, "the held socket", || get(address, "/")).await;
        answered_by(pid, "the metrics port", || get(metrics, "/")).await;
        answered_by(pid, "datagrams", || by_datagram(datagrams)).await;
        answered_by(pid, "the path", || by_path(&unix)).await;
        assert_eq!(snapshot.restarts, 0);
    }
    assert!(!bench.log().contains("EADDRINUSE"), "{}", bench.log());
    bench.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_is_cleared_before_listen_makes_a_change_cold() {
    let mut bench = Bench::new().await;
    let unix = bench.folder.path().join("side.sock");
    for (seq, build) in (1..).zip("aba".chars()) {
        let mut target = bench.target(build, seq, "node", CLEARED);
        let path = unix.display().to_string();
        target.settings.env.insert("UNIX".into(), path);
        bench.handle.run(target).await;
        let snapshot = bench.ready(seq).await;
        if seq > 1 {
            let why = format!("it wrote {} before it listened", unix.display());
            assert_eq!(snapshot.change.unwrap().why_cold, Some(why));
        }
        let pid = snapshot.running.unwrap().pid;
        answered_by(pid, "the path", || by_path(&unix)).await;
    }
    bench.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_ready_when_its_health_is_good_whatever_else_it_answers() {
    let mut bench = Bench::new().await;
    for (seq, build) in (1..).zip("ab".chars()) {
        let mut target = bench.target(build, seq, "node", HEALTH);
        target.settings.ready.http = Some("/health".to_owned());
        bench.handle.run(target).await;
        let snapshot = bench.ready(seq).await;
        assert_eq!(snapshot.refused, None);
        let running = snapshot.running.unwrap().build;
        assert_eq!(running.as_str(), build.to_string().repeat(12));
        let processes = usize::try_from(seq).unwrap();
        bench.log_has("out asked /health 204", processes).await;
        let bad = bench.log().matches("out asked /health 503").count();
        assert_eq!(bad, 2 * processes, "{}", bench.log());
        assert!(!bench.log().contains("asked / "), "{}", bench.log());
    }
    bench.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_at_the_door_keeps_no_application_from_being_ready() {
    let mut bench = Bench::new().await;
    bench.handle.run(bench.target('a', 1, "node", SERVER)).await;
    let address = bench.ready(1).await.address.unwrap();
    bench
        .handle
        .run(bench.target('b', 2, "node", BESIEGED))
        .await;
    let mut waiting = Vec::new();
    let ready = |it: &Snapshot| it.phase == Phase::Ready && it.settled >= 2;
    while !ready(&bench.snapshots.borrow()) {
        waiting.push(TcpStream::connect(address).unwrap());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let snapshot = bench.ready(2).await;
    assert_eq!(snapshot.refused, None, "{}", bench.log());
    assert_eq!(snapshot.running.unwrap().build.as_str(), "bbbbbbbbbbbb");
    bench.shutdown().await;
}
