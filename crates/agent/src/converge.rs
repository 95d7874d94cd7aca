//! Brings the gateway to its statement, again and again.
//!
//! ```text
//!   ask (blocking query) ──statement──▶ accept ──▶ plan ──▶ fetch ──▶ supervisor
//!        ▲                                 │        ▲                     │
//!        └── backoff, `reload` wakes       └ kept   └──── refused, good ◀─┘ kept
//! ```
//!
//! One loop owns everything; nothing depends on a notice arriving. Without a server
//! the gateway starts what it accepted last. What is left out: signing, unpacking
//! and processes, which belong to `lockgate-builds` and the supervisor.

mod ask;
mod backoff;
mod fetching;
mod listening;
mod plan;
mod remembered;
mod upkeep;
mod view;

use std::collections::VecDeque;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use lockgate_model::Refusal;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::error::in_one_line;
use crate::state::State;
use crate::supervisor::Handle;
use crate::vpn::Vpn;

pub(crate) use ask::Asker;
use ask::{Answer, NoAnswer};
use backoff::{Backoff, random};
use fetching::{Fetched, Fetching};
use plan::{Observed, Step, Told, Which, plan};
pub(crate) use remembered::{Accepted, Remembered};
pub(crate) use view::View;

/// Statements that the supervisor may still speak of.
const KNOWN_STATEMENTS: usize = 8;

/// Releases that are kept: enough to go back a working day's deploys.
const KEPT_RELEASES: usize = 5;

/// What the loop works with.
pub(crate) struct Means {
    /// Asks the build server.
    pub(crate) asker: Asker,
    /// The folder of releases.
    pub(crate) releases: PathBuf,
    /// What is kept across runs of the agent.
    pub(crate) state: State,
    /// Runs the application.
    pub(crate) supervisor: Handle,
    /// Serves the organization.
    pub(crate) vpn: Vpn,
}

/// Speaks to the loop. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Converging {
    orders: mpsc::Sender<Order>,
    views: watch::Receiver<View>,
}

/// What the loop is told.
enum Order {
    /// Ask the server now.
    Reload(Reload),
    /// End the application and keep it ended until it is told otherwise; the reply says
    /// whether there was one to be ended.
    Stop(oneshot::Sender<bool>),
    /// Run again what was stopped; the reply says whether there is something to run.
    Start(oneshot::Sender<bool>),
}

/// The reply is the accepted statement's number.
type Reload = oneshot::Sender<Result<u64, String>>;

impl Converging {
    /// Asks the build server now, and gives the number of the statement that counts
    /// after its answer, or why there was no answer.
    pub(crate) async fn reload(&self) -> Result<u64, String> {
        let (reply, answer) = oneshot::channel();
        let ended = || "the agent is ending".to_owned();
        let order = Order::Reload(reply);
        self.orders.send(order).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    /// Ends the application, by hand: until [`start`](Self::start), the next statement
    /// or the agent's own restart. False where none is wanted to run.
    pub(crate) async fn stop(&self) -> bool {
        self.order(Order::Stop).await
    }

    /// Runs what was stopped by hand. False where nothing is wanted to run.
    pub(crate) async fn start(&self) -> bool {
        self.order(Order::Start).await
    }

    async fn order(&self, order: impl FnOnce(oneshot::Sender<bool>) -> Order) -> bool {
        let (reply, answer) = oneshot::channel();
        // A loop that has ended has stopped everything.
        let sent = self.orders.send(order(reply)).await.is_ok();
        sent && answer.await.unwrap_or_default()
    }

    /// What the loop shows of itself.
    pub(crate) fn watch(&self) -> watch::Receiver<View> {
        self.views.clone()
    }
}

/// Starts the loop; it ends when `stop` is cancelled.
pub(crate) fn start(
    means: Means,
    remembered: Remembered,
    stop: CancellationToken,
) -> (Converging, JoinHandle<()>) {
    let (orders, commands) = mpsc::channel(16);
    let (view, views) = watch::channel(View::of(&remembered));
    let converge = Converge::new(means, remembered, view);
    let task = tokio::spawn(converge.run(commands, stop));
    (Converging { orders, views }, task)
}

type Asking = Pin<Box<dyn Future<Output = Result<Answer, NoAnswer>> + Send>>;

/// Which releases are whole on disk.
#[derive(Debug, Clone, Copy, Default)]
struct Present {
    wanted: bool,
    good: bool,
}

/// The loop's memory.
struct Converge {
    means: Means,
    view: watch::Sender<View>,

    wanted: Option<Accepted>,
    good: Option<Accepted>,
    present: Present,
    refused: Option<Refusal>,
    told: Option<Told>,
    /// What the supervisor was told, the newest last.
    known: VecDeque<Accepted>,

    /// The number the server offered last, followed or not, since there is contact.
    seen: u64,
    in_contact: bool,
    /// Since when the question waits at the server; `None` for one that does not.
    waiting_since: Option<Instant>,
    ask_backoff: Backoff,
    fetch_backoff: Backoff,
    fetching: Option<Fetching>,
    reloads: Vec<Reload>,
}

impl Converge {
    fn new(means: Means, remembered: Remembered, view: watch::Sender<View>) -> Self {
        let Remembered {
            wanted,
            good,
            refused,
        } = remembered;
        Self {
            means,
            view,
            seen: 0,
            known: good.iter().cloned().collect(),
            wanted,
            good,
            present: Present::default(),
            refused,
            told: None,
            in_contact: false,
            waiting_since: None,
            ask_backoff: Backoff::new(Duration::from_millis(200), Duration::from_secs(5)),
            fetch_backoff: Backoff::new(Duration::from_millis(500), Duration::from_secs(30)),
            fetching: None,
            reloads: Vec::new(),
        }
    }

