//! The one loop that brings the engine to what is wanted: look, plan, act, wait for something to happen.
//!
//! ```text
//!  ┌─▶ connect ──▶ look ─▶ plan ─▶ begin steps ─▶ tell ─▶ wait ─┐
//!  │     ▲          ▲                                          │
//!  │  0.2 … 5 s     └── an event, a step's end, a wish, a time ─┤
//!  └──── the engine is away ◀───────────────────────────────────┘
//! ```
//!
//! It decides nothing: `plan` does. It holds what only a loop can hold: which steps are under way, what
//! the engine said last. Nothing here ends a container because the server ends.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use lockgate_model::GatewayName;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::act::{Done, perform};
use super::address::{AddressError, EngineAddress};
use super::blueprint::{GATEWAY, HOME, SPEC};
use super::doors::Doors;
use super::engine::{Engine, EngineError, Happened, Listed};
use super::ledger::{Failure, Ledger};
use super::own::Traces;
use super::plan::{Seen, State, Step, Want, foreign, plan};
use super::tell::{Told, is_stuck, problem};
use super::wishes::Wishes;
use crate::runtime::{Container, Observed};
use crate::server::bridge::Bridges;

/// How long an engine that is away is left alone at first, and at most.
const AWAY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// How often it is looked without a reason: events can be lost.
const LOOK: Duration = Duration::from_secs(30);
/// How often what did not succeed is tried again that no event tells of: a network, an address.
const LOOK_AGAIN: Duration = Duration::from_secs(3);
/// How long steps may take that are under way when the server ends; the engine finishes what it began.
const LAST_STEPS: Duration = Duration::from_secs(2);
/// As an engine counts exit codes.
const MISCONFIGURED: i64 = crate::runtime::MISCONFIGURED as i64;
/// Events that come together are looked at together: this long after the first, and at most so many.
const TOGETHER: (Duration, usize) = (Duration::from_millis(10), 100);
/// When it is looked again after the first look and after each event, the last one first: events before
/// the first wait are not heard, and an engine tells of an end before its own list shows it.
const SOON: [Duration; 2] = [Duration::from_secs(2), Duration::from_millis(250)];
/// How many of an ended agent's last lines are looked at.
const LAST_LINES: usize = 30;

/// What the loop works with.
pub(super) struct Keeper {
    pub(super) address: Result<EngineAddress, AddressError>,
    /// `DOCKER_HOST_IP`.
    pub(super) host_ip: Option<IpAddr>,
    /// By which this server's own container is known.
    pub(super) traces: Traces,
    pub(super) doors: Arc<Doors>,
    pub(super) home: String,
    pub(super) shared: Arc<Shared>,
    pub(super) bridges: Arc<Bridges>,
    pub(super) stop: CancellationToken,
    pub(super) ledger: Ledger,
}

/// What is known of the engine as long as it answers.
struct Session {
    engine: Engine,
    work: JoinSet<(Step, Result<Done, EngineError>)>,
    /// Gateways with a step under way, and whether it ends them.
    busy: BTreeMap<GatewayName, bool>,
    /// When containers were started, by id.
    started: BTreeMap<String, Option<u64>>,
    /// What ended containers said last, by id.
    words: BTreeMap<String, String>,
}

/// What a look has shown and will be needed for acting on it.
struct Look {
    listed: Vec<Listed>,
    seen: Vec<Seen>,
    wishes: Wishes,
}

