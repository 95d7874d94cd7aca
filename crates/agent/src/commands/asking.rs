//! Asks the running agent over its control socket.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use http::Method;
use lockgate_builds::client::{Client, Endpoint};
use lockgate_model::Report;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::view;
use crate::cli::{Format, SocketArgs};
use crate::error::CommandError;

/// What a command is told that waits until something is done.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    #[command(flatten)]
    socket: SocketArgs,
    /// For whom the output is
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
    /// How long to wait; the work goes on after that
    #[arg(long, value_parser = humantime::parse_duration, default_value = "60s", value_name = "DURATION")]
    timeout: Duration,
}

impl WaitArgs {
    /// Has it done, and shows what runs then.
    pub(super) fn have_done(&self, path: &str) -> Result<Report, CommandError> {
        let report = self.have_done_quietly(path)?;
        view::show(&report, self.format)?;
        Ok(report)
    }

    /// Has it done, and says nothing.
    pub(super) fn have_done_quietly(&self, path: &str) -> Result<Report, CommandError> {
        let path = patient(path, self.timeout);
        ask(&self.socket.socket, Method::POST, &path, self.timeout)
    }

    /// For whom the output is.
    pub(super) fn format(&self) -> Format {
        self.format
    }
}

/// How much longer than the agent's own work its answer may take.
const SLACK: Duration = Duration::from_secs(5);

/// Sends one request without a body and gives the agent's answer.
pub(super) fn ask<T: DeserializeOwned>(
    socket: &Path,
    method: Method,
    path: &str,
    within: Duration,
) -> Result<T, CommandError> {
    send(socket, method, path, &serde_json::Value::Null, within)
}

/// Sends one request and gives the agent's answer. A `GET` has no body.
pub(super) fn send<T: DeserializeOwned, B: Serialize>(
    socket: &Path,
    method: Method,
    path: &str,
    body: &B,
    within: Duration,
) -> Result<T, CommandError> {
    let client = Client {
        endpoint: Endpoint::Unix(socket.to_owned()),
        program: concat!("lockgate-agent/", env!("CARGO_PKG_VERSION")).to_owned(),
        token: None,
    };
    let within = within.saturating_add(SLACK);
    let asked = async {
        if method == Method::GET {
            client.get_json(path, within).await
        } else {
            client.send_json(method, path, body, within).await
        }
    };
    runtime()?.block_on(asked).map_err(|error| {
        let failed = CommandError::failed("the agent did not do what was asked").because(&error);
        if socket.exists() {
            failed
        } else {
            failed.hint(format!(
                "no agent has made `{}`: is `lockgate-agent run` running, and is this its container?",
                socket.display()
            ))
        }
    })
}

/// The path of a request that waits this long, in whole seconds, at least one.
fn patient(path: &str, within: Duration) -> String {
    let seconds = within.as_secs() + u64::from(within.subsec_nanos() > 0);
    let joint = if path.contains('?') { '&' } else { '?' };
    format!("{path}{joint}timeout={}", seconds.max(1))
}

/// A runtime for one thread, started by hand: the agent is at rest most of the time.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, CommandError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::failed("cannot start").because(&error))
}
