//! `lockgate vpn`: the VPN of a gateway's user containers, as its agent tells of it.

use clap::{Args, Subcommand};
use lockgate_model::{EnvName, GatewayName};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::gateways::number;
use crate::context::Context;
use crate::environment::{Environment, Gateway, RuntimeKind};
use crate::error::CommandError;
use crate::runtime::docker::engine::{Engine, Exec};

/// Who is in a gateway's VPN, and how a user container gets in
#[derive(Debug, Args)]
pub(crate) struct VpnArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show whether VPNs run, whether their clients are kept apart, and who is connected
    Status {
        /// The environment
        env: EnvName,
        /// This gateway, by number or name; all by default
        gateway: Option<String>,
    },
    /// Print a client's whole profile, keys included, for `openvpn --config`
    Client {
        /// The environment
        env: EnvName,
        /// This gateway, by number or name; by default the only one that serves somebody
        gateway: Option<String>,
        /// Where the client finds the gateway; by default the gateway's name
        #[arg(long)]
        host: Option<String>,
    },
}

/// A client's profile.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Profile<'p> {
    /// The gateway.
    gateway: &'p GatewayName,
    /// The whole `.ovpn`, keys included.
    profile: &'p str,
}

/// The VPNs of an environment.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Vpns<'v> {
    /// The environment.
    env: &'v EnvName,
    /// What each gateway's agent says, in the words of its own version: `lockgate-agent vpn status`.
    gateways: &'v [Value],
}

/// Asks the agents.
pub(crate) async fn vpn(args: VpnArgs, ctx: &Context) -> Result<(), CommandError> {
    match args.action {
        Action::Status { env, gateway } => {
            let environment = of_containers(ctx, &env)?;
            let gateways = match &gateway {
                Some(text) => vec![environment.gateway(number(&environment, text)?)?],
                None => environment.gateways.iter().collect(),
            };
            status(ctx, &environment, &gateways).await
        }
        Action::Client { env, gateway, host } => {
            let environment = of_containers(ctx, &env)?;
            let gateway = match &gateway {
                Some(text) => environment.gateway(number(&environment, text)?)?,
                None => the_only_one(&environment)?,
            };
            let host = host.map(|host| ["--host".to_owned(), host]);
            let words = ["client".to_owned()].into_iter();
            let words = words.chain(host.into_iter().flatten());
            let name = environment.gateway_name(gateway);
            let profile = ask(&connected(ctx).await?, name.as_str(), words).await?;
            if ctx.screen.is_json() {
                return ctx.screen.document(&Profile {
                    gateway: &name,
                    profile: &profile,
                });
            }
            ctx.screen.data(&profile)
        }
    }
}

/// The environment, where its gateways can have a VPN.
fn of_containers(ctx: &Context, env: &EnvName) -> Result<Environment, CommandError> {
    let environment = ctx.environment(Some(env))?;
    match environment.runtime {
        RuntimeKind::Docker => Ok(environment),
        RuntimeKind::Local => Err(CommandError::failed(format!(
            "gateways of `{env}` have no VPN: they share this host's network"
        ))
        .hint("`lockgate create ENV --runtime docker` makes gateways that have one")),
    }
}

fn the_only_one(environment: &Environment) -> Result<&Gateway, CommandError> {
    let serves = |gateway: &&Gateway| gateway.organization.is_some();
    let serving: Vec<&Gateway> = environment.gateways.iter().filter(serves).collect();
    match serving.as_slice() {
        [one] => Ok(one),
        [] => Err(CommandError::failed(format!(
            "no gateway of `{}` serves an organization",
            environment.name
        ))
        .hint(format!(
            "`lockgate org assign {} UUID` gives one a gateway",
            environment.name
        ))),
        several => {
            let names = several.iter().map(|one| environment.gateway_name(one));
            let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
            Err(
                CommandError::usage("several gateways serve somebody: name one")
                    .hint(format!("there are {}", names.join(", "))),
            )
        }
    }
}

async fn connected(ctx: &Context) -> Result<Engine, CommandError> {
    let address = ctx.config.engine.as_ref();
    let address = address.map_err(|error| CommandError::configuration(error.to_string()))?;
    let engine = Engine::connect(address).await;
    engine.map_err(|error| error.told())
}

async fn status(
    ctx: &Context,
    environment: &Environment,
    gateways: &[&Gateway],
) -> Result<(), CommandError> {
    let engine = connected(ctx).await?;
    let (mut all, mut failed) = (Vec::new(), false);
    for gateway in gateways {
        let name = environment.gateway_name(gateway);
        let format: &[&str] = if ctx.screen.is_json() {
            &["status", "--format", "json"]
        } else {
            &["status"]
        };
        let words = format.iter().map(|word| (*word).to_owned());
        let said = match ask(&engine, name.as_str(), words).await {
            Ok(said) => said,
            // One that does not run keeps nobody from seeing the others.
            Err(error) if gateways.len() > 1 => {
                ctx.screen.error(&error);
                failed = true;
                continue;
            }
            Err(error) => return Err(error),
        };
        all.push(said);
    }
    if ctx.screen.is_json() {
        show_json(ctx, environment, &all)?;
    } else {
        ctx.screen.data(&all.concat())?;
    }
    if failed {
        return Err(CommandError::said());
    }
    Ok(())
}

fn show_json(ctx: &Context, environment: &Environment, all: &[String]) -> Result<(), CommandError> {
    let read = |said: &String| serde_json::from_str::<Value>(said);
    let gateways: Result<Vec<Value>, _> = all.iter().map(read).collect();
    let gateways = gateways
        .map_err(|error| CommandError::failed("an agent answered no JSON").because(&error))?;
    ctx.screen.document(&Vpns {
        env: &environment.name,
        gateways: &gateways,
    })
}

/// What `lockgate-agent vpn …` says in a gateway's container.
pub(crate) async fn ask(
    engine: &Engine,
    container: &str,
    words: impl Iterator<Item = String>,
) -> Result<String, CommandError> {
    let command = ["lockgate-agent", "vpn"].map(str::to_owned);
    let command = command.into_iter().chain(words).collect();
    let running = engine.exec(container, command, Exec::Plain).await;
    let mut running = running.map_err(|error| error.told())?;
    let (mut said, mut complained) = (Vec::new(), Vec::new());
    while let Some((is_error, piece)) = running.next().await {
        if is_error {
            complained.extend_from_slice(&piece);
        } else {
            said.extend_from_slice(&piece);
        }
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if running.ended_well().await {
        return Ok(text(&said));
    }
    let complained = text(&complained);
    let causes = complained.trim_start_matches("error: ").lines();
    let failed = CommandError::failed(format!("the agent of `{container}` did not answer"));
    Err(causes.fold(failed, |error, line| {
        error.because_of(line.trim().trim_start_matches("caused by: "))
    }))
}
