//! The front door's listeners on networks of containers, where the build server has its own: names
//! that lead to it in a gateway lead there.
//!
//! Each of these addresses is one of its own, so 443 is usually free there, also where it is not on
//! loopback. Who asks from a gateway's VPN gets nothing.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use lockgate_route::{Certificates, FrontDoor};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::FrontDescription;
use super::ports::said;
use crate::server::listen;

/// The port at which a URL needs none.
const HTTPS: u16 = 443;

/// The front door as containers reach it.
#[derive(Debug)]
pub(in crate::server) struct Near {
    door: FrontDoor,
    shown: watch::Receiver<Certificates>,
    /// The port on loopback, for where 443 is not to be had.
    port: u16,
    /// Where it listens, and why it does not.
    all: Mutex<BTreeMap<IpAddr, Result<SocketAddr, String>>>,
    serving: TaskTracker,
    stop: CancellationToken,
}

impl Near {
    pub(super) fn new(
        door: FrontDoor,
        shown: watch::Receiver<Certificates>,
        port: u16,
        stop: CancellationToken,
    ) -> Self {
        Self {
            door,
            shown,
            port,
            all: Mutex::default(),
            serving: TaskTracker::new(),
            stop,
        }
    }

    /// Listens on this address, unless that is so already; where it does.
    pub(in crate::server) fn listen(&self, ip: IpAddr) -> Option<SocketAddr> {
        let mut all = self.all();
        if let Some(Ok(address)) = all.get(&ip) {
            return Some(*address);
        }
        let bound = bind(ip, &[HTTPS, self.port]);
        let address = bound.map(|(listener, address)| {
            self.serve(listener, address);
            address
        });
        if let Err(problem) = &address
            && all.get(&ip) != Some(&address)
        {
            tracing::warn!(%ip, %problem, "containers do not reach the front door");
        }
        let known = address.as_ref().ok().copied();
        all.insert(ip, address);
        known
    }

    fn serve(&self, listener: TcpListener, address: SocketAddr) {
        let proxy = self.door.secured(self.shown.clone()).closed_to_vpn();
        let stop = self.stop.clone();
        self.serving.spawn(async move {
            if let Err(error) = proxy.serve(listener, stop).await {
                tracing::error!(%address, %error, "front door ended");
            }
        });
        tracing::info!(%address, "front door open to containers");
    }

    /// Adds what is to be said of these listeners.
    pub(in crate::server) fn describe(&self, front: &mut FrontDescription) {
        let all = self.all();
        front.containers = all.values().flatten().copied().collect();
        let own = front.problem.take();
        let missing = all.iter().filter_map(|(ip, heard)| {
            let why = heard.as_ref().err()?;
            Some(format!("containers do not reach it at `{ip}`: {why}"))
        });
        let problems: Vec<String> = own.into_iter().chain(missing).collect();
        front.problem = (!problems.is_empty()).then(|| problems.join("; "));
    }

    /// Waits until all listeners have ended, after `stop` was cancelled.
    pub(in crate::server) async fn ended(&self) {
        self.serving.close();
        self.serving.wait().await;
    }

    /// Whole after every statement that changes it, so a panic elsewhere spoils nothing.
    fn all(&self) -> MutexGuard<'_, BTreeMap<IpAddr, Result<SocketAddr, String>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Binds the first of these ports that is to be had.
fn bind(ip: IpAddr, ports: &[u16]) -> Result<(TcpListener, SocketAddr), String> {
    let mut problems = Vec::new();
    for port in ports {
        match listen::bind(SocketAddr::new(ip, *port)) {
            Ok(bound) => return Ok(bound),
            Err(error) => problems.push(said(&error)),
        }
    }
    problems.dedup();
    Err(problems.join(", "))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use lockgate_model::FrontTable;
    use lockgate_route::Patience;

    use super::*;

    #[tokio::test]
    async fn the_port_on_loopback_is_taken_where_the_usual_one_is_not_to_be_had() {
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let (held, taken) = bind(ip, &[0]).unwrap();
        let (free, other) = bind(ip, &[0]).unwrap();
        drop(free);
        let (_listener, found) = bind(ip, &[taken.port(), other.port()]).unwrap();
        assert_eq!(found, other);
        let said = bind(ip, &[taken.port(), other.port()]).unwrap_err();
        for address in [taken, other] {
            assert!(said.contains(&format!("`{address}` is taken")), "{said}");
        }
        drop(held);
    }

    #[tokio::test]
    async fn what_is_not_to_be_had_is_told_and_tried_again() {
        let (ip, elsewhere) = (
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            "192.0.2.1".parse().unwrap(),
        );
        let (free, address) = bind(ip, &[0]).unwrap();
        drop(free);
        let (_, tables) = watch::channel(FrontTable::default());
        let door = FrontDoor::new(tables, Patience::default());
        let (_, shown) = watch::channel(Certificates::default());
        let stop = CancellationToken::new();
        let near = Near::new(door, shown, address.port(), stop.clone());
        assert_eq!(near.listen(elsewhere), None);
        let found = near.listen(ip);
        assert_eq!(
            (found.map(|it| it.ip()), near.listen(ip)),
            (Some(ip), found)
        );
        let mut front = FrontDescription {
            problem: Some("no port".into()),
            ..FrontDescription::default()
        };
        near.describe(&mut front);
        assert_eq!(front.containers, found.into_iter().collect::<Vec<_>>());
        let problem = front.problem.unwrap();
        assert!(
            problem.starts_with("no port; containers do not reach it at `192.0.2.1`: "),
            "{problem}"
        );
        stop.cancel();
        near.ended().await;
    }
}
