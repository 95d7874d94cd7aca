//! Agents as child processes of the server: a keeper for each starts it, starts it again when it
//! ends, and ends it when it is not wanted any more. Of gateways and of services alike.
//!
//! ```text
//! start ─▶ running ─▶ ended ─▶ delay 0.2 s … 10 s ─▶ start
//!             └─ not wanted ─▶ close its standard input ─▶ its time ─▶ TERM ─▶ 5 s ─▶ KILL
//! ```
//!
//! An agent ends when its standard input does, so none outlives the server, however that ends. Agents
//! are in process groups of their own: a Ctrl-C at the terminal reaches the server alone.

mod agent;
mod ends;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::OsString;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lockgate_model::Digest;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::agent::{Agent, Words};
use self::ends::{Ended, Ends};
use super::backoff::Backoff;

/// The program that is started, and what it inherits.
#[derive(Debug)]
pub(crate) struct Program {
    /// The agent's path.
    pub(crate) path: PathBuf,
    /// All it gets of the server's own environment.
    pub(crate) inherited: Vec<(String, OsString)>,
}

/// An agent as it is started. Two that are equal are the same running agent. Its variables may be
/// secrets, so this has no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct AgentSpec {
    /// Where it works, and writes its own log.
    pub(super) folder: PathBuf,
    /// Its arguments.
    pub(super) arguments: Vec<OsString>,
    /// Its variables.
    pub(super) variables: Vec<(&'static str, OsString)>,
    /// What it reads that is not among these, and how often it was asked to start again.
    pub(super) content: Option<(Digest, u64)>,
    /// Whether it says on its standard output what becomes of what it runs.
    pub(super) tells: bool,
    /// How long it may take after its standard input closed.
    pub(super) quiet_end: Duration,
}

/// What is seen of an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Its process, while it runs.
    pub(super) pid: Option<u32>,
    /// Why it does not run, or did not the last time.
    pub(super) problem: Option<String>,
    /// Whether it ends like that again and again until somebody does something about it.
    pub(super) stuck: bool,
    /// The last line that this process told.
    pub(super) told: Option<String>,
}

/// The keepers of many agents, by what these are for.
#[derive(Debug)]
pub(super) struct Keepers<K> {
    program: Arc<Program>,
    all: Mutex<BTreeMap<K, Keeper>>,
    changes: watch::Sender<u64>,
}

/// One agent's keeper.
struct Keeper {
    spec: AgentSpec,
    seen: Arc<watch::Sender<Seen>>,
    /// Ends the pause before the next start.
    hurry: Arc<Notify>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper")
            .field("seen", &*self.seen.borrow())
            .finish_non_exhaustive()
    }
}

