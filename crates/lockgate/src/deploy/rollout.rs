//! A build on its way through the gateways of an environment, stage after stage.
//!
//! ```text
//! number ─▶ write down that it begins ─▶ ┌ stage: statements ─▶ tell the server ─▶ follow ┐
//!                                        └──────────── next, while nothing failed ◀───────┘
//!   last stage told: it is the environment's build ─▶ ready ─▶ good, current archive
//! ```
//! Whatever ends it, those that were told go on by themselves and the others keep what they
//! have; `desired.json` says so until the next publication reaches all of them.

use std::path::PathBuf;
use std::time::Duration;

use lockgate_builds::store::{Publication, Store, StoreError};
use lockgate_model::{BuildId, EnvName, Limits};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::events::{Event, GatewayOutcome, LeftPinned, Outcome};
use super::follow::{Ended, Follow, untouched};
use super::refusals::{Refusals, gave_up};
use super::strategy::{DeployStrategy, Stage, Until, stages};
use super::{joined, millis, said};
use crate::context::{Context, now_ms};
use crate::environment::desired::{Begun, Whole};
use crate::environment::lock::DeployLock;
use crate::environment::publish::{What, number, publish};
use crate::environment::{Environment, Gateway, Pin};
use crate::error::CommandError;
use crate::server::control::{ControlClient, GatewaysView};

/// How many builds an environment keeps to roll back to; 25 MB each for a large bundle.
const KEPT_BUILDS: usize = 20;
/// How long one question to the server waits for something new.
const WAIT: Duration = Duration::from_secs(20);

/// For whom something is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// For all gateways that are not pinned; it becomes the environment's build.
    Environment,
    /// For these alone, which are pinned to it.
    Pin(Vec<u32>),
    /// For these, whose pins end.
    Unpin(Vec<u32>),
    /// For these, which are new.
    Join(Vec<u32>),
    /// For these, whatever they run.
    Again(Vec<u32>),
}

/// What is published, to whom, in which order, and how far it is followed.
pub(crate) struct Rollout<'a> {
    /// The command's context.
    pub(crate) ctx: &'a Context,
    /// The server.
    pub(crate) control: &'a ControlClient,
    /// The builds.
    pub(crate) store: &'a Store,
    /// Held all the time.
    pub(crate) lock: &'a mut DeployLock,
    /// The environment, as it was read under the lock.
    pub(crate) environment: Environment,
    /// The build that it is about.
    pub(crate) build: BuildId,
    /// What is said.
    pub(crate) what: What,
    /// To whom.
    pub(crate) scope: Scope,
    /// The line for the history, if it is one.
    pub(crate) line: Option<Publication>,
    /// The application's limits.
    pub(crate) limits: Limits,
    /// How it is done.
    pub(crate) how: How,
}

/// How something is published and followed.
#[derive(Debug, Clone)]
pub(crate) struct How {
    /// In which order.
    pub(crate) strategy: DeployStrategy,
    /// How far.
    pub(crate) wait: Until,
    /// How long the gateways may take; what the limits allow where it is not given.
    pub(crate) within: Option<Duration>,
    /// When the command started.
    pub(crate) started: std::time::Instant,
    /// Cancelled when somebody ends the command.
    pub(crate) stop: CancellationToken,
}

/// A rollout under way.
struct Running<'a, 'b> {
    rollout: Rollout<'a>,
    tell: &'b mut dyn FnMut(Event),
    follow: Follow,
    seq: u64,
    began: Instant,
    deadline: Instant,
    seen: GatewaysView,
    /// The current archive in the making.
    archive: Option<JoinHandle<Result<(PathBuf, u64), StoreError>>>,
}

