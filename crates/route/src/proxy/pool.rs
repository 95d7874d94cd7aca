//! Idle connections to upstreams, and who may use one.
//!
//! An upstream closes idle connections when it likes (Node after five seconds, and all
//! at once when it is told to end), so a request may meet a connection that dies at
//! that moment. Only requests that may be asked twice take one from here; all others
//! open their own and never lose that race.
//!
//! What rests here keeps a process from ending that waits for its clients to leave. So
//! as soon as a lookup tells another epoch, connections of the one before are closed,
//! and those that come back later do not rest any more.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::connection::Sender;
use super::origin::Origin;
use crate::lookup::Lookup;

/// How long a connection stays idle: less than the five seconds after which Node closes it.
const IDLE_FOR: Duration = Duration::from_secs(4);

/// Idle connections kept to one upstream.
const MAX_IDLE: usize = 128;

/// Idle connections by upstream, the newest last.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    idle: Arc<Mutex<Idle>>,
    lookup: Lookup,
    tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct Idle {
    by_upstream: HashMap<SocketAddr, Vec<Resting>>,
    /// Whether a task is under way that drops what rested too long.
    sweeping: bool,
    closed: bool,
}

#[derive(Debug)]
struct Resting {
    sender: Sender,
    origin: Origin,
    until: Instant,
}

/// A connection in use, to be given back when its answer was read to the end.
#[derive(Debug)]
pub(super) struct Lease {
    pool: Pool,
    origin: Origin,
    sender: Sender,
}

impl Lease {
    /// Puts the connection back as soon as it is ready for another request.
    pub(super) fn give_back(self) {
        let Self {
            pool,
            origin,
            mut sender,
        } = self;
        if sender.is_closed() {
            return;
        }
        if sender.is_ready() {
            pool.put(origin, sender);
            return;
        }
        let tasks = pool.tasks.clone();
        tasks.spawn(async move {
            if sender.becomes_ready().await {
                pool.put(origin, sender);
            }
        });
    }
}

impl Pool {
    pub(super) fn new(lookup: Lookup, tasks: TaskTracker) -> Self {
        Self {
            idle: Arc::default(),
            lookup,
            tasks,
        }
    }

    /// The newest idle connection of the same epoch that still lives.
    pub(super) fn take(&self, origin: &Origin) -> Option<Sender> {
        let now = Instant::now();
        let mut idle = self.lock();
        let resting = idle.by_upstream.get_mut(&origin.addr)?;
        while let Some(one) = resting.pop() {
            let lives = one.until > now && one.sender.is_ready();
            if lives && origin.is_served_by(&one.origin) {
                return Some(one.sender);
            }
        }
        None
    }

    /// The handle by which a connection comes back.
    pub(super) fn lease(&self, origin: Origin, sender: Sender) -> Lease {
        Lease {
            pool: self.clone(),
            origin,
            sender,
        }
    }

    /// Drops the idle connections whose epoch is over.
    pub(super) fn drop_outdated(&self) {
        let mut idle = self.lock();
        for resting in idle.by_upstream.values_mut() {
            resting.retain(|one| one.origin.is_current(&self.lookup));
        }
    }

    /// Drops every idle connection, and each that comes back later.
    pub(super) fn close(&self) {
        let mut idle = self.lock();
        idle.closed = true;
        idle.by_upstream.clear();
    }

    fn put(&self, origin: Origin, sender: Sender) {
        let until = Instant::now() + IDLE_FOR;
        let mut idle = self.lock();
        // Looked at under the lock: else a change could come in between, and pass.
        if idle.closed || !origin.is_current(&self.lookup) {
            return;
        }
        let resting = idle.by_upstream.entry(origin.addr).or_default();
        if resting.len() >= MAX_IDLE {
            // The oldest is first and the nearest to being closed.
            resting.remove(0);
        }
        resting.push(Resting {
            sender,
            origin,
            until,
        });
        if !idle.sweeping {
            idle.sweeping = true;
            // Not one of `tasks`: a sweep holds no connection that the drain waits for.
            tokio::spawn(sweep(Arc::downgrade(&self.idle)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        lock(&self.idle)
    }
}

/// Nothing panics while the lock is held, so a poisoned one is as good as new.
fn lock(idle: &Mutex<Idle>) -> MutexGuard<'_, Idle> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Drops what rested too long; ends when nothing rests, so a quiet door has no timer.
async fn sweep(idle: std::sync::Weak<Mutex<Idle>>) {
    loop {
        tokio::time::sleep(IDLE_FOR).await;
        let Some(idle) = idle.upgrade() else { return };
        let now = Instant::now();
        let mut idle = lock(&idle);
        idle.by_upstream.retain(|_, resting| {
            resting.retain(|one| one.until > now && !one.sender.is_closed());
            !resting.is_empty()
        });
        if idle.by_upstream.is_empty() {
            idle.sweeping = false;
            return;
        }
    }
}
