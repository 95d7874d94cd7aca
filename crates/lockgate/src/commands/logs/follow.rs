//! Goes on with what comes, of all gateways and services that there are and that are made later.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd as _;
use std::task::Poll;
use std::time::{Duration, Instant};

use lockgate_model::{EnvName, LogEvent, LogLine};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use super::order::{Clock, Hold};
use super::show::Show;
use super::source::{Reading, Source};
use super::whose::{Whose, chosen};
use crate::context::Context;
use crate::environment::{Environment, EnvironmentError};
use crate::error::CommandError;

/// How often it is looked whether gateways were made, and whether somebody still reads.
const LOOK: Duration = Duration::from_millis(500);

/// What is being followed.
pub(super) struct Following<'a> {
    ctx: &'a Context,
    /// The environment of which everything is followed, where nothing was named.
    all_of: Option<EnvName>,
    /// Whether it has been deleted.
    gone: bool,
    /// Those that were found.
    known: BTreeSet<Whose>,
    /// How those are read that are made later.
    anew: Reading,
    sources: Vec<(Source, Clock)>,
    hold: Hold<(Whose, LogLine)>,
    show: Show,
}

impl<'a> Following<'a> {
    pub(super) fn new(
        ctx: &'a Context,
        all_of: Option<EnvName>,
        sources: Vec<Source>,
        show: Show,
    ) -> Self {
        let mut hold = Hold::default();
        hold.wait_for_others(sources.len() > 1);
        Self {
            ctx,
            all_of,
            gone: false,
            known: sources.iter().map(|source| source.whose.clone()).collect(),
            anew: Reading::follow(),
            sources: sources
                .into_iter()
                .map(|source| (source, Clock::default()))
                .collect(),
            hold,
            show,
        }
    }

    /// Shows what comes, until nobody reads it or nothing can come any more.
    pub(super) async fn run(mut self) -> Result<(), CommandError> {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Skip);
        for turn in 0.. {
            let due = self.hold.due();
            let until = due.unwrap_or_else(now).into();
            tokio::select! {
                (at, event) = next(&mut self.sources, turn) => self.take(at, event).await?,
                () = sleep_until(until), if due.is_some() => self.print()?,
                _ = look.tick() => self.look()?,
            }
        }
        Ok(())
    }
}

/// The next thing that any of them says, each in its turn; `None` at its end.
async fn next(sources: &mut [(Source, Clock)], turn: usize) -> (usize, Option<LogEvent>) {
    let count = sources.len();
    poll_fn(|cx| {
        for at in (0..count).map(|at| (at + turn) % count) {
            if let Some((source, _)) = sources.get_mut(at)
                && let Poll::Ready(event) = source.told.poll_recv(cx)
            {
                return Poll::Ready((at, event));
            }
        }
        Poll::Pending
    })
    .await
}

impl Following<'_> {
    async fn take(&mut self, at: usize, event: Option<LogEvent>) -> Result<(), CommandError> {
        match event {
            Some(LogEvent::Told { .. }) => Ok(()),
            Some(LogEvent::Line(line)) => {
                if let Some((source, clock)) = self.sources.get_mut(at) {
                    let place = clock.place(&line);
                    self.hold.push(place, (source.whose.clone(), line), now());
                }
                Ok(())
            }
            None => self.give_up(at).await,
        }
    }

    /// A reader has ended, which it does by itself only when something is wrong.
    async fn give_up(&mut self, at: usize) -> Result<(), CommandError> {
        let (source, _) = self.sources.swap_remove(at);
        let name = source.whose.clone();
        source.ended_well().await;
        if self.sources.is_empty() {
            return Err(CommandError::failed(format!(
                "the reader of {name}'s log has ended"
            )));
        }
        let screen = &self.ctx.screen;
        screen.warn(&format!(
            "{name} is not followed any more: its log's reader has ended"
        ));
        Ok(())
    }

    fn print(&mut self) -> Result<(), CommandError> {
        for (whose, line) in self.hold.release(now()) {
            self.show.line(&whose, &line)?;
        }
        self.show.flush()
    }

    /// Looks whether there are more of them, and whether somebody still reads.
    fn look(&mut self) -> Result<(), CommandError> {
        if nobody_reads() {
            return Err(CommandError::said());
        }
        let Some(env) = &self.all_of else {
            return Ok(());
        };
        let environment = match Environment::load(&self.ctx.config.home, env) {
            Ok(environment) => environment,
            Err(EnvironmentError::Unknown { .. }) => {
                if !std::mem::replace(&mut self.gone, true) {
                    let screen = &self.ctx.screen;
                    screen.say(&format!(
                        "{env} was deleted; waiting for it to be created again"
                    ));
                }
                return Ok(());
            }
            // It is being written, and looked at again soon.
            Err(_) => return Ok(()),
        };
        self.gone = false;
        for whose in chosen(&environment, None) {
            if self.known.insert(whose.clone()) {
                self.show.widen(std::slice::from_ref(&whose));
                let source = Source::start(&self.anew, self.ctx, whose, environment.runtime)?;
                self.sources.push((source, Clock::default()));
                self.hold.wait_for_others(self.sources.len() > 1);
            }
        }
        Ok(())
    }
}

/// Whether the pipe or terminal on stdout has lost its other end.
fn nobody_reads() -> bool {
    let stdout = io::stdout();
    let mut asked = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    poll(&mut asked, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long lines are held is counted here"
)]
fn now() -> Instant {
    Instant::now()
}
