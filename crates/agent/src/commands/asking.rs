//! Asks the running agent over its control socket.

use std::path::Path;
use std::time::Duration;

use http::Method;
use lockgate_builds::client::{Client, Endpoint};
use lockgate_model::Report;

use crate::error::CommandError;

/// How much longer than the agent's own work its answer may take.
const SLACK: Duration = Duration::from_secs(5);

/// Sends one request and gives the agent's report.
pub(super) fn ask(
    socket: &Path,
    method: Method,
    path: &str,
    within: Duration,
) -> Result<Report, CommandError> {
    let client = Client {
        endpoint: Endpoint::Unix(socket.to_owned()),
        program: concat!("lockgate-agent/", env!("CARGO_PKG_VERSION")).to_owned(),
        token: None,
    };
    let asked = async {
        if method == Method::GET {
            client.get_json(path, within + SLACK).await
        } else {
            let nothing = serde_json::Value::Null;
            client
                .send_json(method, path, &nothing, within + SLACK)
                .await
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
pub(super) fn patient(path: &str, within: Duration) -> String {
    let seconds = within.as_secs() + u64::from(within.subsec_nanos() > 0);
    format!("{path}?timeout={}", seconds.max(1))
}

/// A runtime for one thread, started by hand: the agent is at rest most of the time.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, CommandError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::failed("cannot start").because(&error))
}