impl Keeper {
    pub(super) async fn run(mut self) {
        let stop = self.stop.clone();
        let mut pause = AWAY.0;
        loop {
            // An engine that nobody needs is not asked for.
            if stop
                .run_until_cancelled(self.shared.needed())
                .await
                .is_none()
            {
                return;
            }
            let away = match self.until_away(&mut pause).await {
                Ok(()) => return,
                Err(away) => away,
            };
            if pause == AWAY.0 {
                tracing::warn!(problem = %away, "the engine is away");
            }
            self.shared.tell_all(&away);
            self.shared.release_all();
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.shared.woken.notified() => {}
                () = sleep(pause) => pause = (pause * 2).min(AWAY.1),
            }
        }
    }

    /// Works with the engine until the server ends, or says why that is not possible any more.
    async fn until_away(&mut self, pause: &mut Duration) -> Result<(), String> {
        let address = self.address.clone().map_err(|error| error.to_string())?;
        let engine = Engine::connect(&address)
            .await
            .map_err(|error| error.in_one_line())?;
        tracing::info!(%address, "the engine answers");
        *pause = AWAY.0;
        self.serve(engine)
            .await
            .map_err(|error| error.in_one_line())
    }

    async fn serve(&mut self, engine: Engine) -> Result<(), EngineError> {
        let mut events = pin!(engine.events());
        let mut session = Session {
            engine: engine.clone(),
            work: JoinSet::new(),
            busy: BTreeMap::new(),
            started: BTreeMap::new(),
            words: BTreeMap::new(),
        };
        let mut soon = SOON.to_vec();
        loop {
            self.turn(&mut session).await?;
            let later = if self.shared.has_problems() {
                LOOK_AGAIN
            } else {
                LOOK
            };
            let again = Instant::now() + soon.pop().unwrap_or(later);
            let next = self.ledger.next_due().map_or(again, |due| due.min(again));
            tokio::select! {
                () = self.stop.cancelled() => {
                    let finish = async { while session.work.join_next().await.is_some() {} };
                    let _ = timeout(LAST_STEPS, finish).await;
                    return Ok(());
                }
                event = events.next() => {
                    soon = SOON.to_vec();
                    self.hear(&mut session, event)?;
                    for _ in 0..TOGETHER.1 {
                        let Ok(event) = timeout(TOGETHER.0, events.next()).await else {
                            break;
                        };
                        self.hear(&mut session, event)?;
                    }
                }
                Some(ended) = session.work.join_next() => {
                    if let Ok((step, done)) = ended {
                        self.note(&mut session, &step, done);
                    }
                }
                () = self.shared.woken.notified() => {}
                () = self.bridges.trusts_another() => {}
                () = sleep_until(next) => {}
            }
        }
    }

    /// Takes in what happened; an engine that tells nothing any more is away.
    fn hear(
        &mut self,
        session: &mut Session,
        event: Option<Result<Happened, EngineError>>,
    ) -> Result<(), EngineError> {
        let happened = event.ok_or_else(|| session.engine.closed())??;
        session.started.remove(&happened.id);
        session.words.remove(&happened.id);
        if happened.exit_code == Some(MISCONFIGURED) {
            self.ledger.misconfigured(&happened.id);
        }
        Ok(())
    }

    fn note(&mut self, session: &mut Session, step: &Step, done: Result<Done, EngineError>) {
        let gateway = step.gateway();
        session.busy.remove(gateway);
        match done {
            Ok(done) => {
                if step.is_start() {
                    self.shared.tried_again(gateway);
                }
                if let Done::Removed(id) | Done::Started(id, _) = &done {
                    self.ledger.absolve(id);
                }
                if let Done::Told(id, files) | Done::Started(id, files) = done {
                    self.ledger.told(id, files);
                }
                self.ledger.done(gateway, None);
            }
            Err(error) => {
                let problem = error.in_one_line();
                tracing::warn!(%gateway, %problem, "step failed");
                let lasts = error.lasts();
                self.ledger.done(gateway, Some(Failure { problem, lasts }));
            }
        }
    }

    /// Looks, plans, begins what can be begun, and tells how things are.
    async fn turn(&mut self, session: &mut Session) -> Result<(), EngineError> {
        // Who asked before the look gets an answer that counts the look.
        let waiting = self.shared.waiting();
        for env in self.shared.hurried() {
            self.ledger.hurry(&env);
        }
        let look = self.look(session).await?;
        let (known, again) = (self.shared.known(), self.shared.again());
        let steps = plan(&look.wishes.wants, &known, &again, &look.seen);
        let planned: BTreeSet<&GatewayName> = steps.iter().map(Step::gateway).collect();
        self.shared.settle_again(|gateway| {
            planned.contains(gateway) || session.busy.contains_key(gateway)
        });
        for gateway in &again {
            self.ledger.forget(gateway);
        }
        let mut ending = BTreeSet::new();
        for step in steps {
            let gateway = step.gateway().clone();
            if step.is_end() && self.ledger.failed(&gateway).is_none() {
                ending.insert(gateway.env());
            }
            if session.busy.contains_key(&gateway) || self.must_wait(&step) {
                continue;
            }
            begin(session, step, &look);
        }
        let ends = session.busy.iter().filter(|(_, ends)| **ends);
        ending.extend(ends.map(|(gateway, _)| gateway.env()));
        self.tell(session, &look).await?;
        self.shared.release(waiting, &ending);
        Ok(())
    }

    /// Whether a step has to wait: what failed or ended just now is not tried at once again.
    fn must_wait(&mut self, step: &Step) -> bool {
        let retried = step.is_start() || self.ledger.failed(step.gateway()).is_some();
        retried && !self.ledger.may_start(step.gateway(), Instant::now())
    }

    async fn look(&mut self, session: &Session) -> Result<Look, EngineError> {
        let listed = session.engine.containers(None).await?;
        let seen: Vec<Seen> = listed.iter().map(|one| self.seen(one)).collect();
        let own = self.traces.container(&listed);
        let wanted = self.shared.wanted();
        let wishes = Wishes::gather(
            wanted,
            &self.home,
            &session.engine,
            &self.bridges,
            own.as_ref(),
        )
        .await?;
        let is_there = |id: &str| listed.iter().any(|one| one.id == id);
        self.ledger.keep_files(is_there);
        self.ledger.keep(|gateway| {
            wishes.wants.contains_key(gateway)
                || seen.iter().any(|one| one.ours.as_ref() == Some(gateway))
        });
        Ok(Look {
            listed,
            seen,
            wishes,
        })
    }

    fn seen(&self, listed: &Listed) -> Seen {
        let label = |name: &str| listed.labels.get(name);
        let ours = label(HOME) == Some(&self.home);
        let gateway = label(GATEWAY).and_then(|name| GatewayName::parse(name).ok());
        Seen {
            id: listed.id.clone(),
            name: listed.name.clone(),
            ours: gateway.filter(|_| ours),
            digest: label(SPEC).cloned(),
            files: self.ledger.files(&listed.id).cloned(),
            state: listed.state,
            misconfigured: listed.exit_code == Some(MISCONFIGURED)
                || self.ledger.is_misconfigured(&listed.id),
        }
    }

    /// Tells how every wanted gateway is.
    async fn tell(&mut self, session: &mut Session, look: &Look) -> Result<(), EngineError> {
        let foreign: BTreeMap<&GatewayName, &Seen> =
            foreign(&look.wishes.wants, &look.seen).collect();
        let (mut observed, mut targets) = (BTreeMap::new(), BTreeMap::new());
        for (gateway, want) in &look.wishes.wants {
            let own = look
                .seen
                .iter()
                .find(|one| one.ours.as_ref() == Some(gateway) && one.name == gateway.as_str());
            let listed = own.and_then(|own| look.listed.iter().find(|one| one.id == own.id));
            let (mut container, mut words) = (None, None);
            if let (Some(own), Some(listed)) = (own, listed) {
                let running = matches!(own.state, State::Running | State::Paused);
                let started = if running {
                    session.started(&own.id).await?
                } else {
                    None
                };
                container = Some(Container {
                    id: own.id.chars().take(12).collect(),
                    image: listed.image.clone(),
                    started,
                    running,
                });
                if own.state == State::Running {
                    let (here, engine) = (self.host_ip, &self.address);
                    let target = look.wishes.target(gateway, (listed, started), here, engine);
                    targets.extend(target.map(|target| (gateway.clone(), target)));
                }
                if matches!(own.state, State::Exited | State::Restarting) && *want != Want::Stopped
                {
                    words = Some(session.words(&own.id).await?);
                }
            }
            let told = Told {
                gateway,
                want,
                own: own.map(|own| (own.state, own.misconfigured)),
                exit_code: listed.and_then(|one| one.exit_code),
                words,
                foreign: foreign
                    .get(gateway)
                    .and_then(|other| look.listed.iter().find(|one| one.id == other.id)),
                unclear: look.wishes.problems.get(gateway),
                failed: self.ledger.failed(gateway),
            };
            observed.insert(
                gateway.clone(),
                Observed {
                    pid: None,
                    problem: problem(&told),
                    stuck: is_stuck(&told),
                    doubt: look
                        .wishes
                        .vicinities
                        .get(gateway)
                        .and_then(|it| it.doubt.clone()),
                    container,
                    ..Observed::default()
                },
            );
        }
        self.shared.tell(observed);
        self.doors.find(targets);
        Ok(())
    }
}

