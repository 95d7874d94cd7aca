//! `lockgate org`: which gateway serves which organization.

use clap::{Args, Subcommand};
use lockgate_model::{EnvName, GatewayName, OrganizationId};
use schemars::JsonSchema;
use serde::Serialize;

use super::deploy::{WaitArgs, stop_on_signals, teller};
use super::outcome::show;
use super::quiet::done;
use super::turn::LockArgs;
use super::urls::organization_url;
use crate::context::Context;
use crate::deploy::rollout::{Rollout, Scope};
use crate::deploy::strategy::DeployStrategy;
use crate::deploy::{self, said};
use crate::environment::Environment;
use crate::environment::publish::What;
use crate::error::CommandError;
use crate::server::control::ControlClient;
use crate::views::paint::Tone;
use crate::views::progress::Progress;
use crate::views::table::{self, Cell, Column};

/// Say which gateway serves which organization
#[derive(Debug, Args)]
pub(crate) struct OrgArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Give an organization a gateway of its own
    Assign {
        /// The environment
        env: EnvName,
        /// The organization, a UUID
        organization: OrganizationId,
        /// This gateway, by number or name; the first that runs and serves none by default
        #[arg(long, value_name = "GATEWAY")]
        gateway: Option<String>,
        #[command(flatten)]
        how: HowArgs,
    },
    /// Take an organization's gateway away from it
    Release {
        /// The environment
        env: EnvName,
        /// The organization, a UUID
        organization: OrganizationId,
        #[command(flatten)]
        how: HowArgs,
    },
    /// Show who serves whom
    List {
        /// The environment; all of them where none is named
        env: Option<EnvName>,
    },
}

#[derive(Debug, Clone, Copy, Args)]
struct HowArgs {
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    lock: LockArgs,
}

impl OrgArgs {
    /// Whether it prints events as it goes.
    pub(crate) fn streams(&self) -> bool {
        !matches!(self.action, Action::List { .. })
    }
}

/// Assigns, releases or lists.
pub(crate) async fn org(args: OrgArgs, ctx: &Context) -> Result<(), CommandError> {
    match args.action {
        Action::Assign {
            env,
            organization,
            gateway,
            how,
        } => {
            let environment = ctx.environment(Some(&env))?;
            let asked = gateway
                .map(|text| super::gateways::number(&environment, &text))
                .transpose()?;
            let change = |environment: &mut Environment| {
                let assigned = environment.assign(&organization, asked)?;
                Ok(assigned)
            };
            changed(ctx, &env, "org assign", how, change).await?;
            let served = ctx.environment(Some(&env))?;
            let front = ControlClient::connect(&ctx.config.home).await;
            let front = front.map(|(_, server)| server.front);
            if let Some(url) = organization_url(&served, &organization, front.as_ref()) {
                ctx.screen.say(&format!("{organization} is at {url}"));
            }
            Ok(())
        }
        Action::Release {
            env,
            organization,
            how,
        } => {
            let change =
                |environment: &mut Environment| Ok((environment.release(&organization)?, true));
            changed(ctx, &env, "org release", how, change).await
        }
        Action::List { env } => list(ctx, env.as_ref()),
    }
}

/// Writes a change down and brings it to the gateway: its application starts with another
/// `ORGANIZATION_ID`, as for a deploy.
async fn changed(
    ctx: &Context,
    env: &EnvName,
    what: &str,
    how: HowArgs,
    change: impl FnOnce(&mut Environment) -> Result<(u32, bool), CommandError>,
) -> Result<(), CommandError> {
    let stop = stop_on_signals()?;
    let mut lock = how.lock.turn_or_stop(ctx, env, what, &stop).await?;
    let mut environment = Environment::load(&ctx.config.home, env)?;
    let (number, is_new) = change(&mut environment)?;
    let name = environment
        .gateway(number)
        .map(|it| environment.gateway_name(it))?;
    let store = ctx.store()?;
    let told = said::told(&environment, &[number], &store)?;
    // What was written down and not published, by a command that failed, is published now.
    let serves = environment.gateway(number)?.organization.as_ref();
    let serves = serves.map(ToString::to_string);
    let knows = told.first().is_none_or(|last| last.organization == serves);
    if !is_new && knows {
        ctx.screen.say(&format!("{name} serves it already"));
        return done(ctx, env, &[]);
    }
    environment.save(&ctx.config.home)?;
    let server = ControlClient::connect(&ctx.config.home).await;
    let Some(last) = told.first() else {
        // The front door hears of it also where nothing runs yet.
        ctx.tell_server(env).await?;
        ctx.screen
            .say(&format!("{name} is told with the first deploy"));
        return done(ctx, env, &[]);
    };
    let Some((control, _)) = server else {
        deploy::quietly(ctx, &store, &environment, &What::Variables, &[number])?;
        ctx.screen
            .warn("no server runs; it takes effect with `lockgate serve --detach`");
        return done(ctx, env, &[name]);
    };
    let rollout = Rollout {
        ctx,
        control: &control,
        store: &store,
        lock: &mut lock,
        build: last.build.clone(),
        limits: last.settings.limits.clone(),
        what: What::Variables,
        scope: Scope::Again(vec![number]),
        line: None,
        how: how.wait.how(DeployStrategy::All, &stop),
        environment,
    };
    let mut progress = Progress::new(ctx.screen);
    let outcome = rollout.run(&mut teller(&mut progress)).await?;
    show(progress, &outcome)
}

const COLUMNS: [Column; 3] = [
    Column::kept("ORGANIZATION"),
    Column::name("GATEWAY"),
    Column::kept("ENV"),
];

/// The organizations that are served.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Listed {
    /// Each with its gateway.
    organizations: Vec<Served>,
}

/// An organization and its gateway.
#[derive(Debug, Serialize, JsonSchema)]
struct Served {
    /// The organization.
    organization: OrganizationId,
    /// The gateway that serves it.
    gateway: GatewayName,
    /// The environment of that.
    env: EnvName,
}

fn list(ctx: &Context, env: Option<&EnvName>) -> Result<(), CommandError> {
    let environments = match env {
        Some(env) => vec![Environment::load(&ctx.config.home, env)?],
        None => Environment::list(&ctx.config.home)?,
    };
    let mut served = Vec::new();
    for environment in &environments {
        for gateway in &environment.gateways {
            if let Some(organization) = &gateway.organization {
                let name = environment.gateway_name(gateway);
                served.push((organization, name, &environment.name));
            }
        }
    }
    if ctx.screen.is_json() {
        let one =
            |(organization, gateway, env): &(&'_ OrganizationId, GatewayName, &'_ EnvName)| {
                Served {
                    organization: (*organization).clone(),
                    gateway: gateway.clone(),
                    env: (*env).clone(),
                }
            };
        let organizations = served.iter().map(one).collect();
        return ctx.screen.document(&Listed { organizations });
    }
    if served.is_empty() {
        ctx.screen.say("no organization is served yet");
        ctx.screen
            .hint("`lockgate org assign ENV UUID` gives one a gateway");
        return Ok(());
    }
    let rows: Vec<[Cell; 3]> = served
        .into_iter()
        .map(|(organization, gateway, env)| {
            [
                Cell::new(organization.as_str(), Tone::Strong),
                gateway.as_str().into(),
                env.as_str().into(),
            ]
        })
        .collect();
    let screen = &ctx.screen;
    screen.data(&table::render(COLUMNS, &rows, screen.width, screen.out))
}
