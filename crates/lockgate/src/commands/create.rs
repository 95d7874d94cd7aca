//! `lockgate create`: a new environment with its gateways.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use lockgate_model::EnvName;
use serde_json::json;

use crate::context::{Context, now_ms};
use crate::environment::create::{Wanted, create as make};
use crate::environment::{Environment, RuntimeKind};
use crate::error::CommandError;
use crate::views::text;

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
    /// Where they run: `local`, as child processes of `lockgate serve`
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

/// Makes the environment; a running server starts its gateways.
pub(crate) async fn create(args: CreateArgs, ctx: &Context) -> Result<(), CommandError> {
    let workspace = ctx.workspace(args.workspace.as_deref())?;
    let wanted = Wanted {
        name: args.named,
        domain: args.domain,
        workspace: workspace.root().to_owned(),
        gateways: args.gateways,
        runtime: match args.runtime {
            RuntimeName::Local => RuntimeKind::Local,
            RuntimeName::Docker => RuntimeKind::Docker,
        },
    };
    let environment = make(&ctx.config.home, &ctx.store()?, &wanted, now_ms())?;
    let told = ctx.tell_server(&environment.name).await?;
    if ctx.screen.is_json() {
        return ctx
            .screen
            .json(&json!({"environment": described(&environment), "server_runs": told}));
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
    let serve = if told {
        ""
    } else {
        "`lockgate serve --detach`, then "
    };
    ctx.screen
        .say(&format!("\nNext: {serve}`lockgate deploy {name}`."));
    Ok(())
}

/// An environment for programs.
pub(crate) fn described(environment: &Environment) -> serde_json::Value {
    let gateways: Vec<_> = environment
        .gateways
        .iter()
        .map(|gateway| {
            json!({
                "name": environment.gateway_name(gateway),
                "http_port": gateway.http_port,
                "vpn_port": gateway.vpn_port,
                "enabled": gateway.enabled,
            })
        })
        .collect();
    json!({
        "name": environment.name,
        "domain": environment.domain,
        "workspace": environment.workspace,
        "runtime": environment.runtime,
        "created_at": environment.created_at,
        "gateways": gateways,
    })
}
