//! One change of an environment at a time: taking its lock, or waiting for it.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use lockgate_model::EnvName;
use schemars::JsonSchema;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::cli::duration;
use crate::context::{Context, now_ms};
use crate::deploy::clock;
use crate::environment::lock::{DeployLock, Holder, LockError};
use crate::error::CommandError;

/// How long to wait for whoever changes the environment.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct LockArgs {
    /// Wait while somebody else changes the environment, at most TIME where it is given
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = ENDLESS)]
    lock_wait: Option<Patience>,
}

/// How long one waits who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// As long as it takes.
    Endless,
    /// At most so long.
    Within(Duration),
}

/// The flag without a time.
const ENDLESS: &str = "endless";

impl FromStr for Patience {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            ENDLESS => Ok(Self::Endless),
            time => duration(time).map(Self::Within),
        }
    }
}

/// How often a lock is looked at that another process holds.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(200);

impl LockArgs {
    /// Waits as long as it takes.
    pub(crate) const ENDLESS: Self = Self {
        lock_wait: Some(Patience::Endless),
    };

    /// Takes the environment's lock, or says who holds it; waits for it where that is wanted.
    /// `what` is the command's name. Programs get the wait as an event where they get events.
    pub(crate) async fn turn(
        self,
        ctx: &Context,
        env: &EnvName,
        what: &str,
        streams: bool,
    ) -> Result<DeployLock, CommandError> {
        let started = clock();
        let mut told: Option<Option<Holder>> = None;
        loop {
            let error = match DeployLock::take(&ctx.config.home, env, what, now_ms()) {
                Ok(lock) => return Ok(lock),
                Err(error) => error,
            };
            let (LockError::Held { holder, .. }, Some(patience)) = (&error, self.lock_wait) else {
                return Err(error.into());
            };
            match patience {
                Patience::Within(within) if started.elapsed() >= within => {
                    let within = humantime::format_duration(within);
                    let waited = format!("it was waited for {within} in vain");
                    return Err(CommandError::from(error).because_of(waited));
                }
                Patience::Within(_) | Patience::Endless => {}
            }
            if told.as_ref() != Some(holder) {
                told = Some(holder.clone());
                tell(ctx, &error, streams)?;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// The same, unless the command is ended before.
    pub(crate) async fn turn_or_stop(
        self,
        ctx: &Context,
        env: &EnvName,
        what: &str,
        stop: &CancellationToken,
    ) -> Result<DeployLock, CommandError> {
        tokio::select! {
            biased;
            () = stop.cancelled() => {
                Err(CommandError::interrupted("interrupted").hint("nothing was published"))
            }
            lock = self.turn(ctx, env, what, true) => lock,
        }
    }
}

/// What is said before a command has its turn.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Turn {
    /// Another command is at the same environment, and is waited for.
    Waiting {
        /// For whom.
        message: String,
    },
}

/// Says for whom it is waited.
fn tell(ctx: &Context, error: &LockError, streams: bool) -> Result<(), CommandError> {
    if ctx.screen.is_json() {
        let message = error.to_string();
        return if streams {
            ctx.screen.document(&Turn::Waiting { message })
        } else {
            Ok(())
        };
    }
    ctx.screen.say(&format!("waiting: {error}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        lock: LockArgs,
        env: Option<String>,
    }

    #[test]
    fn the_time_to_wait_is_optional_and_never_the_next_word() {
        let minute = Some(Patience::Within(Duration::from_mins(1)));
        let endless = Some(Patience::Endless);
        for (words, wait, env) in [
            (&["dev"][..], None, Some("dev")),
            (&["--lock-wait", "dev"], endless, Some("dev")),
            (&["--lock-wait=1m", "dev"], minute, Some("dev")),
            (&["--lock-wait"], endless, None),
        ] {
            let line = Line::try_parse_from(["x"].iter().chain(words)).unwrap();
            assert_eq!(line.lock.lock_wait, wait, "{words:?}");
            assert_eq!(line.env.as_deref(), env, "{words:?}");
        }
        Line::try_parse_from(["x", "--lock-wait=soon"]).unwrap_err();
    }
}
