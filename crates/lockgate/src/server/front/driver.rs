//! Who serves the front door: this process, or nginx.

use std::str::FromStr;

use lockgate_model::FrontTable;
use lockgate_route::{Certificates, EmbeddedProxy, FrontDoor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::nginx::NginxFront;
use super::ports::Bound;

/// What serves the front door.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FrontDriver {
    /// The server itself.
    #[default]
    Embedded,
    /// An nginx that the server keeps.
    Nginx,
}

impl FrontDriver {
    /// As it is written.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Nginx => "nginx",
        }
    }
}

impl FromStr for FrontDriver {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut all = [Self::Embedded, Self::Nginx].into_iter();
        all.find(|driver| driver.as_str() == text).ok_or(())
    }
}

/// A front door that is served: by tasks of this process, which watch what it serves, and on the
/// host's own ports by nginx where that shall be.
#[derive(Debug)]
pub(super) struct Served {
    table: watch::Sender<FrontTable>,
    certificates: watch::Sender<Certificates>,
    nginx: Option<Box<NginxFront>>,
}

impl Served {
    /// By nobody yet.
    pub(super) fn new(
        table: watch::Sender<FrontTable>,
        certificates: watch::Sender<Certificates>,
    ) -> Self {
        Self {
            table,
            certificates,
            nginx: None,
        }
    }

    /// By nginx; by nobody where it has no port.
    pub(super) fn by_nginx(&mut self, front: Option<NginxFront>) {
        self.nginx = front.map(Box::new);
    }

    /// By tasks of this process, until `stop`. `port` is that of HTTPS.
    pub(super) fn here(
        &self,
        door: &FrontDoor,
        (https, http): (Bound, Bound),
        port: u16,
        stop: &CancellationToken,
        tasks: &mut JoinSet<()>,
    ) {
        let shown = self.certificates.subscribe();
        let listen = |listeners: Vec<TcpListener>, proxy: &dyn Fn() -> EmbeddedProxy| {
            let serving = listeners.into_iter().map(|listener| (listener, proxy()));
            serving.collect::<Vec<_>>()
        };
        let mut all = listen(https.listeners, &|| door.secured(shown.clone()));
        all.extend(listen(http.listeners, &|| door.redirecting(port)));
        for (listener, proxy) in all {
            let stop = stop.clone();
            tasks.spawn(async move {
                if let Err(error) = proxy.serve(listener, stop).await {
                    tracing::error!(%error, "front door ended");
                }
            });
        }
    }

    /// Serves this from now on; sentences for people where something is not served as it should be.
    pub(super) async fn follow(&mut self, wanted: FrontTable, shown: Certificates) -> Vec<String> {
        let problems = match &mut self.nginx {
            Some(nginx) => nginx.follow(&wanted, &shown).await,
            None => Vec::new(),
        };
        // Certificates first: a name that is served is never asked for in vain.
        self.certificates.send_replace(shown);
        self.table.send_if_modified(|known| {
            let changed = *known != wanted;
            *known = wanted;
            changed
        });
        problems
    }

    /// Waits until who serves it has something to say.
    pub(super) async fn changed(&mut self) {
        match &mut self.nginx {
            Some(nginx) => nginx.changed().await,
            None => std::future::pending().await,
        }
    }

    /// Ends what does not end by itself.
    pub(super) async fn end(&self) {
        if let Some(nginx) = &self.nginx {
            nginx.end().await;
        }
    }
}
