//! `lockgate rollback`: the build before, or one of `builds`.

use clap::Args;
use lockgate_builds::store::Publication;
use lockgate_model::{BuildId, EnvName};

use super::deploy::{WaitArgs, stop_on_signals, teller};
use super::outcome::show;
use super::turn::LockArgs;
use crate::context::{Context, now_ms};
use crate::deploy::refusals::Refusals;
use crate::deploy::rollout::{Rollout, Scope};
use crate::deploy::strategy::DeployStrategy;
use crate::deploy::{is_for_all, said};
use crate::environment::Environment;
use crate::environment::desired::Desired;
use crate::environment::publish::What;
use crate::error::CommandError;
use crate::views::progress::Progress;

/// Bring back the build before, or one of `builds`
#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// The environment
    #[arg(value_name = "ENV")]
    named: Option<EnvName>,
    /// The build, or the first digits of its name; where none is given the one before, refused
    /// ones left out, or the environment's own where a deploy did not reach every gateway
    build: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    lock: LockArgs,
}

/// Publishes an old build under a new number, with the settings of today, to all gateways at once.
pub(crate) async fn rollback(args: RollbackArgs, ctx: &Context) -> Result<(), CommandError> {
    let stop = stop_on_signals()?;
    let how = args.wait.how(DeployStrategy::All, &stop);
    let environment = ctx.environment(args.named.as_ref())?;
    let (control, _) = ctx.server().await?;
    let (home, env) = (&ctx.config.home, &environment.name);
    let store = ctx.store()?;
    let mut lock = args.lock.turn_or_stop(ctx, env, "rollback", &stop).await?;
    let environment = Environment::load(home, env)?;
    let history = store.publications(env)?;
    let builds = store.builds(env)?;
    let desired = said::desired(home, &environment, &store)?;
    let (refusals, _) = Refusals::known(home, env, Some(&control)).await?;
    let known = Known {
        desired: &desired,
        history: &history,
        builds: &builds,
        refused: &|build: &BuildId| refusals.reason(build).is_some(),
    };
    let target = known.choose(args.build.as_deref()).map_err(|why| {
        CommandError::failed(format!("environment `{env}`: {why}"))
            .hint(format!("`lockgate builds {env}` shows what there is"))
    })?;
    ctx.screen.say(&format!("rolling back to build {target}"));
    let settings = match &desired.whole {
        Some(whole) => whole.settings.clone(),
        None => said::newest(&environment, &store)?.settings,
    };
    let rollout = Rollout {
        ctx,
        control: &control,
        store: &store,
        lock: &mut lock,
        environment,
        line: Some(publication(ctx, &target, &history)),
        limits: settings.limits.clone(),
        what: What::Run {
            build: target.clone(),
            settings: Box::new(settings),
            restart: false,
        },
        build: target,
        scope: Scope::Environment,
        how,
    };
    let mut progress = Progress::new(ctx.screen);
    let outcome = rollout.run(&mut teller(&mut progress)).await?;
    show(progress, &outcome)
}

/// The history's line: what was known of the build when it was published first.
fn publication(ctx: &Context, build: &BuildId, history: &[Publication]) -> Publication {
    let known = history
        .iter()
        .rev()
        .find(|publication| publication.build == *build);
    Publication {
        build: build.clone(),
        at: now_ms(),
        commit: known.and_then(|known| known.commit.clone()),
        branch: known.and_then(|known| known.branch.clone()),
        dirty: known.and_then(|known| known.dirty),
        by: ctx.config.caller.clone(),
        validated: known.is_some_and(|known| known.validated),
        action: "rollback".to_owned(),
    }
}

/// What the choice of a build depends on.
struct Known<'a> {
    desired: &'a Desired,
    history: &'a [Publication],
    builds: &'a [BuildId],
    refused: &'a dyn Fn(&BuildId) -> bool,
}