impl Rollout<'_> {
    /// Publishes stage by stage and follows the gateways until they have come as far as is waited
    /// for, one fails, time is up, or the command is ended. What became of them is in the outcome.
    pub(crate) async fn run(
        mut self,
        tell: &mut dyn FnMut(Event),
    ) -> Result<Outcome, CommandError> {
        let env = &self.environment.name;
        let seen = self.control.gateways(env, None, Duration::ZERO).await?;
        remember(self.ctx, self.store, env, &seen)?;
        self.end_refused_pins(&seen, tell)?;
        if self.scope == Scope::Environment {
            for pinned in pinned(&self.environment) {
                tell(Event::Pinned(pinned));
            }
        }
        let stages = stages(self.how.strategy, &self.gateways(), self.how.wait);
        let home = &self.ctx.config.home;
        let seq = number(home, self.store, &self.environment, now_ms())?;
        let began = Instant::from_std(super::clock());
        let within = self
            .how
            .within
            .unwrap_or_else(|| allowed(&self.limits, &stages));
        let running = Running {
            rollout: self,
            tell,
            follow: Follow::new(seq),
            seq,
            began,
            deadline: began + within,
            seen,
            archive: None,
        };
        running.finish(&stages).await
    }

    /// A pin to a build that was refused when nobody followed any more is none: the gateway
    /// goes along with its environment again.
    fn end_refused_pins(
        &mut self,
        view: &GatewaysView,
        tell: &mut dyn FnMut(Event),
    ) -> Result<(), CommandError> {
        let pinned = self.environment.pinned();
        let refused: Vec<(u32, BuildId)> = pinned
            .filter(|(gateway, pin)| {
                let mut views = view.gateways.iter();
                let seen = views.find(|it| it.name.number() == gateway.number);
                let report = seen.and_then(|it| it.report.as_ref());
                report.is_some_and(|report| gave_up(report, &pin.build))
            })
            .map(|(gateway, pin)| (gateway.number, pin.build.clone()))
            .collect();
        for (number, build) in refused {
            let home = &self.ctx.config.home;
            for gateway in self.environment.pin(home, &[number], None)? {
                tell(Event::warning(format!(
                    "{gateway} was pinned to {build}, which it refused; it is pinned no more"
                )));
            }
        }
        Ok(())
    }

    /// Those that it is about.
    fn gateways(&self) -> Vec<&Gateway> {
        match &self.scope {
            Scope::Environment => self.environment.unpinned().collect(),
            Scope::Pin(numbers)
            | Scope::Unpin(numbers)
            | Scope::Join(numbers)
            | Scope::Again(numbers) => {
                let all = self.environment.gateways.iter();
                all.filter(|one| numbers.contains(&one.number)).collect()
            }
        }
    }
}

/// Those that a publication to the environment leaves as they are.
fn pinned(environment: &Environment) -> Vec<LeftPinned> {
    let pinned = environment.pinned();
    pinned
        .map(|(gateway, pin)| LeftPinned {
            gateway: environment.gateway_name(gateway),
            build: pin.build.clone(),
            since: pin.since,
        })
        .collect()
}

impl Running<'_, '_> {
    async fn finish(mut self, stages: &[Stage]) -> Result<Outcome, CommandError> {
        let pins_before = self.pins();
        self.begin()?;
        let mut ended = Ended::Reached;
        let mut told = 0;
        for stage in stages {
            if ended != Ended::Reached || self.follow.has_failed() {
                break;
            }
            told += 1;
            self.publish(stage, told, stages.len()).await?;
            let left = stages.iter().skip(told);
            let then = left.map(|stage| stage.gateways.len()).sum();
            ended = self.come(stage.until, then).await?;
        }
        self.take_back_pins(&pins_before)?;
        self.made_current().await?;
        self.tidy().await?;
        let left = stages.iter().skip(told);
        let left: Vec<u32> = left.flat_map(|stage| stage.gateways.clone()).collect();
        Ok(self.outcome(ended, &left))
    }

    /// Writes down what is about to be done, before anything is.
    fn begin(&mut self) -> Result<(), CommandError> {
        let rollout = &mut self.rollout;
        let (home, env) = (&rollout.ctx.config.home, &rollout.environment.name);
        if rollout.scope == Scope::Environment {
            let mut desired = said::desired(home, &rollout.environment, rollout.store)?;
            desired.begun = Some(Begun {
                build: rollout.build.clone(),
                seq: self.seq,
                strategy: rollout.how.strategy,
                at: now_ms(),
                by: rollout.ctx.config.caller.clone(),
            });
            desired.save(home, env)?;
        }
        if let Some(line) = &rollout.line {
            rollout.store.publish(env, line)?;
        }
        if let Scope::Unpin(numbers) = &rollout.scope {
            rollout.environment.pin(home, numbers, None)?;
        }
        Ok(())
    }

