//! Where a request goes: the decision, and the function that makes it.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use lockgate_model::{BuildId, GatewayName};
use tokio::sync::watch;

/// What a request asks for, as far as a route looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The host without its port, as the client wrote it; empty when it named none.
    pub host: &'a str,
    /// The path without the query.
    pub path: &'a str,
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// To this upstream.
    To(Upstream),
    /// Its upstream is being started and does not answer yet: the request waits for
    /// another decision, and is told this where that takes too long. A door without
    /// patience says it at once.
    Wait(Unavailable),
    /// Its upstream is known and does not run: 503 with a page that says so. Requests
    /// that wait for their answer when this is decided end with it too, so it is for a
    /// process that will not come, not for one that is being exchanged.
    Unavailable(Unavailable),
    /// To the files below this folder.
    Files(PathBuf),
    /// To the same host and path by HTTPS at this port: 308.
    Secure(u16),
    /// No route: 404.
    NotFound,
    /// No route, and one sentence for people that says what would make one: 404.
    Nobody(String),
}

/// A server that answers, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Where it listens.
    pub addr: SocketAddr,
    /// The gateway it belongs to, for the page that says that it did not answer.
    pub gateway: Option<GatewayName>,
    /// The build it runs: the `Lockgate-Build` header of its answers.
    pub build: Option<BuildId>,
    /// Which life of the server this is. When it changes, because a process is about
    /// to end or another one has come, idle connections of the one before are closed
    /// at once and never used again.
    pub epoch: u64,
    /// Whether its process is about to end. A request that it leaves unanswered is not
    /// to blame then, and is asked again where that can be.
    pub leaves: bool,
}

/// Why nothing can answer now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    /// The gateway that should answer.
    pub gateway: Option<GatewayName>,
    /// The build it should run.
    pub build: Option<BuildId>,
    /// One sentence for people, without secrets.
    pub why: String,
    /// After how long it is worth to ask again (`Retry-After`, whole seconds, at least one).
    pub retry_after: Duration,
}

type Decide = dyn Fn(&Asked<'_>) -> Decision + Send + Sync;
type Changed = dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

/// Decides where requests go, and tells when decisions may have changed.
#[derive(Clone)]
pub struct Lookup {
    decide: Arc<Decide>,
    changed: Arc<Changed>,
}

impl Lookup {
    /// A lookup whose decisions never change.
    pub fn fixed(decision: Decision) -> Self {
        Self {
            decide: Arc::new(move |_| decision.clone()),
            changed: Arc::new(|| Box::pin(std::future::pending())),
        }
    }

    /// A lookup over a watched value.
    ///
    /// `decide` runs for each request and must not block. When the value changes,
    /// requests that still wait for their answer are decided again, so that none
    /// waits for a process that will not come.
    pub fn watching<T, F>(table: watch::Receiver<T>, decide: F) -> Self
    where
        T: Send + Sync + 'static,
        F: Fn(&T, &Asked<'_>) -> Decision + Send + Sync + 'static,
    {
        let changes = table.clone();
        Self {
            decide: Arc::new(move |asked| decide(&table.borrow(), asked)),
            changed: Arc::new(move || {
                let mut changes = changes.clone();
                changes.mark_unchanged();
                Box::pin(async move {
                    if changes.changed().await.is_err() {
                        // The sender is gone: the last decision stands.
                        std::future::pending::<()>().await;
                    }
                })
            }),
        }
    }

    /// A lookup over two watched values: what changes often and what changes seldom.
    pub fn watching_both<T, U, F>(
        first: watch::Receiver<T>,
        second: watch::Receiver<U>,
        decide: F,
    ) -> Self
    where
        T: Send + Sync + 'static,
        U: Send + Sync + 'static,
        F: Fn(&T, &U, &Asked<'_>) -> Decision + Send + Sync + 'static,
    {
        let one = Self::watching(first.clone(), |_, _| Decision::NotFound);
        let other = Self::watching(second.clone(), |_, _| Decision::NotFound);
        Self {
            decide: Arc::new(move |asked| decide(&first.borrow(), &second.borrow(), asked)),
            changed: Arc::new(move || {
                let (one, other) = (one.changed(), other.changed());
                Box::pin(async move {
                    tokio::select! {
                        () = one => {}
                        () = other => {}
                    }
                })
            }),
        }
    }

    pub(crate) fn decide(&self, asked: &Asked<'_>) -> Decision {
        (self.decide)(asked)
    }

    /// Resolves at the first change after this call.
    pub(crate) fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        (self.changed)()
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lookup(…)")
    }
}
