//! `lockgate image`: what gateways in containers are made from.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::context::Context;
use crate::deploy::{clock, millis};
use crate::error::CommandError;
use crate::image::build::{self, Order};
use crate::image::reference::Reference;
use crate::image::{DEFAULT_BASE, DEFAULT_TAG};
use crate::runtime::docker::check::connect;
use crate::views::text;

/// Build the image that gateways in containers are made from
#[derive(Debug, Args)]
pub(crate) struct ImageArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Build(BuildArgs),
}

/// Put the agent into a base image with Node and nginx, and try it there
#[derive(Debug, Args)]
struct BuildArgs {
    /// The base image: with Node and nginx, and OpenVPN, iproute2 and nftables for the VPN
    #[arg(long, value_name = "IMAGE", default_value = DEFAULT_BASE)]
    base: Reference,
    /// The name of the image that is built; the default is what gateways are made from
    #[arg(long, value_name = "IMAGE", default_value = DEFAULT_TAG)]
    tag: Reference,
}

/// Does what is asked about images.
pub(crate) async fn image(args: ImageArgs, ctx: &Context) -> Result<(), CommandError> {
    match args.action {
        Action::Build(args) => build(&args, ctx).await,
    }
}

async fn build(args: &BuildArgs, ctx: &Context) -> Result<(), CommandError> {
    let started = clock();
    let engine = connect(&ctx.config.engine).await?;
    let order = Order {
        base: &args.base,
        tag: &args.tag,
        agent: &ctx.config.agent,
        version: env!("CARGO_PKG_VERSION"),
    };
    let screen = ctx.screen;
    let mut tell = |line: &str| {
        if screen.is_json() {
            // A reader that went away ends the command when the result is printed.
            let _ = screen.json(&json!({"event": "output", "line": line}));
        } else {
            screen.say(&screen.err.dim(line));
        }
    };
    let built = build::build(engine.api(), &order, &mut tell).await?;
    let took = started.elapsed();
    if screen.is_json() {
        return screen.json(&json!({
            "event": "result",
            "ok": true,
            "image": args.tag.with_tag(),
            "id": built.id,
            "base": args.base.as_str(),
            "agent_version": order.version,
            "size_bytes": built.size_bytes,
            "took_ms": millis(took),
        }));
    }
    screen.data(&format!(
        "✅ Image built: {} ({}) in {}\n",
        args.tag.with_tag(),
        text::size(built.size_bytes),
        text::span(took)
    ))
}
