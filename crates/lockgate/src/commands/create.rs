//! `lockgate create`: a new environment with its gateways.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use lockgate_builds::validate::{BundleReport, render};
use lockgate_model::{EnvName, GatewayName, ServiceName};
use schemars::JsonSchema;
use serde::Serialize;

use super::deploy::stop_on_signals;
use crate::context::{Context, now_ms};
use crate::deploy::{self, prepare};
use crate::environment::admit::Registered;
use crate::environment::create::{Draft, Wanted};
use crate::environment::docker::DockerSettings;
use crate::environment::registration::Registration;
use crate::environment::{Environment, RuntimeKind, front, services};
use crate::error::CommandError;
use crate::names;
use crate::runtime::docker::check::check;
use crate::views::findings::painted;
use crate::views::text;
use crate::workspace::Workspace;

/// Make an environment: ports, keys and gateways
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Its name, such as dev-001
    #[arg(value_name = "ENV")]
    named: EnvName,
    /// The domain its gateways serve [default: ENV.localhost]
    domain: Option<String>,
    /// The checkout it is deployed from; the one around the current folder where none is given
    workspace: Option<PathBuf>,
    /// How many gateways
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    gateways: u32,
    /// Where they run: `local`, as child processes of `lockgate serve`; `docker`, in containers
    #[arg(long, value_enum, default_value_t = RuntimeName::Local, hide_possible_values = true)]
    runtime: RuntimeName,
}

/// A runtime as it is named on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RuntimeName {
    /// Child processes of the server.
    Local,
    /// Containers.
    Docker,
}

impl RuntimeName {
    /// What it is called elsewhere.
    pub(crate) fn kind(self) -> RuntimeKind {
        match self {
            Self::Local => RuntimeKind::Local,
            Self::Docker => RuntimeKind::Docker,
        }
    }
}

/// What containers of a workspace's environment are made from. Refused here where the engine could
/// not make them: afterwards there would be an environment that cannot run.
pub(crate) async fn docker_settings(
    ctx: &Context,
    workspace: &Workspace,
    env: &EnvName,
    runtime: RuntimeKind,
) -> Result<DockerSettings, CommandError> {
    if runtime == RuntimeKind::Local {
        return Ok(DockerSettings::default());
    }
    let settings = workspace.resolve(env)?.docker;
    check(&ctx.config.engine, &settings).await?;
    Ok(settings)
}

/// Makes the environment; a running server starts its gateways.
pub(crate) async fn create(args: CreateArgs, ctx: &Context) -> Result<(), CommandError> {
    let workspace = ctx.workspace(args.workspace.as_deref())?;
    let runtime = args.runtime.kind();
    let docker = docker_settings(ctx, &workspace, &args.named, runtime).await?;
    let wanted = Wanted {
        name: args.named,
        domain: args.domain,
        workspace: workspace.root().to_owned(),
        gateways: args.gateways,
        runtime,
        docker,
    };
    let stop = stop_on_signals()?;
    let environment = tokio::select! {
        made = make(ctx, &wanted, &workspace) => made?,
        // Only a command that registers is waited for, and that is before anything is made.
        () = stop.cancelled() => {
            return Err(CommandError::interrupted("interrupted").hint("nothing was made"));
        }
    };
    if let Some(text) = names::warning(&environment.domain) {
        ctx.screen.warn(&text);
    }
    let told = ctx.tell_server(&environment.name).await?;
    let found = found(ctx, &workspace, &environment).await?;
    if ctx.screen.is_json() {
        return ctx.screen.document(&Created {
            environment: described(&environment),
            server_runs: told,
            validation: found.map(|bundles| Validation {
                clean: is_clean(&bundles),
                bundles,
            }),
        });
    }
    let name = &environment.name;
    ctx.screen.data(&format!(
        "created {name} with {} for {}\n",
        text::count(environment.gateways.len(), "gateway"),
        environment.workspace.display()
    ))?;
    for gateway in &environment.gateways {
        ctx.screen.say(&format!(
            "  {}  {}",
            environment.gateway_name(gateway),
            super::urls::direct(gateway)
        ));
    }
    for service in &environment.services {
        ctx.screen.say(&format!("  {}  service", service.name));
    }
    show_found(ctx, found.as_deref());
    let all = Environment::list(&ctx.config.home)?;
    if let Some(first) = front::before(&environment, &all) {
        ctx.screen.warn(&front::shares(&environment, first));
    }
    let serve = if told {
        ""
    } else {
        "`lockgate serve --detach`, then "
    };
    ctx.screen
        .say(&format!("\nNext: {serve}`lockgate deploy {name}`."));
    Ok(())
}

/// Makes the environment, its gateways registered where the workspace says how.
pub(super) async fn make(
    ctx: &Context,
    wanted: &Wanted,
    workspace: &Workspace,
) -> Result<Environment, CommandError> {
    let home = &ctx.config.home;
    let resolved = workspace.resolve(&wanted.name)?;
    let mut draft = Draft::begin(home, wanted, now_ms())?;
    draft.services(services::describe(
        home,
        draft.environment(),
        &resolved.services,
    )?);
    draft.front(resolved.front);
    draft.vpn(resolved.vpn);
    if let Some(registration) = resolved.registration {
        let registered = register(&registration, draft.environment()).await?;
        draft.registered(registered);
    }
    Ok(draft.finish(home, &ctx.store()?)?)
}