/// Has a step done beside the loop.
fn begin(session: &mut Session, step: Step, look: &Look) {
    let made_from = look.wishes.made_from.get(step.gateway()).cloned();
    tracing::info!(gateway = %step.gateway(), step = step.word(), "begins");
    session.busy.insert(step.gateway().clone(), step.is_end());
    let engine = session.engine.clone();
    session.work.spawn(async move {
        let done = perform(&engine, &step, made_from).await;
        (step, done)
    });
}

impl Session {
    /// When a container was started; it may be gone since it was listed.
    async fn started(&mut self, id: &str) -> Result<Option<u64>, EngineError> {
        if let Some(known) = self.started.get(id) {
            return Ok(*known);
        }
        let started = or_gone(self.engine.started(id).await)?.flatten();
        self.started.insert(id.to_owned(), started);
        Ok(started)
    }

    /// What an ended container's agent said last.
    async fn words(&mut self, id: &str) -> Result<String, EngineError> {
        if let Some(known) = self.words.get(id) {
            return Ok(known.clone());
        }
        let text = or_gone(self.engine.last_errors(id, LAST_LINES).await)?.unwrap_or_default();
        let words = crate::runtime::last_words::pick(&text);
        self.words.insert(id.to_owned(), words.clone());
        Ok(words)
    }
}

/// A container that is gone is no reason to think that the engine is.
fn or_gone<T>(found: Result<T, EngineError>) -> Result<Option<T>, EngineError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}
