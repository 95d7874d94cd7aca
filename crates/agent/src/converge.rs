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
mod plan;
mod remembered;
mod view;

use std::collections::VecDeque;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use lockgate_builds::fetch::collect_releases;
use lockgate_model::protocol::MAX_WAIT_SECS;
use lockgate_model::{BuildId, Refusal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::error::in_one_line;
use crate::state::{State, StateError};
use crate::supervisor::{Handle, Snapshot};

pub(crate) use ask::Asker;
use ask::{Answer, NoAnswer, Question};
use backoff::{Backoff, random};
use fetching::{Fetched, Fetching};
use plan::{Judgement, Observed, Step, Told, Which, judge, plan};
pub(crate) use remembered::{Accepted, Remembered};
pub(crate) use view::View;

/// Releases that are kept: enough to go back a working day's deploys.
const KEPT_RELEASES: usize = 5;
/// Statements that the supervisor may still speak of.
const KNOWN_STATEMENTS: usize = 8;
/// A query that comes back sooner than this without news is not repeated at once.
const SOON: Duration = Duration::from_secs(1);

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
}

/// Speaks to the loop. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Converging {
    reloads: mpsc::Sender<Reload>,
    views: watch::Receiver<View>,
}

/// Asks the server now; the reply is the accepted statement's number.
type Reload = oneshot::Sender<Result<u64, String>>;

impl Converging {
    /// Asks the build server now, and gives the number of the statement that counts
    /// after its answer, or why there was no answer.
    pub(crate) async fn reload(&self) -> Result<u64, String> {
        let (reply, answer) = oneshot::channel();
        let ended = || "the agent is ending".to_owned();
        self.reloads.send(reply).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
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
    let (reloads, commands) = mpsc::channel(16);
    let (view, views) = watch::channel(View::of(&remembered));
    let converge = Converge::new(means, remembered, view);
    let task = tokio::spawn(converge.run(commands, stop));
    (Converging { reloads, views }, task)
}

type Asking = Pin<Box<dyn Future<Output = Result<Answer, NoAnswer>> + Send>>;

/// The loop's memory.
struct Converge {
    means: Means,
    view: watch::Sender<View>,

    wanted: Option<Accepted>,
    wanted_present: bool,
    good: Option<Accepted>,
    good_present: bool,
    refused: Option<Refusal>,
    told: Option<Told>,
    /// What the supervisor was told, the newest last.
    known: VecDeque<Accepted>,

