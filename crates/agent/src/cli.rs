//! The tree of commands, nothing else.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use lockgate_model::environment as var;

use crate::commands::application::{StartArgs, StopArgs};
use crate::commands::listeners::ListenersArgs;
use crate::commands::{self, logs::LogsArgs, reload::ReloadArgs, restart::RestartArgs};
use crate::commands::{reset::ResetArgs, routes::RoutesArgs, run::RunArgs};
use crate::commands::{status::StatusArgs, supervise::SuperviseArgs, vpn::VpnArgs};
use crate::config::DEFAULT_SOCKET;
use crate::error::CommandError;
use crate::exec_step::{ExecStepArgs, exec_step};
use crate::logs::say;
use crate::vpn::{AddressArgs, address};

/// Runs a gateway: fetches the build that was deployed, starts it, keeps it running.
///
/// In a container `lockgate-agent run` is the entrypoint; the other commands ask
/// the running agent over its control socket.
#[derive(Debug, Parser)]
#[command(name = "lockgate-agent", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(RunArgs),
    Reload(ReloadArgs),
    Restart(RestartArgs),
    Reset(ResetArgs),
    Stop(StopArgs),
    Start(StartArgs),
    Routes(RoutesArgs),
    Vpn(VpnArgs),
    Status(StatusArgs),
    Listeners(ListenersArgs),
    Logs(LogsArgs),
    #[command(hide = true)]
    Supervise(SuperviseArgs),
    #[command(hide = true)]
    ExecStep(ExecStepArgs),
    #[command(hide = true)]
    VpnAddress(AddressArgs),
}

/// Where the running agent is asked.
#[derive(Debug, Args)]
pub(crate) struct SocketArgs {
    /// The agent's control socket.
    #[arg(long, env = var::LOCKGATE_SOCKET, default_value = DEFAULT_SOCKET, value_name = "PATH")]
    pub(crate) socket: PathBuf,
}

/// For whom the output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Human,
    /// For programs: one JSON document.
    Json,
}

/// Reads the arguments and does what they say. Exit codes: 0 done, 1 it failed and
/// says what, 2 usage, 78 configuration.
pub(crate) fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::ExecStep(args) => {
            let Err(error) = exec_step(&args);
            say(&format!(
                "lockgate-agent: {}",
                crate::error::in_one_line(&error)
            ));
            return ExitCode::from(127);
        }
        Command::VpnAddress(args) => address(&args)
            .map_err(|error| CommandError::failed("no address for this client").because(&error)),
        Command::Run(args) => commands::run::run(&args),
        Command::Supervise(args) => commands::supervise::supervise(&args),
        Command::Reload(args) => commands::reload::reload(&args),
        Command::Restart(args) => commands::restart::restart(&args),
        Command::Reset(args) => commands::reset::reset(&args),
        Command::Stop(args) => commands::application::stop(&args),
        Command::Start(args) => commands::application::start(&args),
        Command::Routes(args) => commands::routes::routes(&args),
        Command::Vpn(args) => commands::vpn::vpn(&args),
        Command::Status(args) => commands::status::status(&args),
        Command::Listeners(args) => commands::listeners::listeners(&args),
        Command::Logs(args) => commands::logs::logs(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error.to_string());
            error.exit_code()
        }
    }
}