    async fn run(mut self, mut commands: mpsc::Receiver<Order>, stop: CancellationToken) {
        let mut snapshots = self.means.supervisor.watch();
        self.look_at_releases().await;
        self.follow_organization().await;
        self.act().await;
        let mut asking = self.ask(Duration::ZERO);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                answer = &mut asking => {
                    let delay = self.answered(answer).await;
                    asking = self.ask(delay);
                }
                Some(order) = commands.recv() => match order {
                    Order::Reload(reload) => {
                        self.reloads.push(reload);
                        self.in_contact = false;
                        self.retry_fetch_now();
                        self.means.supervisor.hurry().await;
                        asking = self.ask(Duration::ZERO);
                    }
                    // Whoever asked may have gone.
                    Order::Stop(reply) => drop(reply.send(self.stop_by_hand().await)),
                    Order::Start(reply) => drop(reply.send(self.start_by_hand().await)),
                },
                fetched = fetching::done(&mut self.fetching) => {
                    self.fetched(fetched).await;
                }
                Ok(()) = snapshots.changed() => {
                    let snapshot = snapshots.borrow_and_update().clone();
                    self.learn(snapshot).await;
                }
            }
            self.act().await;
        }
    }

    async fn fetched(&mut self, (which, result): Fetched) {
        self.fetching = None;
        match result {
            Ok(fetched) => {
                self.fetch_backoff.reset();
                match which {
                    Which::Wanted => self.present.wanted = true,
                    Which::Good => {
                        self.present.good = true;
                        // It may be what the supervisor tries to start in vain.
                        self.means.supervisor.hurry().await;
                    }
                }
                self.show(|view| view.fetched(&fetched));
                self.collect(KEPT_RELEASES).await;
            }
            Err(error) => {
                let why = in_one_line(&error);
                warn!(%why, "the build could not be fetched; the gateway keeps what it runs");
                self.show(|view| view.fetch_failed(why));
                if upkeep::is_disk_full(&error) {
                    // Rather the new build than old ones that nothing needs.
                    self.collect(0).await;
                }
                self.start_fetch(which);
            }
        }
    }

    /// Does what `plan` says, until nothing is left to do now.
    async fn act(&mut self) {
        let steps = plan(&Observed {
            wanted: self.wanted.as_ref().map(|wanted| &wanted.statement),
            wanted_present: self.present.wanted,
            good: self.good.as_ref().map(|good| &good.statement),
            good_present: self.present.good,
            refused: self.refused.as_ref(),
            told: self.told,
        });
        if !steps.iter().any(|step| matches!(step, Step::Fetch(_))) {
            self.fetching = None;
        }
        for step in steps {
            match step {
                Step::Run(which) => {
                    if let Some(accepted) = self.of(which).cloned() {
                        self.told = Some(Told::Run(accepted.statement.seq));
                        let target = accepted.target(&self.means.releases);
                        if self.known.len() == KNOWN_STATEMENTS {
                            self.known.pop_front();
                        }
                        self.known.push_back(accepted);
                        // It may read at its load what the VPN leaves.
                        self.means.vpn.settle().await;
                        self.means.supervisor.run(target).await;
                    }
                }
                Step::Stop(seq) => {
                    self.told = Some(Told::Stop(seq));
                    self.means.supervisor.stop(seq).await;
                }
                Step::Fetch(which) => {
                    if self.fetching.is_none() {
                        self.start_fetch(which);
                    }
                }
            }
        }
    }

    /// What the supervisor was told to run last, where it was.
    fn told_to_run(&self) -> Option<&Accepted> {
        match self.told {
            Some(Told::Run(_)) => self.known.back(),
            Some(Told::Stop(_)) | None => None,
        }
    }

    /// The plan is not told: for it the statement is being followed, until the next one.
    async fn stop_by_hand(&mut self) -> bool {
        let Some(told) = self.told_to_run() else {
            return false;
        };
        self.means.supervisor.stop(told.statement.seq).await;
        true
    }

    async fn start_by_hand(&mut self) -> bool {
        let Some(told) = self.told_to_run() else {
            return false;
        };
        let target = told.target(&self.means.releases);
        self.means.supervisor.run(target).await;
        true
    }

    fn of(&self, which: Which) -> Option<&Accepted> {
        match which {
            Which::Wanted => self.wanted.as_ref(),
            Which::Good => self.good.as_ref(),
        }
    }

    /// Starts a fetch, after a delay when the last one failed.
    fn start_fetch(&mut self, which: Which) {
        let server = self.view.borrow().server.clone();
        let endpoint = server.or_else(|| self.means.asker.servers.endpoints().into_iter().next());
        let (Some(accepted), Some(endpoint)) = (self.of(which), endpoint) else {
            return;
        };
        let failed = self.view.borrow().fetch_problem.is_some();
        let statement = accepted.statement.clone();
        let delay = if failed {
            self.fetch_backoff.after_failure(random())
        } else {
            Duration::ZERO
        };
        self.fetching = Some(Fetching::start(
            which,
            statement,
            self.means.asker.client(endpoint),
            self.means.releases.clone(),
            delay,
            self.view.clone(),
        ));
    }

    /// Ends the delay before a fetch is tried again.
    fn retry_fetch_now(&mut self) {
        if let Some(fetching) = &mut self.fetching {
            fetching.begin_now();
        }
        self.fetch_backoff.reset();
    }

    fn show(&self, change: impl FnOnce(&mut View)) {
        view::change(&self.view, change);
    }
}