impl Known<'_> {
    /// The build that is meant: the one named, else the one before.
    fn choose(&self, named: Option<&str>) -> Result<BuildId, String> {
        let Some(named) = named else {
            return self.before();
        };
        let matching: Vec<_> = self
            .builds
            .iter()
            .filter(|build| build.as_str().starts_with(named))
            .collect();
        match matching.as_slice() {
            [only] => Ok((*only).clone()),
            [] => Err(format!("there is no build `{named}`")),
            several => Err(format!("`{named}` may be each of {} builds", several.len())),
        }
    }

    /// What every gateway ran before a deploy that did not reach all of them; else the last
    /// that was published to all before the current one, and is not refused.
    fn before(&self) -> Result<BuildId, String> {
        let history: Vec<_> = self
            .history
            .iter()
            .filter(|line| is_for_all(line))
            .collect();
        let last = history.last().map(|line| &line.build);
        let whole = self.desired.whole.as_ref().map(|whole| &whole.build);
        let current = whole.or(last).ok_or("nothing was deployed yet")?;
        if self.desired.begun.is_some() && whole.is_some() {
            return Ok(current.clone());
        }
        let at = history.iter().rposition(|line| line.build == *current);
        let earlier = history.iter().take(at.unwrap_or(history.len())).rev();
        earlier
            .map(|line| &line.build)
            .find(|build| {
                *build != current && self.builds.contains(build) && !(self.refused)(build)
            })
            .cloned()
            .ok_or_else(|| "there is no good build before the current one".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::desired::{Begun, Whole};
    use lockgate_model::AppSettings;

    fn build(digit: char) -> BuildId {
        BuildId::parse(&digit.to_string().repeat(12)).unwrap()
    }

    fn whole(digit: char) -> Desired {
        Desired {
            whole: Some(Whole {
                build: build(digit),
                settings: AppSettings::default(),
            }),
            begun: None,
        }
    }

    fn check(named: Option<&str>, history: &str, stored: &str, expected: Result<char, &str>) {
        check_refused(named, history, stored, "", expected);
    }

    fn check_refused(
        named: Option<&str>,
        history: &str,
        stored: &str,
        refused: &str,
        expected: Result<char, &str>,
    ) {
        let desired = history.chars().last().map(whole).unwrap_or_default();
        check_desired(&desired, named, (history, stored, refused), expected);
    }

    /// A capital letter in the history is a build that only some gateways were pinned to.
    fn check_desired(
        desired: &Desired,
        named: Option<&str>,
        (history, stored, refused): (&str, &str, &str),
        expected: Result<char, &str>,
    ) {
        let publication = |digit: char| Publication {
            build: build(digit.to_ascii_lowercase()),
            at: 0,
            commit: None,
            branch: None,
            dirty: None,
            by: String::new(),
            validated: true,
            action: if digit.is_uppercase() {
                "pin 1"
            } else {
                "deploy"
            }
            .to_owned(),
        };
        let history: Vec<_> = history.chars().map(publication).collect();
        let stored: Vec<_> = stored.chars().map(build).collect();
        let known = Known {
            desired,
            history: &history,
            builds: &stored,
            refused: &|name: &BuildId| refused.chars().any(|digit| build(digit) == *name),
        };
        let found = known.choose(named);
        assert_eq!(found, expected.map(build).map_err(str::to_owned));
    }

    #[test]
    fn what_only_pinned_gateways_got_is_no_build_to_go_back_to() {
        check_desired(&whole('b'), None, ("abC", "abc", ""), Ok('a'));
        check_desired(&whole('b'), None, ("aCb", "abc", ""), Ok('a'));
        check_desired(&whole('b'), Some("c"), ("abC", "abc", ""), Ok('c'));
    }

    #[test]
    fn a_deploy_that_did_not_reach_all_gateways_is_undone() {
        let begun = Desired {
            begun: Some(Begun {
                build: build('c'),
                seq: 3,
                strategy: DeployStrategy::Rolling,
                at: 0,
                by: String::new(),
            }),
            ..whole('b')
        };
        check_desired(&begun, None, ("abc", "abc", ""), Ok('b'));
        // Then the build before that one, whatever was tried in between.
        check_desired(&whole('b'), None, ("abcb", "abc", "c"), Ok('a'));
    }

    #[test]
    fn the_build_before_is_the_last_one_that_differs() {
        check(None, "ab", "ab", Ok('a'));
        check(None, "abb", "ab", Ok('a'));
        check(None, "aba", "ab", Ok('b'));
        check(None, "cab", "cb", Ok('c'));
        check(None, "", "a", Err("nothing was deployed yet"));
        check(
            None,
            "aa",
            "a",
            Err("there is no good build before the current one"),
        );
    }

    #[test]
    fn a_refused_build_is_gone_back_to_only_by_name() {
        check_refused(None, "abc", "abc", "bc", Ok('a'));
        check_refused(None, "abc", "abc", "b", Ok('a'));
        check_refused(
            None,
            "ab",
            "ab",
            "a",
            Err("there is no good build before the current one"),
        );
        check_refused(Some("bb"), "abc", "abc", "bc", Ok('b'));
    }

    #[test]
    fn a_build_is_named_by_its_first_digits() {
        check(Some("cc"), "ab", "abc", Ok('c'));
        check(Some("d"), "ab", "abc", Err("there is no build `d`"));
        check(Some(""), "ab", "abc", Err("`` may be each of 3 builds"));
    }
}
