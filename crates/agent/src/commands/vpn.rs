//! `lockgate-agent vpn`

use clap::{Args, Subcommand};

use crate::error::CommandError;

/// The VPN of user containers
#[derive(Debug, Args)]
pub(crate) struct VpnArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Command {
    /// Start it
    Start,
    /// Stop it
    Stop,
}

pub(crate) fn vpn(args: &VpnArgs) -> Result<(), CommandError> {
    let what = match args.command {
        Command::Start => "start",
        Command::Stop => "stop",
    };
    Err(CommandError::failed(format!("cannot {what} the VPN"))
        .cause(format!(
            "this agent, {}, runs no VPN yet",
            env!("CARGO_PKG_VERSION")
        ))
        .hint("an application that needs `/tmp/vpn-config.json` needs a VPN of its own until then"))
}
