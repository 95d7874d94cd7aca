//! The one loop that keeps a VPN running, or none.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lockgate_model::VpnAllowance;
use lockgate_model::vpn::NOT_KEPT_APART;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::child::{Child, News};
use super::kept::write_private;
use super::prepare::{Hindrance, Prepared, Wanted, isolate, mark, prepare, unload};
use super::{Order, PUBLISHED, Phase, Shared, Shown, render};
use crate::error::in_one_line;

/// The pause before openvpn is started again. Clients wait meanwhile, so it is short at first.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// After so long the next end counts as the first one.
const STEADY: Duration = Duration::from_secs(10);

/// How long openvpn may take to come up; it takes 30 ms.
const UP_WITHIN: Duration = Duration::from_secs(10);

type Asked = mpsc::Receiver<(Order, oneshot::Sender<()>)>;

/// How one run ended.
enum Ran {
    /// By itself, or it never began.
    Ended(Hindrance),
    /// Something else is wanted.
    Changed,
    /// The agent ends.
    Over,
}

/// What the statement said last.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stated {
    /// There was none.
    NoStatement,
    Nobody,
    Organization(String),
}

struct Keeper {
    shared: Arc<Shared>,
    wanted: Option<Wanted>,
    /// What the statement said last.
    stated: Stated,
    /// The organization was released: nobody needs its keys any more.
    forget: bool,
    /// What clients may reach beside the gateway's door, as the statement says.
    allow: Vec<VpnAllowance>,
}

/// Keeps what is wanted running until `stop`.
pub(super) async fn keep(shared: Arc<Shared>, mut asked: Asked, stop: CancellationToken) {
    let alone = shared.facts.alone;
    let mut keeper = Keeper {
        shared,
        wanted: None,
        stated: Stated::NoStatement,
        forget: false,
        allow: Vec::new(),
    };
    loop {
        // What is there is an earlier agent's or another organization's. Where the gateway is
        // not alone, it is another gateway's.
        if alone {
            unpublish();
        }
        let Some(wanted) = keeper.wanted.clone() else {
            keeper.rest();
            tokio::select! {
                order = asked.recv() => match order {
                    Some(order) => drop(keeper.take(order)),
                    None => return,
                },
                () = stop.cancelled() => return,
            }
            continue;
        };
        if let Ran::Over = keeper.serve(&wanted, &mut asked, &stop).await {
            break;
        }
    }
    if alone {
        unpublish();
    }
}

impl Keeper {
    /// Nothing is wanted, and nothing runs.
    fn rest(&mut self) {
        if std::mem::take(&mut self.forget)
            && let Err(error) = self.shared.kept.remove()
        {
            warn!(
                why = in_one_line(&error),
                "keys of the organization that was released stay"
            );
        }
        self.show(Shown::off());
    }

    /// Takes an order in; says whether something else is to be done now.
    fn take(&mut self, (order, reply): (Order, oneshot::Sender<()>)) -> bool {
        let before = self.wanted.clone();
        let mut again = false;
        match order {
            Order::Follow {
                organization,
                allow,
            } => {
                self.allow = allow;
                self.follow(organization);
            }
            Order::Start {
                organization,
                unsafely,
            } => {
                let same = before.as_ref().filter(|it| it.organization == organization);
                self.wanted = Some(Wanted {
                    by_statement: same.is_some_and(|it| it.by_statement),
                    organization,
                    unsafely: unsafely || same.is_some_and(|it| it.unsafely),
                });
                again = self.shared.shown.borrow().phase == Phase::Failed;
            }
            Order::Stop => self.wanted = None,
        }
        let what = |wanted: &Option<Wanted>| {
            let wanted = wanted.as_ref();
            wanted.map(|it| (it.organization.clone(), it.unsafely))
        };
        let changed = again || what(&self.wanted) != what(&before);
        if changed && let Some(wanted) = &self.wanted {
            info!(organization = wanted.organization, "the VPN is wanted");
            self.show(Shown {
                phase: Phase::Starting,
                organization: Some(wanted.organization.clone()),
                ..Shown::off()
            });
        }
        // Whoever asked may have gone.
        let _ = reply.send(());
        changed
    }

