//! `lockgate dns`: names of environments resolve on this machine.

pub(crate) mod lines;
pub(crate) mod serve;

use clap::{Args, Subcommand};

use self::lines::LinesArgs;
use self::serve::ServeArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::names::warning;

/// Make names of environments resolve on this machine
#[derive(Debug, Args)]
pub(crate) struct DnsArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Answer for the domains of all environments, and follow them
    Serve(ServeArgs),
    /// Print what this machine's resolver has to be told
    Lines(LinesArgs),
}

/// Serves, or says what to write.
pub(crate) async fn dns(args: DnsArgs, ctx: &Context) -> Result<(), CommandError> {
    match args.action {
        Action::Serve(args) => serve::serve(args, ctx).await,
        Action::Lines(args) => lines::print(&args, ctx),
    }
}

/// Says what domains cost that lie where they should not.
fn warn(ctx: &Context, domains: &[String]) {
    for text in domains.iter().filter_map(|domain| warning(domain)) {
        ctx.screen.warn(&text);
    }
}