impl<K: Ord + Clone + Display> Keepers<K> {
    /// No agents yet.
    pub(super) fn new(program: Arc<Program>) -> Self {
        Self {
            program,
            all: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }

    /// Makes exactly these agents run of those that are `meant`; returns when the others of them
    /// have ended. These are started, not awaited; those that wait after they have ended, at once.
    pub(super) async fn reconcile(&self, meant: impl Fn(&K) -> bool, wanted: Vec<(K, AgentSpec)>) {
        let is_wanted = |key: &K, keeper: &Keeper| {
            let mut same = wanted.iter().filter(|(wanted, _)| wanted == key);
            same.any(|(_, spec)| *spec == keeper.spec)
        };
        let ending: Vec<(K, Keeper)> = self
            .keepers()
            .extract_if(.., |key, keeper| meant(key) && !is_wanted(key, keeper))
            .collect();
        end(ending).await;
        let mut keepers = self.keepers();
        for (key, spec) in wanted {
            match keepers.entry(key) {
                Entry::Occupied(kept) => kept.get().hurry(),
                Entry::Vacant(place) => {
                    let of = place.key().to_string();
                    place.insert(self.keep(of, spec));
                }
            }
        }
        drop(keepers);
        self.changed();
    }

    /// What is seen of an agent; `None` when it is not wanted.
    pub(super) fn see(&self, key: &K) -> Option<Seen> {
        Some(self.keepers().get(key)?.seen.borrow().clone())
    }

    /// Changes whenever `see` may answer something else.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Ends all, and returns when they are gone.
    pub(super) async fn end_all(&self) {
        let all = std::mem::take(&mut *self.keepers());
        end(all.into_iter().collect()).await;
        self.changed();
    }

    fn keep(&self, of: String, spec: AgentSpec) -> Keeper {
        let seen = Arc::new(watch::Sender::new(Seen::default()));
        let hurry = Arc::<Notify>::default();
        let stop = CancellationToken::new();
        let shift = Shift {
            program: Arc::clone(&self.program),
            of,
            spec: spec.clone(),
            seen: Arc::clone(&seen),
            changes: self.changes.clone(),
            hurry: Arc::clone(&hurry),
            stop: stop.clone(),
        };
        Keeper {
            spec,
            seen,
            hurry,
            stop,
            task: tokio::spawn(shift.run()),
        }
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// The map is whole after every statement that changes it, so a panic elsewhere spoils nothing.
    fn keepers(&self) -> MutexGuard<'_, BTreeMap<K, Keeper>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keeper {
    /// What went wrong before may be mended: it is tried at once, and told when it goes wrong again.
    fn hurry(&self) {
        let went_wrong = self.seen.borrow().problem.is_some();
        if went_wrong {
            self.seen.send_modify(|seen| seen.stuck = false);
            self.hurry.notify_one();
        }
    }
}

/// Ends keepers side by side.
async fn end<K: Display>(keepers: Vec<(K, Keeper)>) {
    for (_, keeper) in &keepers {
        keeper.stop.cancel();
    }
    for (of, keeper) in keepers {
        if let Err(error) = keeper.task.await {
            tracing::error!(%of, %error, "keeper did not end as it should");
        }
    }
}

/// What a keeper's task works with.
struct Shift {
    program: Arc<Program>,
    /// Whose agent it is, for the log.
    of: String,
    spec: AgentSpec,
    seen: Arc<watch::Sender<Seen>>,
    changes: watch::Sender<u64>,
    hurry: Arc<Notify>,
    stop: CancellationToken,
}

impl Shift {
    async fn run(self) {
        let of = &self.of;
        let (mut backoff, mut ends) = (Backoff::default(), Ends::default());
        while !self.stop.is_cancelled() {
            let started = Instant::now();
            let ended = match Agent::start(&self.program, &self.spec) {
                Ok(agent) => match self.watch(agent).await {
                    Some(ended) => ended,
                    None => break,
                },
                Err(error) => Ended {
                    how: format!("{error}: {}", error.source),
                    lasts: true,
                },
            };
            let stuck = ends.is_stuck(&ended, Instant::now());
            let delay = backoff.after(started.elapsed());
            let problem = ended.how;
            tracing::warn!(%of, %problem, ?delay, "agent starts again");
            self.tell(Seen {
                problem: Some(problem),
                stuck,
                ..Seen::default()
            });
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = self.hurry.notified() => ends = Ends::default(),
                () = tokio::time::sleep(delay) => {}
            }
        }
        self.tell(Seen::default());
    }

    /// Waits with a running agent. `None` when it was not wanted any more, else why it ended.
    async fn watch(&self, mut agent: Agent) -> Option<Ended> {
        let of = &self.of;
        tracing::info!(%of, pid = agent.pid(), "agent started");
        // What went wrong before is told until the agent speaks for itself.
        let before = self.seen.borrow().clone();
        self.tell(Seen {
            pid: agent.pid(),
            told: None,
            ..before
        });
        let words = agent.words();
        let ended = async {
            tokio::select! {
                ended = agent.ended() => ended,
                never = self.listen(words) => match never {},
            }
        };
        let ended = self.stop.run_until_cancelled(ended).await;
        if ended.is_none() {
            agent.end(of, self.spec.quiet_end).await;
        }
        ended
    }

    /// Takes in what the agent tells, for as long as it is waited for.
    async fn listen(&self, words: Option<Words>) -> std::convert::Infallible {
        if let Some(mut words) = words {
            while let Some(line) = words.next().await {
                let seen = self.seen.borrow().clone();
                self.tell(Seen {
                    told: Some(line),
                    ..seen
                });
            }
        }
        std::future::pending().await
    }

    fn tell(&self, seen: Seen) {
        self.seen.send_replace(seen);
        self.changes.send_modify(|count| *count += 1);
    }
}
