//! Restarts under load: the socket is held, old and new processes take turns, and an
//! application that ends in good order loses nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lockgate_route::Lookup;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::rig::{Door, Message, Peer, ok, soon, to};

const RESTARTS: usize = 30;
const REQUESTS_EACH: usize = 40;
const CLIENTS: usize = 6;

/// One process on the held socket: on `stop` it accepts no more, closes connections
/// that are idle, as Node does, and finishes what it has begun.
async fn process(held: Arc<TcpListener>, stop: CancellationToken, answered: Arc<Answered>) {
    let connections = TaskTracker::new();
    loop {
        let (stream, _) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = held.accept() => accepted.unwrap(),
        };
        let (stop, answered) = (stop.clone(), Arc::clone(&answered));
        connections.spawn(async move {
            let mut peer = Peer::new(stream);
            let mut idle = false;
            loop {
                let head = tokio::select! {
                    head = peer.head() => head,
                    () = stop.cancelled(), if idle => return,
                };
                let Some(head) = head else { return };
                if head.starts_with("POST") {
                    peer.exactly(4).await;
                }
                peer.send(&ok("done")).await;
                answered.one();
                idle = true;
                if stop.is_cancelled() {
                    return;
                }
            }
        });
    }
    connections.close();
    connections.wait().await;
}

#[derive(Default)]
struct Answered {
    count: AtomicUsize,
    more: Notify,
}

impl Answered {
    fn one(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.more.notify_one();
    }

    async fn at_least(&self, count: usize) {
        while self.count.load(Ordering::SeqCst) < count {
            self.more.notified().await;
        }
    }
}

async fn client(door: SocketAddr, number: usize, stop: CancellationToken) -> usize {
    let mut client = Peer::new(tokio::net::TcpStream::connect(door).await.unwrap());
    let mut asked = 0;
    while !stop.is_cancelled() {
        let request = if (asked + number).is_multiple_of(3) {
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody"
        } else {
            "GET / HTTP/1.1\r\nhost: a\r\n\r\n"
        };
        client.send(request).await;
        let answer: Message = client.message().await;
        assert_eq!(answer.status(), 200, "{request} {answer:?}");
        asked += 1;
    }
    asked
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_under_load_lose_no_request() {
    let held = Arc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
    let (table, watched) = watch::channel(to(held.local_addr().unwrap()));
    let door = Door::open(Lookup::watching(watched, |decision, _| decision.clone())).await;
    let answered = Arc::new(Answered::default());
    let enough = CancellationToken::new();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| tokio::spawn(client(door.addr, number, enough.clone())))
        .collect();
    for round in 1..=RESTARTS {
        let stop = CancellationToken::new();
        let running = tokio::spawn(process(
            Arc::clone(&held),
            stop.clone(),
            Arc::clone(&answered),
        ));
        soon("the load", answered.at_least(round * REQUESTS_EACH)).await;
        if round == RESTARTS {
            enough.cancel();
            let mut asked = 0;
            for client in clients {
                asked += soon("a client's end", client).await.unwrap();
            }
            assert!(asked >= RESTARTS * REQUESTS_EACH, "{asked}");
            return;
        }
        table.send_modify(|_| {});
        stop.cancel();
        soon("the process's end", running).await.unwrap();
    }
}
