//! What an adoption looks like, for people and for programs.

use lockgate_model::EnvName;
use serde_json::{Value, json};

use super::look::Look;
use crate::adoption::plan::Planned;
use crate::context::Context;
use crate::error::CommandError;
use crate::views::text;

/// Names every container that something will be done to, and what will be otherwise.
pub(super) fn plan(ctx: &Context, env: &EnvName, found: &Look) -> Result<(), CommandError> {
    let plan = &found.plan;
    let build = found.whole.as_ref().map(|whole| whole.build.as_str());
    if ctx.screen.is_json() {
        return ctx.screen.json(&json!({
            "event": "plan",
            "env": env,
            "new": found.environment.is_none(),
            "domain": plan.domain,
            "ganymede_fqdn": plan.ganymede.clone().unwrap_or_else(|| format!("ganymede.{}", plan.domain)),
            "workspace": found.workspace.root(),
            "image": found.docker.image(),
            "build": build,
            "gateways": plan.gateways.iter().map(described).collect::<Vec<_>>(),
            "notes": plan.notes,
        }));
    }
    for note in &plan.notes {
        ctx.screen.warn(note);
    }
    if plan.gateways.is_empty() {
        return Ok(());
    }
    let kept = match &found.environment {
        Some(_) => "is there".to_owned(),
        None => format!("is made for {}", found.workspace.root().display()),
    };
    ctx.screen.say(&format!(
        "environment {env} ({}) {kept}; {} from `{}`, with build {}:",
        plan.domain,
        text::count(plan.gateways.len(), "gateway"),
        found.docker.image(),
        build.unwrap_or("-"),
    ));
    for one in &plan.gateways {
        let identity = &one.identity;
        let id: String = one.container.chars().take(12).collect();
        ctx.screen.say(&format!(
            "  {}  {id}  {}  ports {}, {}  id {}",
            one.name, one.image, identity.http_port, identity.vpn_port, identity.id
        ));
    }
    Ok(())
}

/// A gateway for programs; its token is nobody's.
fn described(one: &Planned) -> Value {
    json!({
        "gateway": one.gateway,
        "container": one.name,
        "container_id": one.container,
        "image": one.image,
        "running": one.running,
        "http_port": one.identity.http_port,
        "vpn_port": one.identity.vpn_port,
        "gateway_id": one.identity.id,
    })
}

/// The end where nothing was to be done, or nothing shall be.
pub(super) fn nothing_done(ctx: &Context, env: &EnvName, found: &Look) -> Result<(), CommandError> {
    if ctx.screen.is_json() {
        return ctx.screen.json(&json!({
            "event": "result", "ok": true, "env": env, "adopted": [], "brought_back": [],
            "untouched": found.plan.gateways.iter().map(|one| &one.gateway).collect::<Vec<_>>(),
        }));
    }
    ctx.screen.say(if found.plan.gateways.is_empty() {
        "nothing to adopt"
    } else {
        "nothing was changed"
    });
    Ok(())
}