/// Registers all gateways, one after the other. What the platform knows already when one fails
/// is said, since nobody here can take it back.
async fn register(
    registration: &Registration,
    environment: &Environment,
) -> Result<Vec<Registered>, CommandError> {
    let mut all: Vec<Registered> = Vec::new();
    for gateway in &environment.gateways {
        match registration.register(environment, gateway).await {
            Ok(registered) => all.push(registered),
            Err(error) => {
                let error = CommandError::from(error).hint("nothing was made");
                let ids: Vec<&str> = all.iter().map(|one| one.gateway_id.as_str()).collect();
                return Err(if ids.is_empty() {
                    error
                } else {
                    error.hint(format!(
                        "the platform knows gateways by now that nobody uses: {}",
                        ids.join(", ")
                    ))
                });
            }
        }
    }
    Ok(all)
}

/// What is found in the bundles that are built already; `None` where none is. The environment
/// is there whatever they hold: a deploy refuses them, not this.
async fn found(
    ctx: &Context,
    workspace: &Workspace,
    environment: &Environment,
) -> Result<Option<Vec<BundleReport>>, CommandError> {
    let resolved = workspace.resolve(&environment.name)?;
    let mut paths = prepare::paths(workspace, &resolved)?;
    let root = workspace.root().to_owned();
    paths.retain(|path| root.join(path).is_file());
    if paths.is_empty() {
        return Ok(None);
    }
    let rules = resolved.rules.clone();
    let validating =
        tokio::task::spawn_blocking(move || prepare::reports(&root, &paths, &rules)).await;
    match deploy::joined(validating)? {
        Ok(reports) => Ok(Some(reports)),
        Err(error) => {
            let error = prepare::validate_failed(&error, &resolved);
            ctx.screen.warn(error.render(ctx.screen.err).trim_end());
            Ok(None)
        }
    }
}

fn is_clean(bundles: &[BundleReport]) -> bool {
    bundles.iter().all(BundleReport::is_clean)
}

fn show_found(ctx: &Context, bundles: Option<&[BundleReport]>) {
    let Some(bundles) = bundles else {
        return;
    };
    if is_clean(bundles) {
        let bundles = text::count(bundles.len(), "bundle");
        ctx.screen.say(&format!("  {bundles} validated: clean"));
    } else {
        ctx.screen.say(&painted(&render(bundles), ctx.screen.err));
        ctx.screen
            .warn("the environment is there; a deploy of these bundles is refused");
    }
}

/// What was made.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Created<'c> {
    /// The environment.
    environment: Described<'c>,
    /// Whether a server runs, which starts what shall run.
    server_runs: bool,
    /// What was found in the bundles; null where there is none yet.
    validation: Option<Validation>,
}

/// What was found in bundles.
#[derive(Debug, Serialize, JsonSchema)]
struct Validation {
    /// Whether nothing keeps them from being packed.
    clean: bool,
    /// What was found in each.
    bundles: Vec<BundleReport>,
}

/// An environment for programs.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Environment")]
pub(crate) struct Described<'d> {
    /// Its name.
    name: &'d EnvName,
    /// Its domain.
    domain: &'d str,
    /// The checkout it is deployed from.
    workspace: &'d Path,
    /// Where its gateways run.
    runtime: RuntimeKind,
    /// When it was made, UNIX milliseconds.
    created_at: u64,
    /// Its gateways.
    gateways: Vec<DescribedGateway>,
    /// Its services.
    services: Vec<DescribedService<'d>>,
}

/// A gateway of it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Gateway")]
struct DescribedGateway {
    /// Its name.
    name: GatewayName,
    /// The HTTP port on the host.
    http_port: u16,
    /// The OpenVPN port on the host, UDP.
    vpn_port: u16,
    /// Whether it shall run.
    enabled: bool,
}

/// A service of it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Service")]
struct DescribedService<'d> {
    /// Its name.
    name: &'d ServiceName,
    /// Whether it shall run.
    enabled: bool,
}

/// The environment as it is now.
pub(crate) fn described(environment: &Environment) -> Described<'_> {
    let gateways: Vec<_> = environment
        .gateways
        .iter()
        .map(|gateway| DescribedGateway {
            name: environment.gateway_name(gateway),
            http_port: gateway.http_port,
            vpn_port: gateway.vpn_port,
            enabled: gateway.enabled,
        })
        .collect();
    let services: Vec<_> = environment
        .services
        .iter()
        .map(|service| DescribedService {
            name: &service.name,
            enabled: service.enabled,
        })
        .collect();
    Described {
        name: &environment.name,
        domain: &environment.domain,
        workspace: &environment.workspace,
        runtime: environment.runtime,
        created_at: environment.created_at,
        gateways,
        services,
    }
}