    /// A statement that says what the one before said undoes nothing that was done by hand.
    fn follow(&mut self, organization: Option<String>) {
        let says = organization.map_or(Stated::Nobody, Stated::Organization);
        if self.stated == says {
            return;
        }
        let before = std::mem::replace(&mut self.stated, says.clone());
        match (says, before) {
            (Stated::Organization(organization), _) => {
                let same = self.wanted.take();
                let same = same.filter(|it| it.organization == organization);
                self.wanted = Some(Wanted {
                    unsafely: same.is_some_and(|it| it.unsafely),
                    organization,
                    by_statement: true,
                });
            }
            // Released while the agent was away, perhaps.
            (_, Stated::NoStatement) => {
                let whose = self.shared.kept.whose();
                self.forget = self.wanted.is_none() && whose.is_some_and(|it| it.by_statement);
            }
            (_, _) => {
                self.wanted = None;
                self.forget = true;
            }
        }
    }

    fn show(&self, shown: Shown) {
        self.shared.shown.send_if_modified(|now| {
            let news = *now != shown;
            *now = shown;
            news
        });
    }

    /// Runs it, again and again, until something else is wanted.
    async fn serve(&mut self, wanted: &Wanted, asked: &mut Asked, stop: &CancellationToken) -> Ran {
        let (mut pause, mut restarts) = (FIRST_PAUSE, 0);
        loop {
            let begun = Instant::now();
            let hindrance = match self.run(wanted, restarts, asked, stop).await {
                Ran::Ended(hindrance) => hindrance,
                other => return other,
            };
            if begun.elapsed() >= STEADY {
                pause = FIRST_PAUSE;
            }
            restarts += 1;
            let (passes, problem) = (hindrance.passes, hindrance.problem);
            // Where there can be none, whoever wants one by hand is told so.
            let quiet = !self.shared.facts.alone;
            if !quiet && !passes {
                unpublish();
            }
            if !quiet {
                warn!(why = %problem, again = passes, "the VPN does not run");
            }
            self.show(Shown {
                phase: Phase::Failed,
                organization: Some(wanted.organization.clone()),
                restarts,
                problem: Some(problem),
                quiet,
                ..Shown::off()
            });
            tokio::select! {
                () = sleep(pause), if passes => pause = next_pause(pause),
                order = asked.recv() => match order {
                    Some(order) => if self.take(order) { return Ran::Changed },
                    None => return Ran::Over,
                },
                () = stop.cancelled() => return Ran::Over,
            }
        }
    }

    /// Runs it once.
    async fn run(
        &mut self,
        wanted: &Wanted,
        restarts: u64,
        asked: &mut Asked,
        stop: &CancellationToken,
    ) -> Ran {
        let mut prepared = match prepare(&self.shared, wanted, &self.allow).await {
            Ok(prepared) => prepared,
            Err(hindrance) => return Ran::Ended(hindrance),
        };
        let ran = self
            .attend(wanted, &mut prepared, restarts, asked, stop)
            .await;
        // Where the agent ends, nobody starts anything any more; the rules keep nobody apart, and
        // go with the gateway's network.
        if !matches!(ran, Ran::Over) {
            // Nobody is to look for them now.
            self.shared.shown.send_modify(Shown::is_over);
            let isolation = prepared.tools.isolation.as_ref();
            tokio::select! {
                () = unload(&self.shared, &prepared.spawner, isolation) => {}
                () = stop.cancelled() => return Ran::Over,
            }
        }
        ran
    }

