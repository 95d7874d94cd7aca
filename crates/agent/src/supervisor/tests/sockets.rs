//! What an application listens on, and who waits there, over changes.

use std::time::Instant;

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

impl Bench {
    /// Waits for a line of each of so many processes.
    async fn log_has(&self, line: &str, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.log().matches(line).count() < count {
            assert!(Instant::now() < deadline, "no `{line}` in {}", self.log());
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