    /// Says it to the gateways of one stage.
    async fn publish(
        &mut self,
        stage: &Stage,
        number: usize,
        stages: usize,
    ) -> Result<(), CommandError> {
        let rollout = &mut self.rollout;
        let home = &rollout.ctx.config.home;
        let published = publish(
            home,
            rollout.store,
            &rollout.environment,
            &rollout.what,
            &stage.gateways,
            self.seq,
            now_ms(),
        )?;
        if let Scope::Pin(_) = rollout.scope {
            let pin = Pin {
                build: rollout.build.clone(),
                since: now_ms(),
            };
            rollout.environment.pin(home, &stage.gateways, Some(&pin))?;
        }
        if number == stages {
            self.reached_all()?;
        }
        let names = published.gateways.iter().map(|said| said.gateway.clone());
        (self.tell)(Event::Published {
            build: self.rollout.build.clone(),
            seq: self.seq,
            gateways: published.gateways.len(),
            names: names.collect(),
            stage: number,
            stages,
            trial_ms: millis(self.rollout.limits.trial),
        });
        if !published.renewed.is_empty() {
            (self.tell)(Event::Renewed {
                gateways: published.renewed.clone(),
            });
        }
        let elapsed = self.began.elapsed();
        // A canary is followed to the end of its trial, however far the others are.
        let until = stage.until.max(self.rollout.how.wait);
        self.follow.told(&published, until, &self.seen, elapsed);
        let rollout = &self.rollout;
        rollout.control.changed(&rollout.environment.name).await?;
        Ok(())
    }

    /// Every gateway was told: from now on it is the environment's build.
    fn reached_all(&self) -> Result<(), CommandError> {
        let rollout = &self.rollout;
        if let (Scope::Environment, What::Run { settings, .. }) = (&rollout.scope, &rollout.what) {
            let (home, env) = (&rollout.ctx.config.home, &rollout.environment.name);
            let mut desired = said::desired(home, &rollout.environment, rollout.store)?;
            desired.begun = None;
            desired.whole = Some(Whole {
                build: rollout.build.clone(),
                settings: (**settings).clone(),
            });
            desired.save(home, env)?;
        }
        Ok(())
    }

    /// Follows those that were told until they have come so far; `then` others wait for that.
    async fn come(&mut self, until: Until, then: usize) -> Result<Ended, CommandError> {
        let ended = self.watch(Follow::is_ready).await?;
        if then == 0 {
            self.make_current();
        }
        if until == Until::Ready || ended != Ended::Reached || self.follow.is_done() {
            return Ok(ended);
        }
        let (ready, slowest) = self.follow.ready();
        (self.tell)(Event::Trial {
            gateways: self.follow.on_trial(),
            ready,
            ready_ms: millis(slowest),
            trial_ms: millis(self.rollout.limits.trial),
            then,
        });
        self.rollout.lock.says("on trial");
        self.watch(Follow::is_done).await
    }

    async fn watch(&mut self, reached: fn(&Follow) -> bool) -> Result<Ended, CommandError> {
        let rollout = &self.rollout;
        let env = &rollout.environment.name;
        while !reached(&self.follow) {
            let due = self.follow.due().map(|due| self.began + due);
            let view = tokio::select! {
                biased;
                () = rollout.how.stop.cancelled() => return Ok(Ended::Interrupted),
                view = rollout.control.gateways(env, Some(self.seen.version), WAIT) => view?,
                () = sleep_until(self.deadline) => return Ok(Ended::TimeUp),
                () = sleep_until(due.unwrap_or(self.deadline)) => self.seen.clone(),
            };
            for event in self.follow.see(&view, self.began.elapsed()) {
                (self.tell)(event);
            }
            self.seen = view;
        }
        Ok(Ended::Reached)
    }

    /// The gzip archive under its well-known name is made off the path: gateways do not wait
    /// for it, and nobody who watches their trial does.
    fn make_current(&mut self) {
        if self.rollout.scope != Scope::Environment {
            return;
        }
        let store = self.rollout.store.clone();
        let env = self.rollout.environment.name.clone();
        let build = self.rollout.build.clone();
        let make = move || store.make_current(&env, &build);
        self.archive = Some(tokio::task::spawn_blocking(make));
    }

    async fn made_current(&mut self) -> Result<(), CommandError> {
        if let Some(archive) = self.archive.take() {
            let (path, size_bytes) = joined(archive.await)??;
            (self.tell)(Event::Archive { path, size_bytes });
        }
        Ok(())
    }