    /// Starts openvpn and attends to it until it has ended.
    async fn attend(
        &mut self,
        wanted: &Wanted,
        prepared: &mut Prepared,
        restarts: u64,
        asked: &mut Asked,
        stop: &CancellationToken,
    ) -> Ran {
        let config = self.shared.kept.path("server.conf");
        let started = Child::start(
            prepared.spawner.clone(),
            &prepared.tools.openvpn,
            &config,
            mark(&self.shared),
        );
        let mut child = match started.await {
            Ok(child) => child,
            Err(why) => return Ran::Ended(Hindrance::passing(why)),
        };
        let too_late = sleep(UP_WITHIN);
        tokio::pin!(too_late);
        let mut is_up = false;
        loop {
            tokio::select! {
                news = child.next() => match news {
                    News::Up => {
                        is_up = true;
                        self.up(wanted, prepared, &child, restarts);
                    }
                    News::Gone(how) => {
                        return Ran::Ended(Hindrance::passing(child.why(&how).await));
                    }
                },
                () = &mut too_late, if !is_up => {
                    child.end().await;
                    let why = format!("openvpn did not come up within {UP_WITHIN:?}");
                    return Ran::Ended(Hindrance::passing(why));
                }
                order = asked.recv() => {
                    let Some(order) = order else {
                        child.end().await;
                        return Ran::Over;
                    };
                    if self.take(order) {
                        child.end().await;
                        return Ran::Changed;
                    }
                    self.renew_rules(prepared).await;
                }
                () = stop.cancelled() => {
                    child.end().await;
                    return Ran::Over;
                }
            }
        }
    }

    /// Loads the rules anew where something else is allowed than they say; tunnels stay.
    async fn renew_rules(&self, prepared: &mut Prepared) {
        let Some(isolation) = &mut prepared.tools.isolation else {
            return;
        };
        if isolation.allow == self.allow {
            return;
        }
        let _held = self.shared.rules.lock().await;
        isolation.allow.clone_from(&self.allow);
        let isolated = isolate(&self.shared, &prepared.spawner, Some(isolation)).await;
        prepared.unisolated = isolated.err();
        let allowed = Allowed(&self.allow);
        match &prepared.unisolated {
            None => info!(%allowed, "clients of the VPN may reach something else"),
            Some(why) => error!(%why, %allowed, "{NOT_KEPT_APART}"),
        }
        self.shared.shown.send_modify(|shown| {
            // Before it is up, nobody looks for its rules.
            if shown.phase == Phase::Ready {
                shown.isolation.clone_from(&prepared.tools.isolation);
                shown.unisolated.clone_from(&prepared.unisolated);
            }
        });
    }

    /// Clients can connect.
    fn up(&self, wanted: &Wanted, prepared: &Prepared, child: &Child, restarts: u64) {
        let (facts, kept) = (&self.shared.facts, &self.shared.kept);
        let serving = render::Serving {
            organization: &wanted.organization,
            pid: child.pid.as_raw(),
            dir: kept.dir(),
            port: facts.port,
            hostname: &facts.hostname,
        };
        let published = render::config(&prepared.pki, &serving)
            .map_err(std::io::Error::from)
            .and_then(|text| write_private(std::path::Path::new(PUBLISHED), text.as_bytes()));
        if let Err(error) = published {
            error!(%error, path = PUBLISHED, "the application cannot read of the VPN");
        }
        info!(
            organization = wanted.organization,
            port = facts.port,
            pid = child.pid.as_raw(),
            "the VPN is up"
        );
        self.show(Shown {
            phase: Phase::Ready,
            organization: Some(wanted.organization.clone()),
            pid: Some(child.pid.as_raw()),
            since: u64::try_from(now_ms()).ok(),
            restarts,
            isolation: prepared.tools.isolation.clone(),
            unisolated: prepared.unisolated.clone(),
            ..Shown::off()
        });
    }
}

/// Entries as they are written, for the log.
struct Allowed<'a>(&'a [VpnAllowance]);

impl std::fmt::Display for Allowed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the door")?;
        self.0.iter().try_for_each(|one| write!(f, ", {one}"))
    }
}

/// Takes away what the application reads of a VPN that is none any more.
fn unpublish() {
    match std::fs::remove_file(PUBLISHED) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            warn!(%error, path = PUBLISHED, "the application may read of a VPN that is none");
        }
        _ => {}
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "it is shown since when clients can connect"
)]
fn now_ms() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_millis()
}

/// The pause after the next end.
fn next_pause(last: Duration) -> Duration {
    (last * 2).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest() {
        let pauses = std::iter::successors(Some(FIRST_PAUSE), |last| Some(next_pause(*last)));
        let pauses: Vec<u128> = pauses.take(9).map(|pause| pause.as_millis()).collect();
        assert_eq!(
            pauses,
            [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]
        );
    }
}
