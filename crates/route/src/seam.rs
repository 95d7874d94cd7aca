//! The seam between who sets routes and who serves them.
//!
//! A driver is chosen once, when a door opens. What differs between the two is how a
//! table gets from one to the other: the embedded proxy watches a value, nginx reads a
//! file.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use lockgate_model::RouteTable;
use tokio::sync::watch;

/// What a gateway's door follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Where the application's socket is held. The embedded door is told by its lookup
    /// and does not look here.
    pub application: SocketAddr,
    /// The names of user containers.
    pub routes: RouteTable,
}

/// Whose a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A user container's that answers here.
    Container(SocketAddr),
    /// Nobody's: it has the name of a user container and no route.
    Nobody,
    /// The application's, as everything else.
    Application,
}

/// Whose a host is, however the client wrote it.
pub fn owner(routes: &RouteTable, host: &str) -> Owner {
    match routes.find(host) {
        Some(route) => Owner::Container(route.upstream().into()),
        None if RouteTable::is_container_name(host) => Owner::Nobody,
        None => Owner::Application,
    }
}

/// What came of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// It is served from now on.
    Changed,
    /// It is served already.
    Unchanged,
}

/// Why a table is not followed. The one before still is.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// A file of the driver.
    #[error("cannot write `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The configuration did not pass the driver's own test.
    #[error("{driver} refused the configuration, the one before stays: {said}")]
    Refused {
        /// The driver.
        driver: &'static str,
        /// What it said.
        said: String,
    },
    /// The new configuration is in its place, but nobody reads it.
    #[error("{driver} cannot be told of its new configuration: {why}")]
    Untold {
        /// The driver.
        driver: &'static str,
        /// Why not.
        why: String,
    },
}

/// A door that follows a table.
pub trait Proxy: Send + Sync {
    /// The driver's name, for messages.
    fn name(&self) -> &'static str;

    /// Serves this table from now on. Where that fails, the table before is served.
    fn follow(&self, table: &Table) -> impl Future<Output = Result<Followed, FollowError>> + Send;
}

/// The routes of an embedded door: a watched value that its lookup reads.
#[derive(Debug)]
pub struct EmbeddedRoutes {
    routes: watch::Sender<RouteTable>,
}

impl EmbeddedRoutes {
    /// Begins with these.
    pub fn new(routes: RouteTable) -> Self {
        Self {
            routes: watch::Sender::new(routes),
        }
    }

    /// What the door's lookup watches.
    pub fn watch(&self) -> watch::Receiver<RouteTable> {
        self.routes.subscribe()
    }
}

impl Proxy for EmbeddedRoutes {
    fn name(&self) -> &'static str {
        "embedded"
    }

    async fn follow(&self, table: &Table) -> Result<Followed, FollowError> {
        let changed = self.routes.send_if_modified(|routes| {
            let changed = *routes != table.routes;
            routes.clone_from(&table.routes);
            changed
        });
        Ok(if changed {
            Followed::Changed
        } else {
            Followed::Unchanged
        })
    }
}