    fn pins(&self) -> Vec<(u32, Option<Pin>)> {
        let gateways = self.rollout.environment.gateways.iter();
        gateways
            .map(|one| (one.number, one.pinned.clone()))
            .collect()
    }

    /// A gateway that refused the build is not pinned to it: it stays as it was.
    fn take_back_pins(&mut self, before: &[(u32, Option<Pin>)]) -> Result<(), CommandError> {
        if !matches!(self.rollout.scope, Scope::Pin(_)) {
            return Ok(());
        }
        let refused = self.follow.refused();
        let home = &self.rollout.ctx.config.home;
        for (number, pin) in before.iter().filter(|(number, _)| refused.contains(number)) {
            let environment = &mut self.rollout.environment;
            environment.pin(home, &[*number], pin.as_ref())?;
        }
        Ok(())
    }

    /// Removes builds that nobody needs, and writes down what was refused.
    async fn tidy(&self) -> Result<(), CommandError> {
        let rollout = &self.rollout;
        let (home, env) = (&rollout.ctx.config.home, &rollout.environment.name);
        let in_use = said::builds(home, &rollout.environment, rollout.store)?;
        rollout.store.prune(env, KEPT_BUILDS, &in_use)?;
        let now = rollout.control.gateways(env, None, Duration::ZERO).await?;
        remember(rollout.ctx, rollout.store, env, &now)
    }

    fn outcome(self, ended: Ended, left: &[u32]) -> Outcome {
        let elapsed = self.began.elapsed();
        let mut gateways = self.follow.outcomes(ended, elapsed);
        let views = self.seen.gateways.iter();
        let others = views.filter(|view| left.contains(&view.name.number()));
        gateways.extend(others.map(untouched));
        gateways.sort_by_key(|one: &GatewayOutcome| one.gateway.number());
        Outcome {
            ok: gateways.iter().all(|gateway| gateway.verdict.is_good()),
            interrupted: ended == Ended::Interrupted,
            pinned: pinned(&self.rollout.environment),
            env: self.rollout.environment.name,
            build: self.rollout.build,
            seq: self.seq,
            strategy: self.rollout.how.strategy,
            took_ms: millis(self.rollout.how.started.elapsed()),
            gateways,
            seen: Some(self.seen),
        }
    }
}

/// What the application's limits allow: for each stage fetch, three starts in the worst case and a
/// way back; for each trial that is waited for, three of them, since a crash begins it anew.
fn allowed(limits: &Limits, stages: &[Stage]) -> Duration {
    let stage = Duration::from_secs(30)
        + limits.linger
        + limits.drain * 2
        + limits.grace * 2
        + limits.ready * 4;
    let trials = stages.iter().filter(|stage| stage.until == Until::Good);
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let trial = limits.trial.saturating_mul(3);
    stage.saturating_mul(number(stages.len())) + trial.saturating_mul(number(trials.count()))
}

/// Writes down what gateways refuse, before a new statement makes them forget it.
fn remember(
    ctx: &Context,
    store: &Store,
    env: &EnvName,
    view: &GatewaysView,
) -> Result<(), CommandError> {
    let mut refusals = Refusals::load(&ctx.config.home, env)?;
    refusals.see(view);
    refusals.save(&ctx.config.home, env, &store.builds(env)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_is_allowed_covers_every_stage_and_its_trials() {
        let stage = |until| Stage {
            gateways: vec![0],
            until,
        };
        let limits = Limits::default();
        // 30 s, linger 1 s, twice 5 s to drain, twice 10 s of grace, four times 20 s to get ready.
        let once = 30 + 1 + 2 * 5 + 2 * 10 + 4 * 20;
        for (stages, expected) in [
            (vec![stage(Until::Ready)], once),
            (vec![stage(Until::Good)], once + 3 * 30),
            (
                vec![stage(Until::Good), stage(Until::Ready)],
                2 * once + 3 * 30,
            ),
            (
                vec![stage(Until::Good), stage(Until::Good)],
                2 * once + 6 * 30,
            ),
            (vec![stage(Until::Ready); 3], 3 * once),
        ] {
            let allowed = allowed(&limits, &stages);
            assert_eq!(allowed, Duration::from_secs(expected), "{stages:?}");
        }
    }
}
