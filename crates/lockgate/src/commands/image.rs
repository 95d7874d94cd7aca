//! `lockgate image`: what gateways in containers are made from.

use clap::{Args, Subcommand};
use schemars::JsonSchema;
use serde::Serialize;

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

/// What is told while an image is built.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Building<'b> {
    /// The engine said something.
    Output {
        /// What.
        line: &'b str,
    },
    /// The image is built.
    Result {
        /// Always true.
        ok: bool,
        /// Its name.
        image: &'b str,
        /// Its id.
        id: &'b str,
        /// What it was made from.
        base: &'b str,
        /// The version of the agent in it.
        agent_version: &'b str,
        /// Its size.
        size_bytes: u64,
        /// Milliseconds.
        took_ms: u64,
    },
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
            let _ = screen.document(&Building::Output { line });
        } else {
            screen.say(&screen.err.dim(line));
        }
    };
    let built = build::build(engine.api(), &order, &mut tell).await?;
    let took = started.elapsed();
    if screen.is_json() {
        return screen.document(&Building::Result {
            ok: true,
            image: &args.tag.with_tag(),
            id: &built.id,
            base: args.base.as_str(),
            agent_version: order.version,
            size_bytes: built.size_bytes,
            took_ms: millis(took),
        });
    }
    screen.data(&format!(
        "✅ Image built: {} ({}) in {}\n",
        args.tag.with_tag(),
        text::size(built.size_bytes),
        text::span(took)
    ))
}
