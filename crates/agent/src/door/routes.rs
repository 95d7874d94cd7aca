//! The routes of user containers: set as a whole, served by the door's driver, and kept
//! across restarts.

use std::net::SocketAddr;
use std::sync::Arc;

use lockgate_model::{RouteProblems, RouteTable};
use lockgate_route::{EmbeddedRoutes, FollowError, Followed, NginxProxy, Proxy, Table};
use tokio::sync::Mutex;
use tracing::{info, warn};

use super::nginx::Nginx;
use crate::error::in_one_line;
use crate::state::{State, StateError};

/// Why routes are not set. Those from before are served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetError {
    /// The lines.
    #[error(transparent)]
    Lines(#[from] RouteProblems),
    /// The door.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// The disk.
    #[error("the routes would not survive a restart")]
    Keep(#[source] StateError),
}

/// The driver that serves the door, chosen once.
pub(super) enum Served {
    Embedded(EmbeddedRoutes),
    Nginx(NginxProxy<Nginx>),
}

impl Proxy for Served {
    fn name(&self) -> &'static str {
        match self {
            Self::Embedded(routes) => routes.name(),
            Self::Nginx(nginx) => nginx.name(),
        }
    }

    async fn follow(&self, table: &Table) -> Result<Followed, FollowError> {
        match self {
            Self::Embedded(routes) => routes.follow(table).await,
            Self::Nginx(nginx) => nginx.follow(table).await,
        }
    }
}

/// Sets and tells routes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Routes {
    inner: Arc<Inner>,
}

struct Inner {
    served: Served,
    state: State,
    table: Mutex<Table>,
}

impl std::fmt::Debug for Routes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Routes({})", self.inner.served.name())
    }
}

impl Routes {
    /// Serves what was kept.
    pub(super) async fn open(
        served: Served,
        state: State,
        table: Table,
    ) -> Result<Self, FollowError> {
        served.follow(&table).await?;
        Ok(Self {
            inner: Arc::new(Inner {
                served,
                state,
                table: Mutex::new(table),
            }),
        })
    }

    /// All routes.
    pub(crate) async fn all(&self) -> RouteTable {
        self.inner.table.lock().await.routes.clone()
    }

    /// Sets all routes, by lines `fqdn ip port`: all of them, or where one is wrong none.
    pub(crate) async fn set(&self, lines: &str) -> Result<RouteTable, SetError> {
        let routes = RouteTable::parse(lines)?;
        let mut table = self.inner.table.lock().await;
        let new = Table {
            routes: routes.clone(),
            ..table.clone()
        };
        let followed = self.inner.served.follow(&new).await?;
        let (state, kept) = (self.inner.state.clone(), routes.clone());
        let kept = tokio::task::spawn_blocking(move || state.keep_routes(&kept)).await;
        if let Ok(Err(error)) = kept {
            if let Err(error) = self.inner.served.follow(&table).await {
                warn!(
                    why = in_one_line(&error),
                    "the routes from before are not served"
                );
            }
            return Err(SetError::Keep(error));
        }
        *table = new;
        if followed == Followed::Changed {
            info!(
                count = routes.len(),
                driver = self.inner.served.name(),
                "routes set"
            );
        }
        Ok(routes)
    }

    /// The application's socket is held somewhere else.
    pub(super) async fn application_moved(&self, to: SocketAddr) {
        let mut table = self.inner.table.lock().await;
        if table.application == to {
            return;
        }
        let new = Table {
            application: to,
            ..table.clone()
        };
        match self.inner.served.follow(&new).await {
            Ok(_) => *table = new,
            Err(error) => warn!(
                why = in_one_line(&error),
                "the door leads to where the application was"
            ),
        }
    }

    /// Has the door's driver begin afresh. The embedded one has nothing to begin.
    pub(crate) async fn reset(&self) -> Result<(), FollowError> {
        match &self.inner.served {
            Served::Embedded(_) => Ok(()),
            Served::Nginx(nginx) => nginx.reload().await,
        }
    }
}