    /// The number the server offered last, accepted or not.
    seen: u64,
    in_contact: bool,
    asked_at: Instant,
    asking_waits: bool,
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
            seen: wanted.as_ref().map_or(0, |wanted| wanted.statement.seq),
            known: good.iter().cloned().collect(),
            wanted,
            wanted_present: false,
            good,
            good_present: false,
            refused,
            told: None,
            in_contact: false,
            asked_at: Instant::now(),
            asking_waits: false,
            ask_backoff: Backoff::new(Duration::from_millis(200), Duration::from_secs(5)),
            fetch_backoff: Backoff::new(Duration::from_millis(500), Duration::from_secs(30)),
            fetching: None,
            reloads: Vec::new(),
        }
    }

    async fn run(mut self, mut commands: mpsc::Receiver<Reload>, stop: CancellationToken) {
        let mut snapshots = self.means.supervisor.watch();
        self.look_at_releases().await;
        self.act().await;
        let mut asking = self.ask(Duration::ZERO);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                answer = &mut asking => {
                    let delay = self.answered(answer).await;
                    asking = self.ask(delay);
                }
                Some(reload) = commands.recv() => {
                    self.reloads.push(reload);
                    self.in_contact = false;
                    self.retry_fetch_now();
                    asking = self.ask(Duration::ZERO);
                }
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

    /// The next question. While there is no contact the server shall answer at once,
    /// so that contact is known to be there.
    fn ask(&mut self, delay: Duration) -> Asking {
        let wait = if self.in_contact {
            Duration::from_secs(MAX_WAIT_SECS)
        } else {
            Duration::ZERO
        };
        let question = Question {
            delay,
            remembered: self.view.borrow().server.clone(),
            after: self.seen,
            wait,
        };
        self.asked_at = Instant::now() + delay;
        self.asking_waits = self.in_contact;
        let asker = self.means.asker.clone();
        Box::pin(async move { asker.ask(question).await })
    }

    /// Takes an answer in; gives the delay before the next question.
    async fn answered(&mut self, answer: Result<Answer, NoAnswer>) -> Duration {
        let answer = match answer {
            Ok(answer) => answer,
            Err(NoAnswer(why)) => {
                if self.in_contact || self.view.borrow().server_problem.is_none() {
                    warn!(%why, "the build server does not answer");
                }
                self.in_contact = false;
                for reload in self.reloads.drain(..) {
                    let _ = reload.send(Err(why.clone()));
                }
                self.show(|view| view.server_problem = Some(why));
                return self.ask_backoff.after_failure(random());
            }
        };
        self.ask_backoff.reset();
        let regained = !self.in_contact;
        self.in_contact = true;
        if regained {
            self.retry_fetch_now();
        }
        let nothing_new = answer.statement.is_none();
        self.show(|view| view.contact(answer.endpoint, regained));
        let mut followed = true;
        if let Some((statement, signed)) = answer.statement {
            self.seen = statement.seq;
            followed = self.accept(Accepted { statement, signed }).await;
        }
        self.act().await;
        let seq = self
            .wanted
            .as_ref()
            .map_or(0, |wanted| wanted.statement.seq);
        for reload in self.reloads.drain(..) {
            let _ = reload.send(Ok(seq));
        }
        let too_soon = self.asking_waits && nothing_new && self.asked_at.elapsed() < SOON;
        if too_soon || !followed {
            SOON
        } else {
            Duration::ZERO
        }
    }

    /// Takes a verified statement over if it is newer. False for an older one.
    async fn accept(&mut self, offered: Accepted) -> bool {
        let seq = offered.statement.seq;
        let known = self.wanted.as_ref().map(|wanted| &wanted.statement);
        match judge(known, &offered.statement) {
            Judgement::Known => true,
            Judgement::Older => {
                let accepted = known.map_or(0, |known| known.seq);
                let why = format!(
                    "the build server offers statement {seq}, older than {accepted}, which this gateway follows"
                );
                warn!(%why, "statement not followed");
                self.show(|view| view.server_problem = Some(why));
                false
            }
            Judgement::New => {
                info!(seq, build = %offered.statement.build, run = offered.statement.run, "statement accepted");
                let kept = offered.kept();
                self.keep(move |state| state.keep_statement(&kept)).await;
                self.show(|view| view.accepted(&offered.statement));
                self.fetch_backoff.reset();
                if self
                    .fetching
                    .as_ref()
                    .is_some_and(|f| !f.serves(&offered.statement))
                {
                    self.fetching = None;
                }
                self.wanted = Some(offered);
                self.look_at_releases().await;
                true
            }
        }
    }

    /// Learns from the supervisor what proved good and what was given up on.
    async fn learn(&mut self, snapshot: Snapshot) {
        if let Some(good) = snapshot.good
            && self
                .good
                .as_ref()
                .is_none_or(|known| known.statement.seq != good.seq)
        {
            let found = self
                .known
                .iter()
                .rev()
                .find(|known| known.statement.seq == good.seq);
            if let Some(good) = found.cloned() {
                info!(build = %good.statement.build, seq = good.statement.seq, "build is good");
                let kept = good.kept();
                self.good = Some(good);
                self.good_present = true;
                self.keep(move |state| state.keep_good(&kept)).await;
            }
        }
        if let Some(refused) = snapshot.refused
            && self.refused.as_ref() != Some(&refused)
        {
            self.refused = Some(refused.clone());
            self.show(|view| view.refused = Some(refused.clone()));
            self.keep(move |state| state.keep_refused(&refused)).await;
        }
    }

    async fn fetched(&mut self, (which, result): Fetched) {
        self.fetching = None;
        match result {
            Ok(fetched) => {
                self.fetch_backoff.reset();
                match which {
                    Which::Wanted => self.wanted_present = true,
                    Which::Good => self.good_present = true,
                }
                self.show(|view| view.fetched(&fetched));
                self.collect().await;
            }
            Err(error) => {
                let why = in_one_line(&error);
                warn!(%why, "the build could not be fetched; the gateway keeps what it runs");
                self.show(|view| view.fetch_failed(why));
                self.start_fetch(which);
            }
        }
    }

    /// Does what `plan` says, until nothing is left to do now.
    async fn act(&mut self) {
        let steps = plan(&Observed {
            wanted: self.wanted.as_ref().map(|wanted| &wanted.statement),
            wanted_present: self.wanted_present,
            good: self.good.as_ref().map(|good| &good.statement),
            good_present: self.good_present,
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

    /// Looks which releases are whole on disk.
    async fn look_at_releases(&mut self) {
        let wanted = self.wanted.as_ref().map(|wanted| wanted.statement.clone());
        let good = self.good.as_ref().map(|good| good.statement.clone());
        let releases = self.means.releases.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let present = |statement: Option<lockgate_model::Statement>| {
                statement.is_some_and(|statement| {
                    lockgate_builds::fetch::release_present(&statement, &releases)
                })
            };
            (present(wanted), present(good))
        });
        (self.wanted_present, self.good_present) = looked.await.unwrap_or_default();
    }

    /// Removes old releases that nothing needs.
    async fn collect(&mut self) {
        let in_use = self.builds_in_use();
        let releases = self.means.releases.clone();
        let collected = tokio::task::spawn_blocking(move || {
            collect_releases(&releases, KEPT_RELEASES, &in_use)
        });
        match collected.await {
            Ok(Ok(removed)) => {
                for build in removed {
                    info!(%build, "old release removed");
                }
            }
            Ok(Err(error)) => warn!(why = in_one_line(&error), "old releases stay"),
            Err(error) => warn!(%error, "old releases stay"),
        }
    }

    fn builds_in_use(&self) -> Vec<BuildId> {
        let watch = self.means.supervisor.watch();
        let snapshot = watch.borrow();
        let running = snapshot.running.as_ref().map(|running| &running.build);
        let told = snapshot.wanted.as_ref().map(|target| &target.build);
        let good = snapshot.good.as_ref().map(|target| &target.build);
        let ours = [&self.wanted, &self.good]
            .into_iter()
            .flatten()
            .map(|accepted| &accepted.statement.build);
        ours.chain(running)
            .chain(told)
            .chain(good)
            .cloned()
            .collect()
    }

    /// Writes to the state folder off this thread. A gateway whose disk is full still
    /// follows its statement; it says that it will not remember.
    async fn keep(
        &mut self,
        write: impl FnOnce(&State) -> Result<(), StateError> + Send + 'static,
    ) {
        let state = self.means.state.clone();
        let problem = match tokio::task::spawn_blocking(move || write(&state)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(in_one_line(&error)),
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = &problem {
            warn!(%why, "the agent will not remember this");
        }
        self.show(|view| view.state_problem = problem);
    }

    fn show(&self, change: impl FnOnce(&mut View)) {
        view::change(&self.view, change);
    }
}
