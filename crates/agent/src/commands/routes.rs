//! `lockgate-agent routes`

use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use clap::{Args, Subcommand};
use http::Method;
use lockgate_model::{Route, RouteTable};

use super::{asking, outcome};
use crate::cli::{Format, SocketArgs};
use crate::control::{self, AllRoutes, Lines};
use crate::error::CommandError;

/// The names of user containers that the door leads into the VPN
#[derive(Debug, Args)]
pub(crate) struct RoutesArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Set all of them: lines `fqdn ip port` on stdin
    ///
    /// What is not among the lines is no route any more. Where a line is wrong, nothing
    /// changes. Prints `{"status": "ok"}` or `{"status": "error", "error": "…"}`.
    Set(SetArgs),
    /// Show all of them
    List(ListArgs),
    /// Show the one of this name
    Show(ShowArgs),
}

#[derive(Debug, Args)]
struct SetArgs {
    #[command(flatten)]
    socket: SocketArgs,
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    socket: SocketArgs,
    /// For whom the output is
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// The name; a port and a final dot do not count
    name: String,
    #[command(flatten)]
    list: ListArgs,
}

/// nginx tests the configuration and starts new workers; the agent has no more to do.
const WITHIN: Duration = Duration::from_secs(20);

/// More is not read: no gateway has so many containers.
const MOST_BYTES: u64 = 1024 * 1024;

pub(crate) fn routes(args: &RoutesArgs) -> Result<(), CommandError> {
    match &args.command {
        Command::Set(args) => outcome::tell(set(args)),
        Command::List(args) => {
            let routes = all(&args.socket)?;
            show(&routes, args.format)
        }
        Command::Show(args) => {
            let routes = all(&args.list.socket)?;
            let route = routes.find(&args.name).ok_or_else(|| {
                CommandError::failed(format!("`{}` is no route", args.name))
                    .hint("`lockgate-agent routes list` shows all")
            })?;
            show_one(route, args.list.format)
        }
    }
}

fn set(args: &SetArgs) -> Result<(), CommandError> {
    let mut lines = String::new();
    let read = io::stdin().take(MOST_BYTES + 1).read_to_string(&mut lines);
    read.map_err(|error| CommandError::failed("cannot read routes from stdin").because(&error))?;
    if lines.len() as u64 > MOST_BYTES {
        return Err(CommandError::failed(format!(
            "more than {MOST_BYTES} bytes of routes"
        )));
    }
    // Wrong lines are known as such without an agent.
    RouteTable::parse(&lines)
        .map_err(|error| CommandError::failed("no route is changed").because(&error))?;
    let socket = &args.socket.socket;
    let set: AllRoutes = asking::send(
        socket,
        Method::PUT,
        control::ROUTES,
        &Lines { lines },
        WITHIN,
    )?;
    drop(set);
    Ok(())
}

fn all(socket: &SocketArgs) -> Result<RouteTable, CommandError> {
    let all: AllRoutes = asking::ask(&socket.socket, Method::GET, control::ROUTES, WITHIN)?;
    Ok(all.routes)
}

fn show(routes: &RouteTable, format: Format) -> Result<(), CommandError> {
    let text = match format {
        Format::Human => {
            let lines: Vec<String> = routes.iter().map(|route| format!("{route}\n")).collect();
            lines.concat()
        }
        Format::Json => json(&serde_json::json!({ "routes": routes }))?,
    };
    print(&text)
}

fn show_one(route: &Route, format: Format) -> Result<(), CommandError> {
    let text = match format {
        Format::Human => format!("{route}\n"),
        Format::Json => json(route)?,
    };
    print(&text)
}

fn json(value: &impl serde::Serialize) -> Result<String, CommandError> {
    serde_json::to_string_pretty(value)
        .map(|text| format!("{text}\n"))
        .map_err(|error| CommandError::failed("cannot write the routes").because(&error))
}

fn print(text: &str) -> Result<(), CommandError> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Whoever read has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|e| CommandError::failed("cannot write to stdout").because(&e)),
    }
}
