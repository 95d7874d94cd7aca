//! The build server's listeners on networks of containers: added when the first gateway needs one,
//! kept when the last one goes.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lockgate_builds::serve::{BuildServer, Reach};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{ServerDescription, listen};

/// Where the build server listens, and listens anew.
#[derive(Debug)]
pub(crate) struct Bridges {
    builds: Arc<BuildServer>,
    /// The port on every network: the loopback listener's.
    port: u16,
    description: Mutex<ServerDescription>,
    serving: TaskTracker,
    stop: CancellationToken,
}

impl Bridges {
    /// A server that listens where its description says.
    pub(super) fn new(
        builds: Arc<BuildServer>,
        description: ServerDescription,
        stop: CancellationToken,
    ) -> Self {
        Self {
            builds,
            port: description.listeners.first().map_or(0, SocketAddr::port),
            description: Mutex::new(description),
            serving: TaskTracker::new(),
            stop,
        }
    }

    /// The server as it describes itself now.
    pub(super) fn description(&self) -> ServerDescription {
        self.described().clone()
    }

    /// The build server's port, for gateways.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Listens on this address of the host, unless that is so already; says why it cannot.
    pub(crate) fn listen(&self, ip: IpAddr) -> Result<(), String> {
        let wanted = SocketAddr::new(ip, self.port);
        let mut description = self.described();
        let covers = |one: &SocketAddr| {
            one.port() == self.port && (one.ip() == ip || one.ip().is_unspecified())
        };
        if description.listeners.iter().any(covers) {
            return Ok(());
        }
        let (listener, address) = listen::bind(wanted).map_err(|error| {
            let cause = std::error::Error::source(&error);
            let cause = cause.map_or(String::new(), |cause| format!(": {cause}"));
            format!("the build server cannot be reached from containers: {error}{cause}")
        })?;
        let serve = Arc::clone(&self.builds).serve(listener, Reach::Bridge, self.stop.clone());
        self.serving.spawn(async move {
            if let Err(error) = serve.await {
                tracing::error!(%address, %error, "listener ended");
            }
        });
        tracing::info!(%address, "serving containers");
        description.listeners.push(address);
        Ok(())
    }

    /// Waits until all listeners added here have ended, after `stop` was cancelled.
    pub(super) async fn ended(&self) {
        self.serving.close();
        self.serving.wait().await;
    }

    /// Whole after every statement that changes it, so a panic elsewhere spoils nothing.
    fn described(&self) -> MutexGuard<'_, ServerDescription> {
        self.description
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
