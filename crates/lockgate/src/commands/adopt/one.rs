//! One gateway: its old container put aside, the gateway made and awaited, or the container brought
//! back.

use std::time::Duration;

use lockgate_model::GatewayName;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::{Instant, sleep_until};

use super::run::Work;
use super::undo::Back;
use crate::adoption::kept::{AllKept, Kept};
use crate::adoption::plan::Planned;
use crate::adoption::steps;
use crate::context::now_ms;
use crate::deploy::events::{Event, Outcome};
use crate::deploy::rollout::{Rollout, Scope};
use crate::deploy::strategy::DeployStrategy;
use crate::environment::Environment;
use crate::environment::publish::What;
use crate::error::CommandError;
use crate::runtime::docker::found::aside;
use crate::server::control::ControlClient;
use crate::views::outcome::refusals;
use crate::views::progress::Progress;
use crate::views::text;

/// How long a container may fail to be made or to run before its gateway is given up; nothing
/// answers meanwhile.
const HOPELESS: Duration = Duration::from_secs(20);
/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is told of each gateway.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Step {
    /// Its container of before is stopped and put aside.
    Adopting(Which),
    /// It is adopted.
    Adopted(Which),
    /// The container of before is started again.
    BroughtBack(Which),
}

/// A gateway and its container of before.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Which {
    /// The gateway.
    gateway: GatewayName,
    /// The container's id.
    container_id: String,
}

/// A gateway that was not adopted.
pub(super) struct Failed {
    /// Why.
    pub(super) error: CommandError,
    /// What stands in its place.
    pub(super) stands: Stands,
}

/// What stands in the place of a gateway that was not adopted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stands {
    /// The container of before; nothing was done to it.
    Untouched,
    /// The container of before, started again.
    Back,
    /// Something else.
    Unknown,
}

impl Failed {
    /// Nothing was done yet.
    pub(super) fn before(error: CommandError) -> Self {
        Self {
            error,
            stands: Stands::Untouched,
        }
    }
}

