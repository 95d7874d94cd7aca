//! Journeys with gateways in containers, beside an engine of their own: `just docker`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a journey starts programs and ends by panic"
)]

mod containers;
mod finding;
mod front;
mod lifecycle;
mod listeners;
mod logs;
mod migrate;
mod stuck;
mod trouble;
mod vpn;
mod workflow;

use std::time::Duration;

use lockgate_e2e::{Workspace, World, until};
use serde_json::Value;

/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_mins(2);

/// What a journey's lockgate.toml begins with: a machine that is busy with containers boots slowly.
const PATIENT: &str = "[app.limits]\nready = '2m'\n";

/// An application that boots in no time, for journeys about containers.
const SMALL: &str = r#"
const GATEWAY_VERSION = "1.0.0";
const answer = JSON.stringify({ version: GATEWAY_VERSION, pid: process.pid });
const server = require("http").createServer((request, response) => response.end(answer));
server.listen(8888, () => console.log("gateway listens on 8888"));
process.on("SIGTERM", () => process.exit(0));
"#;

/// A workspace with the small application.
fn small(world: &World, name: &str) -> Workspace {
    let workspace = world.workspace(name);
    workspace.edit(|_| SMALL.to_owned());
    settings(&workspace, "");
    workspace
}

/// Writes lockgate.toml with more than patience.
fn settings(workspace: &Workspace, more: &str) {
    std::fs::write(
        workspace.path.join("lockgate.toml"),
        format!("{PATIENT}{more}"),
    )
    .unwrap();
}

/// Waits until all gateways of an environment answer with this version.
fn until_version(world: &World, env: &str, version: &str) {
    until(&format!("{env} answers with {version}"), LONG, || {
        let answers = world.answers(env);
        let all = answers.len() == 3 && answers.iter().all(|one| one["version"] == version);
        all.then_some(())
    });
}

/// Waits until a gateway's row says this.
fn until_gateway<T>(
    world: &World,
    what: &str,
    env: &str,
    number: usize,
    find: impl Fn(&Value) -> Option<T>,
) -> T {
    until(what, LONG, || find(world.gateways(env).get(number)?))
}

/// What a gateway's row names as its problem.
fn problem(gateway: &Value) -> &str {
    gateway["problem"].as_str().unwrap_or_default()
}

/// Whether a gateway's row says that it serves.
fn is_ready(gateway: &Value) -> Option<()> {
    (gateway["state"] == "ready").then_some(())
}
