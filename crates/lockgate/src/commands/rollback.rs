//! `lockgate rollback`: the build before, or one of `builds`.

use std::time::Duration;

use clap::Args;
use lockgate_builds::store::Publication;
use lockgate_model::{BuildId, EnvName};

use super::deploy::{allowed, show, teller};
use crate::cli::duration;
use crate::context::{Context, now_ms};
use crate::deploy::refusals::Refusals;
use crate::deploy::{Run, clock, publish_and_follow, said};
use crate::environment::lock::DeployLock;
use crate::environment::publish::Publish;
use crate::error::CommandError;
use crate::views::progress::Progress;

/// Bring back the build before, or one of `builds`
#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// The environment
    #[arg(value_name = "ENV")]
    named: Option<EnvName>,
    /// The build, or the first digits of its name; where none is given the one before, refused
    /// ones left out
    build: Option<String>,
    /// How long the gateways may take [default: what the application's limits allow]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
}

/// Publishes an old build under a new number, with the settings of today.
pub(crate) async fn rollback(args: RollbackArgs, ctx: &Context) -> Result<(), CommandError> {
    let started = clock();
    let environment = ctx.environment(args.named.as_ref())?;
    let (control, _) = ctx.server().await?;
    let env = &environment.name;
    let store = ctx.store()?;
    let _lock = DeployLock::take(&ctx.config.home, env, "rollback", now_ms())?;
    let history = store.publications(env)?;
    let builds = store.builds(env)?;
    let (refusals, _) = Refusals::known(&ctx.config.home, env, Some(&control)).await?;
    let refused = |build: &BuildId| refusals.reason(build).is_some();
    let target = choose(args.build.as_deref(), &history, &builds, &refused).map_err(|why| {
        CommandError::failed(format!("environment `{env}`: {why}"))
            .hint(format!("`lockgate builds {env}` shows what there is"))
    })?;
    ctx.screen.say(&format!("rolling back to build {target}"));
    let settings = said::newest(&environment, &store)?.settings;
    let run = Run {
        environment: &environment,
        within: args.timeout.unwrap_or_else(|| allowed(&settings)),
        started,
    };
    let what = Publish {
        publication: Some(publication(ctx, &target, &history)),
        build: target,
        settings,
        gateways: None,
        restart: false,
    };
    let mut progress = Progress::new(ctx.screen);
    let outcome = publish_and_follow(
        ctx,
        &control,
        &store,
        &what,
        run,
        &mut teller(&mut progress),
    )
    .await?;
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

/// The build that is meant: the one named, else the last published one that is neither the
/// current nor refused.
fn choose(
    named: Option<&str>,
    history: &[Publication],
    builds: &[BuildId],
    refused: &dyn Fn(&BuildId) -> bool,
) -> Result<BuildId, String> {
    let Some(named) = named else {
        let current = history.last().ok_or("nothing was deployed yet")?;
        return history
            .iter()
            .rev()
            .map(|publication| &publication.build)
            .find(|build| **build != current.build && builds.contains(build) && !refused(build))
            .cloned()
            .ok_or_else(|| "there is no good build before the current one".to_owned());
    };
    let matching: Vec<_> = builds
        .iter()
        .filter(|build| build.as_str().starts_with(named))
        .collect();
    match matching.as_slice() {
        [only] => Ok((*only).clone()),
        [] => Err(format!("there is no build `{named}`")),
        several => Err(format!("`{named}` may be each of {} builds", several.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(digit: char) -> BuildId {
        BuildId::parse(&digit.to_string().repeat(12)).unwrap()
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
        let publication = |digit| Publication {
            build: build(digit),
            at: 0,
            commit: None,
            branch: None,
            dirty: None,
            by: String::new(),
            validated: true,
            action: "deploy".to_owned(),
        };
        let history: Vec<_> = history.chars().map(publication).collect();
        let stored: Vec<_> = stored.chars().map(build).collect();
        let refused = |name: &BuildId| refused.chars().any(|digit| build(digit) == *name);
        let found = choose(named, &history, &stored, &refused);
        assert_eq!(found, expected.map(build).map_err(str::to_owned));
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
