//! Everything that is to be known before a container is touched.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_builds::store::Publication;
use lockgate_model::{BuildId, EnvName};

use super::AdoptArgs;
use crate::adoption::kept::AllKept;
use crate::adoption::plan::{Asked, Known, Plan, plan};
use crate::adoption::source::{self, Source};
use crate::commands::checkout::checkout;
use crate::context::{Context, now_ms};
use crate::deploy::said;
use crate::environment::create::CreateError;
use crate::environment::desired::Whole;
use crate::environment::docker::{DockerSettings, Publish};
use crate::environment::ports::PortsLease;
use crate::environment::{Environment, EnvironmentError};
use crate::error::CommandError;
use crate::runtime::docker::check::{CheckError, check};
use crate::runtime::docker::engine::{Engine, EngineError};
use crate::runtime::docker::found::{Found, Place, find};
use crate::workspace::{Resolved, Workspace};

/// What was found, and what is going to be done.
pub(super) struct Look {
    pub(super) plan: Plan,
    /// Where it is there already.
    pub(super) environment: Option<Environment>,
    pub(super) workspace: Workspace,
    pub(super) docker: DockerSettings,
    /// What gateways will run; there where any is adopted.
    pub(super) whole: Option<Whole>,
    /// The line in the history that tells of it.
    pub(super) line: Option<Publication>,
}

/// Looks at engine, home and workspace. All that is in the way is one error, and nothing is changed.
pub(super) async fn look(
    args: &AdoptArgs,
    ctx: &Context,
    engine: &Engine,
    only: &BTreeSet<u32>,
) -> Result<Look, CommandError> {
    let (env, home) = (&args.named, &ctx.config.home);
    let environment = match Environment::load(home, env) {
        Ok(environment) => Some(environment),
        Err(EnvironmentError::Unknown { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let given = args.workspace.as_deref();
    let workspace = match &environment {
        Some(environment) => checkout(ctx, environment, given)?,
        None => ctx.workspace(given)?,
    };
    let resolved = workspace.resolve(env)?;
    let docker = match &environment {
        Some(environment) => environment.docker.clone().unwrap_or_default(),
        None => resolved.docker.clone(),
    };
    let lacks: Vec<String> = check(&ctx.config.engine, &docker)
        .await
        .err()
        .map(|error| lack(&error))
        .into_iter()
        .collect();
    home.prepare().map_err(CreateError::Home)?;
    let id = home.id().map_err(CreateError::Home)?;
    let lease = PortsLease::take(home).map_err(|source| CreateError::Ports {
        env: env.clone(),
        source,
    })?;
    let taken = lease.taken(env);
    drop(lease);
    let whole = whole(args, ctx, environment.as_ref(), &resolved)?;
    let found = find(engine, env).await.map_err(|error| error.told())?;
    let sources = sources(engine, env, &found)
        .await
        .map_err(|error| error.told())?;
    let asked = Asked {
        env,
        only,
        domain: args.domain.as_deref(),
    };
    let known = Known {
        environment: environment.as_ref(),
        home: &id,
        taken: &taken,
        kept: &AllKept::load(home, env)?,
        told: &told(ctx, environment.as_ref())?,
        sources: &sources,
        build: whole.as_ref().map(|whole| &whole.build),
        publishes_all: docker.publish == Publish::All,
        network: docker.network(),
        lacks: &lacks,
    };
    let plan = plan(asked, &known, &found).map_err(|problems| in_the_way(args, &problems))?;
    Ok(Look {
        plan,
        environment,
        workspace,
        docker,
        line: whole.as_ref().map(|whole| line(ctx, &whole.build, &found)),
        whole,
    })
}

fn in_the_way(args: &AdoptArgs, problems: &[String]) -> CommandError {
    let env = &args.named;
    let all: Vec<String> = problems.iter().map(|one| format!("- {one}")).collect();
    CommandError::failed(format!(
        "the containers of `{env}` cannot be adopted as they are, and nothing was changed\n{}",
        all.join("\n")
    ))
}

/// Whether running containers would find a build again, by their id.
async fn sources(
    engine: &Engine,
    env: &EnvName,
    found: &[Found],
) -> Result<BTreeMap<String, Source>, EngineError> {
    let mut sources = BTreeMap::new();
    for one in found {
        if one.running && one.home.is_none() && matches!(one.place, Place::Gateway(_)) {
            sources.insert(one.id.clone(), source::ask(engine, env, one).await?);
        }
    }
    Ok(sources)
}

/// The gateways to which something was said.
fn told(ctx: &Context, environment: Option<&Environment>) -> Result<BTreeSet<u32>, CommandError> {
    let Some(environment) = environment else {
        return Ok(BTreeSet::new());
    };
    let all: Vec<u32> = environment.gateways.iter().map(|one| one.number).collect();
    let told = said::told(environment, &all, &ctx.store()?)?;
    Ok(told.iter().map(|one| one.gateway.number()).collect())
}

/// What the engine lacks, in a sentence with what to do.
fn lack(error: &CheckError) -> String {
    match error {
        CheckError::NoImage { image, .. } => {
            format!("{error}: `lockgate image build --tag {image}` makes it")
        }
        CheckError::Address(source) => source.to_string(),
        CheckError::Engine(source) => source.in_one_line(),
    }
}

/// What adopted gateways run: the environment's build; where no gateway runs one yet, what was packed
/// last, since the containers run that.
fn whole(
    args: &AdoptArgs,
    ctx: &Context,
    environment: Option<&Environment>,
    resolved: &Resolved,
) -> Result<Option<Whole>, CommandError> {
    let store = ctx.store()?;
    let runs = environment.filter(|it| it.gateways.iter().any(|one| one.enabled));
    if let Some(environment) = runs
        && let Some(whole) = said::desired(&ctx.config.home, environment, &store)?.whole
    {
        return Ok(Some(whole));
    }
    let packed = store.current(&args.named)?;
    Ok(packed.map(|build| Whole {
        build,
        settings: resolved.app.clone(),
    }))
}

/// What the history says of it, as far as `BUILD_INFO.txt` in a container does.
fn line(ctx: &Context, build: &BuildId, found: &[Found]) -> Publication {
    let has = |one: &&Found| one.build() == Some(build.as_str());
    let from = found.iter().find(has);
    let text = |key| from.and_then(|one| one.says(key)).map(str::to_owned);
    let yes = |key| from.and_then(|one| one.says(key)).map(|said| said == "yes");
    Publication {
        build: build.clone(),
        at: now_ms(),
        commit: text("Commit"),
        branch: text("Branch"),
        dirty: yes("Dirty"),
        by: ctx.config.caller.clone(),
        validated: yes("Validated").unwrap_or_default(),
        action: "adopt".to_owned(),
    }
}
