//! The build server's listeners on networks of containers, and the front door's beside them: added
//! when the first gateway needs one, kept when the last one goes.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lockgate_builds::serve::{BuildServer, Reach};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ServerDescription;
use super::front::Near;
use super::listen::{self, ListenError};
use crate::error::in_one_line;

/// Where the build server listens, and listens anew.
#[derive(Debug)]
pub(crate) struct Bridges {
    builds: Arc<BuildServer>,
    /// The port on every network: the loopback listener's.
    port: u16,
    /// What `--listen` named, for whoever reaches nothing else.
    given: Vec<SocketAddr>,
    /// The front door for containers, where it is open.
    front: Option<Near>,
    /// The file of what gateways trust.
    trusted: PathBuf,
    trust_changed: Notify,
    description: Mutex<ServerDescription>,
    serving: TaskTracker,
    stop: CancellationToken,
}

/// Why containers of a network do not reach the build server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BridgeError {
    /// The address belongs to another machine.
    #[error("`{ip}` is no address of this machine")]
    NotHere {
        /// The address.
        ip: IpAddr,
    },
    /// It is not to be had now.
    #[error("the build server cannot be reached from containers")]
    Listen(#[source] ListenError),
}

impl BridgeError {
    /// The error and its causes on one line.
    pub(crate) fn in_one_line(&self) -> String {
        in_one_line(self)
    }
}

impl Bridges {
    /// A server that listens where its description says; with it a front door, and the file of
    /// what gateways trust.
    pub(super) fn new(
        builds: Arc<BuildServer>,
        description: ServerDescription,
        (front, trusted): (Option<Near>, PathBuf),
        stop: CancellationToken,
    ) -> Self {
        Self {
            builds,
            given: given(&description),
            port: description.listeners.first().map_or(0, SocketAddr::port),
            front,
            trusted,
            trust_changed: Notify::new(),
            description: Mutex::new(description),
            serving: TaskTracker::new(),
            stop,
        }
    }

    /// The server as it describes itself now.
    pub(super) fn description(&self) -> ServerDescription {
        let mut description = self.described().clone();
        if let Some(front) = &self.front {
            front.describe(&mut description.front);
        }
        description
    }

    /// Why the front door is not whole, from now on.
    pub(super) fn front_problem(&self, problem: Option<String>) {
        self.described().front.problem = problem;
    }

    /// Gateways are to trust another authority than before.
    pub(super) fn trust_changed(&self) {
        self.trust_changed.notify_one();
    }

    /// Waits for that; one waits.
    pub(crate) async fn trusts_another(&self) {
        self.trust_changed.notified().await;
    }

    /// The certificate of the authority that gateways are to trust, where there is one.
    pub(crate) fn trusted(&self) -> Option<String> {
        std::fs::read_to_string(&self.trusted).ok()
    }

    /// The build server's port, for gateways.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Addresses that whoever started the server gave it for gateways.
    pub(crate) fn given(&self) -> &[SocketAddr] {
        &self.given
    }

    /// Listens on this address, unless that is so already.
    pub(crate) fn listen(&self, ip: IpAddr) -> Result<(), BridgeError> {
        let wanted = SocketAddr::new(ip, self.port);
        let mut description = self.described();
        let covers = |one: &SocketAddr| {
            one.port() == self.port && (one.ip() == ip || one.ip().is_unspecified())
        };
        if description.listeners.iter().any(covers) {
            return Ok(());
        }
        let (listener, address) = listen::bind(wanted).map_err(|error| match error {
            ListenError::Bind { source, .. }
                if source.kind() == io::ErrorKind::AddrNotAvailable =>
            {
                BridgeError::NotHere { ip }
            }
            error => BridgeError::Listen(error),
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

    /// Opens the front door at this address, unless that is so already; where it is open.
    pub(crate) fn open_front(&self, ip: IpAddr) -> Option<SocketAddr> {
        self.front.as_ref()?.listen(ip)
    }

    /// Waits until all listeners added here have ended, after `stop` was cancelled.
    pub(super) async fn ended(&self) {
        if let Some(front) = &self.front {
            front.ended().await;
        }
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

/// The listeners that others than this machine's own processes reach by their address.
fn given(description: &ServerDescription) -> Vec<SocketAddr> {
    let reaches_out = |ip: IpAddr| !ip.is_loopback() && !ip.is_unspecified();
    let listeners = description.listeners.iter().copied();
    listeners.filter(|one| reaches_out(one.ip())).collect()
}
