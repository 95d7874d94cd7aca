//! Opens the door, by either driver.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lockgate_model::{GatewayName, ports};
use lockgate_route::{
    EmbeddedProxy, EmbeddedRoutes, FollowError, ForwardedHeaders, Lookup, NginxDoor, NginxListen,
    NginxProxy, Place, PlaceError, Table,
};
use nix::unistd::Uid;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::nginx::{Means, Nginx};
use super::place::Taken;
use super::routes::{Routes, Served};
use super::{Driver, card, decide, expected, shown};
use crate::config::Config;
use crate::error::in_one_line;
use crate::process::Spawner;
use crate::state::State;
use crate::supervisor::Snapshot;

/// How long nginx may take to serve before the application is started all the same.
const UP_WITHIN: Duration = Duration::from_secs(5);

/// Why the door does not open.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// A listener that cannot be used.
    #[error("cannot use the door's listener")]
    Listener(#[source] std::io::Error),
    /// The folder of nginx's files.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The first configuration.
    #[error(transparent)]
    Follow(#[from] FollowError),
}

/// What opening takes.
pub(crate) struct Opening {
    /// The ports.
    pub(crate) taken: Taken,
    /// Starts nginx.
    pub(crate) spawner: Arc<Spawner>,
    /// Where nginx's files lie, where it serves.
    pub(crate) place: Place,
    /// The agent's state folder.
    pub(crate) state_dir: PathBuf,
    /// What both drivers need.
    pub(crate) parts: Parts,
}

/// What both drivers need.
pub(crate) struct Parts {
    /// The gateway.
    pub(crate) gateway: GatewayName,
    /// What runs.
    pub(crate) snapshots: watch::Receiver<Snapshot>,
    /// Where routes are kept.
    pub(crate) state: State,
    /// Where the application's socket is held, as far as that is known beforehand.
    pub(crate) application: SocketAddr,
    /// What happens on the gateway's own port to headers that speak of a client.
    pub(crate) forwarded: ForwardedHeaders,
    /// Ends the door.
    pub(crate) stop: CancellationToken,
}

impl Parts {
    /// The table with which the door opens: what was kept.
    fn table(&self) -> Table {
        Table {
            application: self.application,
            routes: self.state.routes().unwrap_or_default(),
        }
    }
}

/// What happens at this address to headers that speak of a client. On port 80 user
/// containers ask, and none of them speaks for others.
fn forwarded(addr: SocketAddr, on_the_own_port: ForwardedHeaders) -> ForwardedHeaders {
    if addr.port() == ports::VPN_HTTP {
        ForwardedHeaders::Replace
    } else {
        on_the_own_port
    }
}

/// The place of nginx's files in the state folder, as it is before the first build.
pub(crate) fn prepare_place(config: &Config) -> Result<Place, PlaceError> {
    let place = Place::new(&config.state().join("door"))?;
    if config.driver == Driver::Nginx {
        place.prepare(&config.gateway)?;
        // Elsewhere the folder is a system's own, whose nginx would read what it finds there.
        if std::process::id() == 1 {
            expected::link(Path::new(expected::FOLDER), &place.config());
        }
    }
    Ok(place)
}

/// Where the application's socket is likely to be held.
pub(crate) fn likely_application(config: &Config) -> SocketAddr {
    let given = config.app_address.filter(|addr| addr.port() != 0);
    given.unwrap_or_else(|| ([127, 0, 0, 1], ports::APP).into())
}

/// An open door.
pub(crate) struct Door {
    /// The routes that it serves.
    pub(crate) routes: Routes,
    /// Serves until it is told to stop.
    pub(crate) serving: JoinHandle<()>,
    /// Why it does not serve now, where it does not.
    pub(crate) problem: watch::Receiver<Option<String>>,
}

/// Opens the door and serves it until `stop`; returns once it serves.
pub(crate) async fn open(opening: Opening) -> Result<Door, OpenError> {
    match opening.taken {
        Taken::Embedded(listeners) => {
            // Only a door that starts processes holds what starts them.
            drop(opening.spawner);
            open_embedded(listeners, opening.parts).await
        }
        Taken::Nginx { program, listen } => {
            let means = Means {
                spawner: opening.spawner,
                program,
                place: opening.place.clone(),
                state_dir: opening.state_dir,
            };
            open_nginx(listen, means, opening.parts).await
        }
    }
}

async fn open_embedded(
    listeners: Vec<std::net::TcpListener>,
    parts: Parts,
) -> Result<Door, OpenError> {
    let on_the_own_port = parts.forwarded;
    let listeners: Vec<(TcpListener, ForwardedHeaders)> = listeners
        .into_iter()
        .map(|listener| {
            let rule = forwarded(listener.local_addr()?, on_the_own_port);
            Ok((TcpListener::from_std(listener)?, rule))
        })
        .collect::<Result<_, _>>()
        .map_err(OpenError::Listener)?;
    let table = parts.table();
    let embedded = EmbeddedRoutes::new(table.routes.clone());
    let (gateway, stop) = (parts.gateway, parts.stop);
    let (own, now) = (gateway.clone(), parts.snapshots.clone());
    let card = move || card(&own, &now.borrow());
    let lookup = Lookup::watching_both(
        parts.snapshots,
        embedded.watch(),
        move |snapshot, routes, asked| decide(&gateway, snapshot, routes, asked.host),
    );
    let routes = Routes::open(Served::Embedded(embedded), parts.state, table).await?;
    let serving = tokio::spawn(async move {
        let mut doors = JoinSet::new();
        for (listener, rule) in listeners {
            let door = EmbeddedProxy::new(lookup.clone())
                .forwarded(rule)
                .introduced_by(card.clone());
            doors.spawn(door.serve(listener, stop.clone()));
        }
        while let Some(done) = doors.join_next().await {
            if let Ok(Err(error)) = done {
                error!(why = in_one_line(&error), "the door failed");
            }
        }
    });
    // A socket that is bound has no problem.
    let (_, problem) = watch::channel(None);
    Ok(Door {
        routes,
        serving,
        problem,
    })
}

async fn open_nginx(
    listen: Vec<SocketAddr>,
    means: Means,
    parts: Parts,
) -> Result<Door, OpenError> {
    let place = means.place.clone();
    let listen = listen.into_iter().map(|addr| NginxListen {
        addr,
        forwarded: forwarded(addr, parts.forwarded),
    });
    let door = NginxDoor {
        listen: listen.collect(),
        workers_as_root: Uid::effective().is_root() && is_the_only_user(),
    };
    let table = parts.table();
    let first = shown(&parts.gateway, &parts.snapshots.borrow());
    place.show(&first)?;
    let nginx = Nginx::new(means);
    let served = NginxProxy::new(door, place.clone(), nginx.clone());
    let routes = Routes::open(Served::Nginx(served), parts.state, table).await?;
    let not_yet = Some("nginx, which serves the door, has not started yet".to_owned());
    let (told, problem) = watch::channel(not_yet);
    let following = follow(
        parts.snapshots,
        parts.gateway,
        place,
        routes.clone(),
        parts.stop.clone(),
    );
    let supervising = nginx.supervise(told, parts.stop);
    let serving = tokio::spawn(async move {
        tokio::join!(supervising, following);
    });
    let mut first = problem.clone();
    let up = timeout(UP_WITHIN, first.wait_for(Option::is_none)).await;
    if !matches!(up, Ok(Ok(_))) {
        warn!("nginx does not serve yet; it is tried again while the application starts");
    }
    Ok(Door {
        routes,
        serving,
        problem,
    })
}

/// Shows nginx what the supervisor shows, until `stop`.
async fn follow(
    mut snapshots: watch::Receiver<Snapshot>,
    gateway: GatewayName,
    place: Place,
    routes: Routes,
    stop: CancellationToken,
) {
    let mut last = None;
    loop {
        let (now, address) = {
            let snapshot = snapshots.borrow_and_update();
            (shown(&gateway, &snapshot), snapshot.address)
        };
        if last.as_ref() != Some(&now) {
            if let Err(error) = place.show(&now) {
                warn!(
                    why = in_one_line(&error),
                    "nginx's pages are not what they should be"
                );
            }
            last = Some(now);
        }
        if let Some(address) = address {
            routes.application_moved(address).await;
        }
        tokio::select! {
            changed = snapshots.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
    }
}

/// Whether root is the only user of this namespace: then workers can be nobody else.
fn is_the_only_user() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    maps_one_user(&map)
}

fn maps_one_user(map: &str) -> bool {
    let counts: Vec<Option<&str>> = map
        .lines()
        .map(|line| line.split_ascii_whitespace().nth(2))
        .collect();
    counts == [Some("1")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_believed_on_the_port_of_user_containers() {
        use ForwardedHeaders::{Append, Replace};
        let at = |addr: &str, told| forwarded(addr.parse().unwrap(), told);
        assert_eq!(at("0.0.0.0:7100", Append), Append);
        assert_eq!(at("0.0.0.0:7100", Replace), Replace);
        assert_eq!(at("0.0.0.0:80", Append), Replace);
        assert_eq!(at("0.0.0.0:80", Replace), Replace);
    }

    #[test]
    fn a_namespace_with_one_user_is_known() {
        assert!(maps_one_user("         0       1000          1\n"));
        assert!(!maps_one_user("         0          0 4294967295\n"));
        assert!(!maps_one_user("0 1000 1\n1 100000 65536\n"));
        assert!(!maps_one_user(""));
    }
}
