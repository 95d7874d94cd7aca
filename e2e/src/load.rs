//! Load: clients that ask at a fixed rate, whatever becomes of the answers, and
//! WebSockets that come back when they are sent away.
//!
//! ```text
//!   orders ── due every 1/rate s ──▶ ask ──┬─▶ Sample   answered, whole and right
//!                                          └─▶ Loss     at which stage, of what kind
//!   websockets ── a message a second ─────────▶ closes, with the code each got
//! ```
//!
//! Orders are due at fixed times, so that a pause of the server delays answers instead
//! of questions: latency counts from the time at which a request was due.
//! Clients obey: a connection that was told `Connection: close` is not used again, and
//! none is kept idle for longer than half a second.
//!
//! Left out: retries. A request that fails once is lost, also where a browser would
//! have asked again.

mod ask;
mod bodies;
mod connections;
mod figures;
mod frames;
mod loss;
mod orders;
mod outcome;
mod random;
mod speaks;
mod switches;
mod text;
mod way;
mod websocket;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use figures::Figures;
pub use loss::{Kind, Loss, Stage};
pub use orders::{Class, Mix};
pub use outcome::{Outcome, Sample, WebSockets};
pub use speaks::{Answerer, Speaks};
pub use switches::Switch;
pub use way::Secured;

use bodies::Bodies;
use connections::Connections;
use orders::Orders;
use way::Way;

/// Requests that may be in flight at once; one more is lost.
const MOST_IN_FLIGHT: usize = 4000;

/// What is asked, of whom, how often.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where requests go.
    pub target: SocketAddr,
    /// What it takes to ask over TLS, where that is how it is asked.
    pub secured: Option<Secured>,
    /// What is asked there.
    pub speaks: Speaks,
    /// Requests a second.
    pub rate: u32,
    /// How many of which class.
    pub mix: Mix,
    /// WebSockets that are kept open.
    pub websockets: usize,
    /// Requests after which no more are sent.
    pub most: u64,
    /// Where chance begins.
    pub seed: u64,
}

/// Clients at work, on a thread of their own.
#[derive(Debug)]
pub struct Load {
    thread: JoinHandle<()>,
    shared: Arc<Shared>,
    stop: CancellationToken,
    websockets: usize,
}

impl Load {
    /// Lets the clients begin.
    pub fn start(plan: Plan) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let shared = Arc::new(Shared {
            way: Way::new(plan.target, plan.secured.clone())?,
            speaks: plan.speaks,
            bodies: Bodies::new(plan.speaks, plan.seed),
            connections: Mutex::new(Connections::new(plan.rate, plan.mix)),
            outcome: Mutex::default(),
            started: Instant::now(),
        });
        let stop = CancellationToken::new();
        let websockets = plan.websockets;
        let work = run(plan, Arc::clone(&shared), stop.clone());
        let thread = std::thread::Builder::new()
            .name("load".to_owned())
            .spawn(move || runtime.block_on(work))?;
        Ok(Self {
            thread,
            shared,
            stop,
            websockets,
        })
    }

    /// How long ago the clients began: the clock of everything in the outcome.
    pub fn elapsed(&self) -> Duration {
        self.shared.started.elapsed()
    }

    /// How many answers one process has given so far.
    pub fn answers_of(&self, pid: u64) -> usize {
        let outcome = self.shared.outcome();
        let index = outcome.answerers.iter().rposition(|it| it.pid == pid);
        let newest_first = outcome.samples.iter().rev();
        newest_first.filter(|it| Some(it.answerer) == index).count()
    }

    /// Whether this version has answered.
    pub fn has_answered(&self, version: &str) -> bool {
        let outcome = self.shared.outcome();
        outcome.answerers.iter().any(|it| it.version == version)
    }

    /// How many WebSockets it keeps open.
    pub fn wanted_websockets(&self) -> usize {
        self.websockets
    }

    /// How many WebSockets are open now.
    pub fn open_websockets(&self) -> usize {
        self.shared.outcome().websockets.open
    }

    /// How many echoes came back so far, of all WebSockets.
    pub fn echoes(&self) -> u64 {
        self.shared.outcome().websockets.echoes
    }

    /// Whether all requests of the plan were sent, and answered or lost.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Sends no more, waits for the answers that are due, and tells what happened.
    #[expect(
        clippy::expect_used,
        reason = "what a client's panic said must not be lost"
    )]
    pub fn stop(self) -> Outcome {
        self.stop.cancel();
        self.thread.join().expect("the clients do not panic");
        let mut outcome = std::mem::take(&mut *self.shared.outcome());
        outcome.lasted = self.shared.started.elapsed();
        outcome
    }
}

/// What all clients share.
#[derive(Debug)]
struct Shared {
    way: Way,
    speaks: Speaks,
    started: Instant,
    bodies: Bodies,
    connections: Mutex<Connections>,
    outcome: Mutex<Outcome>,
}

impl Shared {
    fn outcome(&self) -> MutexGuard<'_, Outcome> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

async fn run(plan: Plan, shared: Arc<Shared>, stop: CancellationToken) {
    let (requests, websockets) = (TaskTracker::new(), TaskTracker::new());
    let silence = CancellationToken::new();
    for number in 0..plan.websockets {
        let client = websocket::keep_open(Arc::clone(&shared), number, silence.clone());
        websockets.spawn(client);
    }
    let orders = Orders::new(plan.rate, plan.mix, plan.seed);
    for order in orders.take(usize::try_from(plan.most).unwrap_or(usize::MAX)) {
        let due = shared.started + order.due;
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = sleep_until(due) => {}
        }
        shared.outcome().sent(order.class, due.elapsed());
        if requests.len() < MOST_IN_FLIGHT {
            requests.spawn(ask::ask(Arc::clone(&shared), order));
        } else {
            shared.outcome().crowded(&order);
        }
    }
    requests.close();
    requests.wait().await;
    silence.cancel();
    websockets.close();
    websockets.wait().await;
}
