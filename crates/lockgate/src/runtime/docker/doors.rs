//! Finds each gateway's door: where this server reaches it, asked and asked again.
//!
//! ```text
//! keeper ── where each may be ─▶ a task each ─▶ ask everywhere ─▶ found ─▶ ask there ─┐
//!                                   ▲   0.2 … 1 s                        every 10 s  │
//!                                   └── it does not answer, or its container changed ◀┘
//! ```
//!
//! What answers must name itself as the gateway; everybody else is passed by and named. What was
//! found is remembered while it answers and no better place does.

mod ask;
mod places;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lockgate_model::GatewayName;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::ask::{Asked, everywhere};
pub(super) use self::places::{Place, Sides, Standpoint, places};
use crate::runtime::Reach;

/// How often a door is asked that was found.
const AGAIN: Duration = Duration::from_secs(10);
/// How soon one is asked again that was not found, at first and at most.
const UNTIL_FOUND: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(1));

/// A gateway's container and where its door may be. Another one is asked for anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// The container's id.
    pub(super) container: String,
    /// When it was started, UNIX milliseconds.
    pub(super) started: Option<u64>,
    /// Where its door may be, best first.
    pub(super) places: Vec<Place>,
}

/// The doors of all gateways that run.
#[derive(Debug)]
pub(super) struct Doors {
    wanted: watch::Sender<BTreeMap<GatewayName, Target>>,
    known: Mutex<BTreeMap<GatewayName, Reach>>,
    changes: watch::Sender<u64>,
    /// How often a door is asked that was found.
    again: Duration,
}

impl Doors {
    /// Knows none yet. `changes` counts what is found and lost.
    pub(super) fn new(changes: watch::Sender<u64>) -> Self {
        Self {
            wanted: watch::Sender::default(),
            known: Mutex::default(),
            changes,
            again: AGAIN,
        }
    }

    /// Says which are to be found; what is known of others is forgotten.
    pub(super) fn find(&self, targets: BTreeMap<GatewayName, Target>) {
        self.wanted.send_if_modified(|wanted| {
            let changed = *wanted != targets;
            *wanted = targets;
            changed
        });
    }

    /// What is known of a gateway's door.
    pub(super) fn of(&self, gateway: &GatewayName) -> Reach {
        self.known().get(gateway).cloned().unwrap_or_default()
    }

    /// Looks for them until `stop`.
    pub(super) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut wanted = self.wanted.subscribe();
        let mut tasks = JoinSet::new();
        let mut followed: BTreeMap<GatewayName, (Target, CancellationToken)> = BTreeMap::new();
        loop {
            let targets = wanted.borrow_and_update().clone();
            followed.retain(|gateway, (target, token)| {
                let stays = targets.get(gateway) == Some(target);
                if !stays {
                    token.cancel();
                    self.tell(gateway, None, token);
                }
                stays
            });
            for (gateway, target) in targets {
                let Entry::Vacant(place) = followed.entry(gateway) else {
                    continue;
                };
                let (doors, token) = (Arc::clone(&self), stop.child_token());
                let (gateway, (target, mine)) =
                    (place.key().clone(), place.insert((target, token)).clone());
                tasks.spawn(async move {
                    let following = doors.follow(&gateway, &target, &mine);
                    mine.run_until_cancelled(following).await;
                });
            }
            tokio::select! {
                () = stop.cancelled() => break,
                _ = wanted.changed() => {}
                Some(_) = tasks.join_next() => {}
            }
        }
        while tasks.join_next().await.is_some() {}
    }

    /// Finds one door again and again.
    async fn follow(&self, gateway: &GatewayName, target: &Target, token: &CancellationToken) {
        let mut pause = UNTIL_FOUND.0;
        loop {
            let asked = everywhere(&target.places, gateway).await;
            let found = asked.nth();
            self.tell(gateway, Some(asked.into()), token);
            let Some(mut nth) = found else {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(UNTIL_FOUND.1);
                continue;
            };
            pause = UNTIL_FOUND.0;
            loop {
                tokio::time::sleep(self.again).await;
                // A better place may answer by now: the door may have opened while it was asked.
                let places = target.places.get(..=nth).unwrap_or(&target.places);
                match everywhere(places, gateway).await {
                    Asked::Nowhere(why) => {
                        tracing::info!(%gateway, why = why.join("; "), "the door is looked for again");
                        break;
                    }
                    found @ Asked::Found { nth: now, .. } => {
                        nth = now;
                        self.tell(gateway, Some(found.into()), token);
                    }
                }
            }
        }
    }

    /// What a task found that is not wanted any more is not told.
    fn tell(&self, gateway: &GatewayName, reach: Option<Reach>, token: &CancellationToken) {
        let mut known = self.known();
        if reach.is_some() && token.is_cancelled() {
            return;
        }
        let before = known.get(gateway).cloned().unwrap_or_default();
        let now = reach.clone().unwrap_or_default();
        match reach {
            Some(reach) => known.insert(gateway.clone(), reach),
            None => known.remove(gateway),
        };
        drop(known);
        if before.address != now.address {
            let address = now
                .address
                .map_or("nowhere".to_owned(), |it| it.to_string());
            tracing::info!(%gateway, address, "door");
        }
        if before != now {
            self.changes.send_modify(|count| *count += 1);
        }
    }

    /// The map is whole after every statement that changes it, so a panic elsewhere spoils nothing.
    fn known(&self) -> MutexGuard<'_, BTreeMap<GatewayName, Reach>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Asked> for Reach {
    fn from(asked: Asked) -> Self {
        match asked {
            Asked::Found { address, .. } => Self {
                address: Some(address),
                problem: None,
            },
            Asked::Nowhere(others) => Self {
                address: None,
                problem: Some(format!(
                    "this server does not reach its door ({}); `DOCKER_HOST_IP` names the address \
                     of the engine's host",
                    others.join("; ")
                )),
            },
        }
    }
}

