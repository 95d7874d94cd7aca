//! A gateway for programs.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use lockgate_model::{BuildId, Change, GatewayName, Listener, Refusal, Timings};
use schemars::JsonSchema;
use serde::Serialize;

use super::listeners::{self, Told};
use super::notes::problem;
use super::row::state;
use crate::context::Context;
use crate::environment::Pin;
use crate::runtime::Container;
use crate::runtime::docker::engine::Engine;
use crate::server::control::GatewayView;

/// A gateway for programs.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "GatewayStatus")]
pub(crate) struct GatewayDocument<'s> {
    /// Its name.
    name: &'s GatewayName,
    /// The HTTP port on the host.
    http_port: u16,
    /// The OpenVPN port on the host, UDP.
    vpn_port: u16,
    /// Whether it shall run.
    enabled: bool,
    /// One word: its phase, as in `ready`; `refused`, `stopped`; `no agent`, `silent` or `unknown`
    /// where it says nothing of itself.
    state: &'static str,
    /// Whether the running build is still on trial.
    on_trial: Option<bool>,
    /// The build that is its own, whatever is deployed to the environment.
    pinned: Option<&'s Pin>,
    /// The build that runs.
    running_build: Option<&'s BuildId>,
    /// The build that its newest statement names.
    desired_build: Option<&'s BuildId>,
    /// The application's process.
    pid: Option<u32>,
    /// When that was started, UNIX milliseconds.
    since: Option<u64>,
    /// Starts after a crash, since its agent started.
    restarts: Option<u64>,
    /// The build its agent gave up on, if the newest statement names it.
    refused: Option<&'s Refusal>,
    /// What went wrong last and is being tried again, or why its agent does not run.
    problem: Option<&'s String>,
    /// Whether it does not start until somebody does something about its problem.
    stuck: bool,
    /// The build server that answered it last.
    server: Option<&'s String>,
    /// Where the server reaches its door.
    address: Option<SocketAddr>,
    /// How the newest change was made.
    change: Option<&'s Change>,
    /// How long the steps of the newest change took.
    timings: Option<&'s Timings>,
    /// Its agent's version.
    agent_version: Option<&'s String>,
    /// Its agent's process.
    agent_pid: Option<u32>,
    /// Its last request to the build server, UNIX milliseconds.
    last_contact: Option<u64>,
    /// Its container, where it has one.
    container: Option<&'s Container>,
    /// What its container takes.
    memory_bytes: Option<u64>,
    /// What listens in it, with `--wide`.
    listeners: Option<&'s Vec<Listener>>,
    /// When its `GATEWAY_TOKEN` ends, UNIX milliseconds.
    token_expires: Option<u64>,
}

pub(super) fn gateway_document<'s>(
    view: &'s GatewayView,
    pin: Option<&'s Pin>,
    asked: &'s Asked,
    token_expires: Option<u64>,
) -> GatewayDocument<'s> {
    let report = view.report.as_ref();
    let running = report.and_then(|report| report.running.as_ref());
    GatewayDocument {
        name: &view.name,
        http_port: view.http_port,
        vpn_port: view.vpn_port,
        enabled: view.enabled,
        state: state(view).0,
        on_trial: report.map(|report| report.on_trial),
        pinned: pin,
        running_build: running.map(|running| &running.build),
        desired_build: report.and_then(|report| report.desired_build.as_ref()),
        pid: running.map(|running| running.pid),
        since: running.map(|running| running.since),
        restarts: report.map(|report| report.restarts),
        refused: report.and_then(|report| report.refused.as_ref()),
        problem: problem(view),
        stuck: view.agent_stuck,
        server: report.and_then(|report| report.server.as_ref()),
        address: view.reach.address,
        change: report.and_then(|report| report.change.as_ref()),
        timings: report.map(|report| &report.timings),
        agent_version: report.map(|report| &report.agent_version),
        agent_pid: view.agent_pid.or(report.map(|report| report.agent_pid)),
        last_contact: view.last_contact,
        container: view.container.as_ref(),
        memory_bytes: asked.memory.get(&view.name).copied(),
        listeners: asked
            .listeners
            .get(&view.name)
            .and_then(|it| it.as_ref().ok()),
        token_expires,
    }
}

/// What is asked of engine and agents for a status, beside what the server knows.
pub(super) struct Asked {
    /// The memory of each container that runs, in bytes. Asked only for programs: it takes a moment.
    memory: BTreeMap<GatewayName, u64>,
    /// What listens in each gateway whose agent runs; only where it is wanted.
    pub(super) listeners: BTreeMap<GatewayName, Told>,
}

impl Asked {
    /// Asks all gateways side by side. What is not told is left out; the rest of a status does not
    /// need it.
    pub(super) async fn of(ctx: &Context, views: &[GatewayView], wide: bool) -> Self {
        let running = |view: &&GatewayView| view.container.as_ref().is_some_and(|it| it.running);
        let in_containers: Vec<_> = views.iter().filter(running).collect();
        let engine = match ctx.config.engine.as_ref() {
            Ok(address) if !in_containers.is_empty() && (ctx.screen.is_json() || wide) => {
                Engine::connect(address).await.ok()
            }
            Ok(_) | Err(_) => None,
        };
        let memory = async {
            match &engine {
                Some(engine) if ctx.screen.is_json() => memory(engine, &in_containers).await,
                _ => BTreeMap::new(),
            }
        };
        let listeners = async {
            if wide {
                listeners::ask(ctx, engine.as_ref(), views).await
            } else {
                BTreeMap::new()
            }
        };
        let (memory, listeners) = tokio::join!(memory, listeners);
        Self { memory, listeners }
    }
}

async fn memory(engine: &Engine, running: &[&GatewayView]) -> BTreeMap<GatewayName, u64> {
    let asked = running.iter().map(|view| async {
        let bytes = engine.memory(view.name.as_str()).await?;
        Some((view.name.clone(), bytes))
    });
    let told = futures_util::future::join_all(asked).await;
    told.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::status::tests::view;
    use serde_json::json;

    #[test]
    fn the_document_names_things_plainly() {
        let pin = Pin {
            build: BuildId::parse(&"c".repeat(12)).unwrap(),
            since: 3,
        };
        let asked = Asked {
            memory: BTreeMap::new(),
            listeners: BTreeMap::new(),
        };
        let view = view();
        let document = gateway_document(&view, Some(&pin), &asked, Some(9));
        let document = serde_json::to_value(document).unwrap();
        for (field, expected) in [
            ("running_build", json!("aaaaaaaaaaaa")),
            ("desired_build", json!("bbbbbbbbbbbb")),
            ("pid", json!(7)),
            ("state", json!("refused")),
            ("restarts", json!(1)),
            ("on_trial", json!(false)),
            ("token_expires", json!(9)),
            ("pinned", json!({"build": "cccccccccccc", "since": 3})),
        ] {
            assert_eq!(document[field], expected, "{field}");
        }
    }
}
