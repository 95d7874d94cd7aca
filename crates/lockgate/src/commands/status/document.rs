//! A gateway for programs.

use std::collections::BTreeMap;

use lockgate_model::GatewayName;
use serde_json::{Value, json};

use super::listeners::{self, Told};
use super::notes::problem;
use super::row::state;
use crate::context::Context;
use crate::environment::Pin;
use crate::runtime::docker::engine::Engine;
use crate::server::control::GatewayView;

pub(super) fn gateway_document(view: &GatewayView, pin: Option<&Pin>, asked: &Asked) -> Value {
    let report = view.report.as_ref();
    let running = report.and_then(|report| report.running.as_ref());
    json!({
        "name": view.name,
        "http_port": view.http_port,
        "vpn_port": view.vpn_port,
        "enabled": view.enabled,
        "state": state(view).0,
        "on_trial": report.map(|report| report.on_trial),
        "pinned": pin,
        "running_build": running.map(|running| &running.build),
        "desired_build": report.and_then(|report| report.desired_build.as_ref()),
        "pid": running.map(|running| running.pid),
        "since": running.map(|running| running.since),
        "restarts": report.map(|report| report.restarts),
        "refused": report.and_then(|report| report.refused.as_ref()),
        "problem": problem(view),
        "stuck": view.agent_stuck,
        "server": report.and_then(|report| report.server.as_ref()),
        "address": view.reach.address,
        "change": report.and_then(|report| report.change.as_ref()),
        "timings": report.map(|report| &report.timings),
        "agent_version": report.map(|report| &report.agent_version),
        "agent_pid": view.agent_pid.or(report.map(|report| report.agent_pid)),
        "last_contact": view.last_contact,
        "container": view.container,
        "memory_bytes": asked.memory.get(&view.name),
        "listeners": asked.listeners.get(&view.name).and_then(|it| it.as_ref().ok()),
    })
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
    use lockgate_model::BuildId;

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
        let document = gateway_document(&view(), Some(&pin), &asked);
        for (field, expected) in [
            ("running_build", json!("aaaaaaaaaaaa")),
            ("desired_build", json!("bbbbbbbbbbbb")),
            ("pid", json!(7)),
            ("state", json!("refused")),
            ("restarts", json!(1)),
            ("on_trial", json!(false)),
            ("pinned", json!({"build": "cccccccccccc", "since": 3})),
        ] {
            assert_eq!(document[field], expected, "{field}");
        }
    }
}