/// The gateway of this machine's default route with the lowest metric.
pub(super) fn default_route() -> Option<std::net::IpAddr> {
    let routes = procfs::net::route().unwrap_or_default().into_iter();
    let default = routes.filter(|it| it.mask.is_unspecified() && !it.gateway.is_unspecified());
    let best = default.min_by_key(|route| route.metrics)?;
    Some(best.gateway.into())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use lockgate_model::DoorCard;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::*;

    fn gateway() -> GatewayName {
        GatewayName::parse("gw-pool-dev-0").unwrap()
    }

    /// A gateway's door; it is closed when the task ends.
    async fn door(address: &str) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let card = DoorCard {
            gateway: gateway(),
            build: None,
        };
        let body = serde_json::to_string(&card).unwrap();
        let serving = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1024]).await;
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}", body.len());
                let _ = stream
                    .write_all(format!("{head}\r\n\r\n{body}").as_bytes())
                    .await;
            }
        });
        (address, serving)
    }

    fn target(container: &str, places: &[SocketAddr]) -> BTreeMap<GatewayName, Target> {
        let target = Target {
            container: container.to_owned(),
            started: Some(1),
            places: places.iter().copied().map(Place::At).collect(),
        };
        [(gateway(), target)].into()
    }

    async fn until(doors: &Doors, expected: Option<SocketAddr>) {
        let mut changes = doors.changes.subscribe();
        let found = async {
            while doors.of(&gateway()).address != expected {
                changes.changed().await.unwrap();
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(20), found).await;
        assert!(
            found.is_ok(),
            "not {expected:?}: {:?}",
            doors.of(&gateway())
        );
    }

    #[tokio::test]
    async fn a_door_is_remembered_while_it_answers_and_then_found_elsewhere() {
        let doors = Arc::new(Doors {
            again: Duration::from_millis(10),
            ..Doors::new(watch::Sender::default())
        });
        let stop = CancellationToken::new();
        let running = tokio::spawn(Arc::clone(&doors).run(stop.clone()));
        let (first, serving) = door("127.0.0.1:0").await;
        let (second, _other) = door("127.0.0.1:0").await;
        doors.find(target("a", &[first, second]));
        until(&doors, Some(first)).await;

        serving.abort();
        until(&doors, Some(second)).await;

        // It opens again, and was the better one.
        let (again, serving) = door(&first.to_string()).await;
        until(&doors, Some(again)).await;
        serving.abort();
        until(&doors, Some(second)).await;

        // One that does not run has no door, and a new one is looked for from the beginning.
        doors.find(BTreeMap::new());
        until(&doors, None).await;
        assert_eq!(doors.of(&gateway()), Reach::default());
        let (back, _serving) = door(&first.to_string()).await;
        doors.find(target("b", &[back, second]));
        until(&doors, Some(back)).await;

        // Nowhere: who else is there is told.
        let nowhere = target("c", &[([127, 0, 0, 1], 1).into()]);
        doors.find(nowhere);
        until(&doors, None).await;
        let mut changes = doors.changes.subscribe();
        let told = async {
            loop {
                if let Some(problem) = doors.of(&gateway()).problem {
                    return problem;
                }
                changes.changed().await.unwrap();
            }
        };
        let told = tokio::time::timeout(Duration::from_secs(20), told).await;
        assert!(told.unwrap().contains("127.0.0.1:1: Connection refused"));
        stop.cancel();
        running.await.unwrap();
    }
}