impl Work<'_> {
    /// Adopts one gateway, or brings its container back.
    pub(super) async fn adopt(&mut self, one: &Planned) -> Result<(), Failed> {
        let kept = self.keep(one).map_err(Failed::before)?;
        self.tell(one, Step::Adopting, "is stopped and put aside");
        let Err(error) = self.take_over(one, &kept).await else {
            self.tell(one, Step::Adopted, "is adopted");
            return Ok(());
        };
        let back = Back {
            ctx: self.ctx,
            engine: self.engine,
            control: Some(self.control),
            env: &self.args.named,
        };
        match back.bring(&one.gateway, &kept).await {
            Ok(()) => {
                self.tell(one, Step::BroughtBack, "is the container of before again");
                let name = &one.gateway;
                Err(Failed {
                    error: error.hint(format!(
                        "the container of before is started again as `{name}`"
                    )),
                    stands: Stands::Back,
                })
            }
            Err(why) => Err(Failed {
                error: error
                    .because_of(format!(
                        "its container of before was not brought back: {why}"
                    ))
                    .hint(by_hand(one, &kept)),
                stands: Stands::Unknown,
            }),
        }
    }

    /// Writes down how it was, before anything is done.
    fn keep(&self, one: &Planned) -> Result<Kept, CommandError> {
        let (home, env) = (&self.ctx.config.home, &self.args.named);
        let kept = Kept {
            id: one.container.clone(),
            image: one.image.clone(),
            restart: one.restart.clone(),
            running: one.running,
            since: now_ms(),
        };
        let mut all = AllKept::load(home, env)?;
        all.keep(one.gateway.number(), kept.clone());
        all.save(home, env)?;
        Ok(kept)
    }

    /// Stops the old container, wants the gateway, and follows it as far as is waited for.
    async fn take_over(&mut self, one: &Planned, kept: &Kept) -> Result<(), CommandError> {
        steps::put_aside(self.engine, &one.gateway, kept)
            .await
            .map_err(|error| error.told())?;
        let (home, env) = (&self.ctx.config.home, &self.args.named);
        let number = one.gateway.number();
        let mut environment = Environment::load(home, env)?;
        environment.enable(home, Some(number), true)?;
        let mut progress = Progress::new(self.ctx.screen);
        let mut tell = |event: Event| match &event {
            // What a deploy says of Ctrl-C there is not what it does here.
            Event::Trial { trial_ms, .. } if !self.ctx.screen.is_json() => {
                let trial = text::span(Duration::from_millis(*trial_ms));
                progress.say(&format!(
                    "{} is ready and on trial for {trial}; Ctrl-C brings the container of before back",
                    one.gateway
                ));
            }
            _ => progress.tell(&event),
        };
        let rollout = Rollout {
            ctx: self.ctx,
            control: self.control,
            store: &self.store,
            lock: &mut self.lock,
            environment,
            build: self.whole.build.clone(),
            limits: self.whole.settings.limits.clone(),
            what: What::Run {
                build: self.whole.build.clone(),
                settings: Box::new(self.whole.settings.clone()),
                restart: false,
            },
            scope: Scope::Join(vec![number]),
            line: None,
            how: self.args.wait.how(DeployStrategy::All, self.stop),
        };
        let outcome = tokio::select! {
            outcome = rollout.run(&mut tell) => outcome?,
            hopeless = hopeless(self.control, &one.gateway) => return Err(hopeless),
        };
        drop(progress);
        self.judge(&one.gateway, &outcome)
    }

    /// Makes an error of a gateway that is not ready, and shows what it said last: its container goes.
    fn judge(&self, gateway: &GatewayName, outcome: &Outcome) -> Result<(), CommandError> {
        if outcome.interrupted {
            let error = format!("interrupted before `{gateway}` was adopted");
            return Err(CommandError::interrupted(error));
        }
        if outcome.ok {
            return Ok(());
        }
        for text in refusals(outcome, self.ctx.screen.err) {
            self.ctx.screen.say(&text);
        }
        let build = &outcome.build;
        Err(CommandError::failed(format!(
            "`{gateway}` does not run build `{build}` as a gateway of Lockgate"
        )))
    }

    fn tell(&self, one: &Planned, step: fn(Which) -> Step, text: &str) {
        if self.ctx.screen.is_json() {
            // A reader that went away ends the command when the result is printed.
            let _ = self.ctx.screen.document(&step(Which {
                gateway: one.gateway.clone(),
                container_id: one.container.clone(),
            }));
        } else {
            self.ctx.screen.say(&format!("{} {text}", one.gateway));
        }
    }
}

/// Returns when a gateway's container cannot be made, or does not run, for too long.
async fn hopeless(control: &ControlClient, gateway: &GatewayName) -> CommandError {
    let mut since: Option<Instant> = None;
    loop {
        let view = control
            .gateways(&gateway.env(), None, Duration::ZERO)
            .await
            .ok();
        let gateways = view.into_iter().flat_map(|view| view.gateways);
        let problem = gateways
            .filter(|one| one.name == *gateway && one.report.is_none())
            .find_map(|one| one.agent_problem);
        let now = Instant::now();
        // Between two starts one that ends at once looks as if it ran.
        if let Some(problem) = problem {
            let since = *since.get_or_insert(now);
            if now.duration_since(since) >= HOPELESS {
                return CommandError::failed(format!("the container of `{gateway}` does not run"))
                    .because_of(problem);
            }
        }
        sleep_until(now + LOOK_EVERY).await;
    }
}

/// The way back for people, where this program did not get there.
fn by_hand(one: &Planned, kept: &Kept) -> String {
    let (gateway, env) = (&one.gateway, one.gateway.env());
    let number = gateway.number();
    let id: String = kept.id.chars().take(12).collect();
    format!(
        "`lockgate adopt {env} --undo --gateway {number}` tries again; by hand it is \
         `lockgate stop {env} {number}`, `docker rm {gateway}`, `docker rename {} {gateway}`, `docker start {id}`",
        aside(gateway),
    )
}
