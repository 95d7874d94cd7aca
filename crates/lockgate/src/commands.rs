//! One file a command: its arguments and what it does with them.

pub(crate) mod up;

pub(crate) mod deploy;
pub(crate) mod restart;
pub(crate) mod rollback;

pub(crate) mod builds;
pub(crate) mod logs;
pub(crate) mod status;
pub(crate) mod urls;

pub(crate) mod adopt;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod keys;
pub(crate) mod list;
pub(crate) mod scale;
pub(crate) mod set;
pub(crate) mod start;

pub(crate) mod dns;
pub(crate) mod doctor;
pub(crate) mod image;
pub(crate) mod init;

pub(crate) mod pack;
pub(crate) mod schema;
pub(crate) mod serve;
pub(crate) mod validate;
pub(crate) mod vpn;
pub(crate) mod wait;

mod agree;
mod checkout;
mod gateways;
mod logging;
pub(crate) mod org;
mod outcome;
mod quiet;
mod services;
pub(crate) mod trust;
mod turn;
mod what;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::FromArgMatches as _;

use crate::cli::{Cli, ColorWhen, Command, Format, tree};
use crate::context::Context;
use crate::error::CommandError;
use crate::views::screen::Screen;

/// Reads the command line, does what it says, and says how it ended.
pub(crate) fn run() -> ExitCode {
    let mut tree = tree();
    let parsed = tree
        .try_get_matches_from_mut(std::env::args_os())
        .and_then(|matches| {
            Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut tree))
        });
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return refused(&error),
    };
    let screen = Screen::of_process(cli.global.format, cli.global.color);
    let streams = cli.command.streams();
    match start(cli, screen) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if streams {
                screen.failed(&error);
            } else {
                screen.error(&error);
            }
            ExitCode::from(error.exit_code())
        }
    }
}

fn start(cli: Cli, screen: Screen) -> Result<(), CommandError> {
    let port = match &cli.command {
        Command::Serve(args) => args.port(),
        Command::Up(args) => args.port(),
        _ => None,
    };
    let front = match &cli.command {
        Command::Serve(args) => args.front(),
        _ => None,
    };
    let ctx = Context::new(&cli.global, (port, front), screen)?;
    logging::start(&ctx, cli.global.verbose, &cli.command)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::failed("cannot start worker threads").because(&error))?;
    runtime.block_on(dispatch(cli.command, &ctx))
}

async fn dispatch(command: Command, ctx: &Context) -> Result<(), CommandError> {
    match command {
        Command::Up(args) => Box::pin(up::up(args, ctx)).await,
        Command::Deploy(args) => Box::pin(deploy::deploy(args, ctx)).await,
        Command::Rollback(args) => rollback::rollback(args, ctx).await,
        Command::Restart(args) => restart::restart(args, ctx).await,
        Command::Status(args) => status::status(args, ctx).await,
        Command::Logs(args) => logs::logs(args, ctx).await,
        Command::Urls(args) => urls::urls(&args, ctx).await,
        Command::Builds(args) => builds::builds(args, ctx).await,
        Command::Create(args) => create::create(args, ctx).await,
        Command::Adopt(args) => adopt::adopt(args, ctx).await,
        Command::Delete(args) => delete::delete(args, ctx).await,
        Command::List(args) => list::list(&args, ctx).await,
        Command::Start(args) => start::start(&args, ctx).await,
        Command::Stop(args) => start::stop(&args, ctx).await,
        Command::Image(args) => image::image(args, ctx).await,
        Command::Scale(args) => scale::scale(args, ctx).await,
        Command::Set(args) => set::set(args, ctx).await,
        Command::Keys(args) => keys::keys(&args, ctx),
        Command::Org(args) => org::org(args, ctx).await,
        Command::Trust(args) => trust::trust(&args, ctx).await,
        Command::Dns(args) => dns::dns(args, ctx).await,
        Command::Doctor(args) => doctor::doctor(&args, ctx).await,
        Command::Init(args) => init::init(&args, ctx),
        Command::Validate(args) => validate::validate(&args, ctx),
        Command::Pack(args) => pack::pack(args, ctx).await,
        Command::Serve(args) => serve::serve(args, ctx).await,
        Command::Vpn(args) => vpn::vpn(args, ctx).await,
        Command::Wait(args) => wait::wait(args, ctx).await,
        Command::Schema(args) => schema::schema(&args, ctx),
    }
}

/// Help, version, or a command line that does not parse. Programs get JSON, as for every error.
fn refused(error: &clap::Error) -> ExitCode {
    if error.use_stderr() && asks_for_json(std::env::args_os()) {
        let text = error.render().to_string();
        let message = text
            .trim_start_matches("error: ")
            .lines()
            .next()
            .unwrap_or_default();
        let screen = Screen::of_process(Format::Json, ColorWhen::Never);
        screen.error(&CommandError::usage(message));
        return ExitCode::from(2);
    }
    // Nobody is left to tell when the terminal is gone.
    let _ = error.print();
    let _ = std::io::stdout().flush();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

fn asks_for_json(args: impl Iterator<Item = OsString>) -> bool {
    let args: Vec<OsString> = args.collect();
    args.iter().any(|arg| arg == "--format=json")
        || args
            .windows(2)
            .any(|pair| matches!(pair, [flag, value] if flag == "--format" && value == "json"))
}
