//! `lockgate-agent listeners`

use std::io::{self, Write as _};
use std::time::Duration;

use clap::Args;
use http::Method;
use lockgate_model::{Listener, Listeners};

use super::asking;
use crate::cli::{Format, SocketArgs};
use crate::control;
use crate::error::CommandError;

/// Show what listens in this gateway, beside what should
#[derive(Debug, Args)]
pub(crate) struct ListenersArgs {
    #[command(flatten)]
    socket: SocketArgs,
    /// For whom the output is
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

/// The agent reads `/proc` for it.
const WITHIN: Duration = Duration::from_secs(5);

pub(crate) fn listeners(args: &ListenersArgs) -> Result<(), CommandError> {
    let all: Listeners = asking::ask(&args.socket.socket, Method::GET, control::LISTENERS, WITHIN)?;
    let text = match args.format {
        Format::Human => human(&all.listeners),
        Format::Json => serde_json::to_string(&all)
            .map_err(|error| CommandError::failed("cannot write JSON").because(&error))?,
    };
    match writeln!(io::stdout().lock(), "{text}") {
        // Whoever read has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|e| CommandError::failed("cannot write to stdout").because(&e)),
    }
}

/// A line for each, and below them what is wrong.
fn human(all: &[Listener]) -> String {
    let line = |one: &Listener| {
        let address = format!("{} {}", one.transport, one.address);
        let what = one.what.as_deref().unwrap_or("-");
        let line = format!(
            "{:<10}  {address:<22}  {what:<16}  {}",
            one.state.as_str(),
            one.holders()
        );
        line.trim_end().to_owned()
    };
    let wrong = all.iter().filter_map(Listener::problem);
    let wrong = wrong.map(|problem| format!("! {problem}"));
    all.iter()
        .map(line)
        .chain(wrong)
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::{Holder, ListenerState, Transport};

    #[test]
    fn a_line_tells_state_address_part_and_processes() {
        let one = |what: Option<&str>, port, state, pid| Listener {
            what: what.map(str::to_owned),
            transport: Transport::Tcp,
            address: ([127, 0, 0, 1], port).into(),
            state,
            processes: vec![Holder {
                pid,
                name: "node".to_owned(),
                own: state != ListenerState::Foreign,
            }],
        };
        let all = [
            one(Some("application"), 8888, ListenerState::Foreign, 712),
            one(None, 9229, ListenerState::Unexpected, 21),
        ];
        assert_eq!(
            human(&all),
            "\
foreign     tcp 127.0.0.1:8888      application       node (712)
unexpected  tcp 127.0.0.1:9229      -                 node (21)
! tcp 127.0.0.1:8888 (application) is taken: `node` (process 712), which the agent did not start, has it; `kill 712` in the gateway makes room"
        );
    }
}
