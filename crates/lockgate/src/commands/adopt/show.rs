//! What an adoption looks like, for people and for programs.

use std::path::Path;

use lockgate_model::{EnvName, GatewayName};
use schemars::JsonSchema;
use serde::Serialize;

use super::look::Look;
use crate::adoption::plan::Planned;
use crate::context::Context;
use crate::error::CommandError;
use crate::views::text;

/// What is told of an adoption as a whole.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum Adoption<'a> {
    /// What will be done.
    Plan {
        /// The environment.
        env: &'a EnvName,
        /// Whether it is made for this.
        new: bool,
        /// Its domain.
        domain: &'a str,
        /// Where its gateways find the platform.
        ganymede_fqdn: String,
        /// The checkout it is deployed from.
        workspace: &'a Path,
        /// The image of its gateways.
        image: &'a str,
        /// The build that they get.
        build: Option<&'a str>,
        /// The containers that something is done to.
        gateways: Vec<Adoptee<'a>>,
        /// What one should know, a sentence each.
        notes: &'a [String],
    },
    /// What was done.
    Result {
        /// Whether every gateway is as it was asked for.
        ok: bool,
        /// The environment.
        env: &'a EnvName,
        /// The gateways that were adopted.
        adopted: &'a [&'a GatewayName],
        /// Those whose container of before was started again.
        brought_back: &'a [&'a GatewayName],
        /// Those to which nothing was done.
        untouched: &'a [&'a GatewayName],
    },
}

/// A container that becomes a gateway.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Adoptee<'a> {
    /// The gateway.
    gateway: &'a GatewayName,
    /// The container's name.
    container: &'a str,
    /// Its id.
    container_id: &'a str,
    /// The image it was made from.
    image: &'a str,
    /// Whether it runs.
    running: bool,
    /// The HTTP port on the host.
    http_port: u16,
    /// The OpenVPN port on the host, UDP.
    vpn_port: u16,
    /// Its identity towards the platform's API.
    gateway_id: &'a str,
}

/// Names every container that something will be done to, and what will be otherwise.
pub(super) fn plan(ctx: &Context, env: &EnvName, found: &Look) -> Result<(), CommandError> {
    let plan = &found.plan;
    let build = found.whole.as_ref().map(|whole| whole.build.as_str());
    if ctx.screen.is_json() {
        let ganymede_fqdn = plan.ganymede.clone();
        return ctx.screen.document(&Adoption::Plan {
            env,
            new: found.environment.is_none(),
            domain: &plan.domain,
            ganymede_fqdn: ganymede_fqdn.unwrap_or_else(|| format!("ganymede.{}", plan.domain)),
            workspace: found.workspace.root(),
            image: found.docker.image(),
            build,
            gateways: plan.gateways.iter().map(described).collect(),
            notes: &plan.notes,
        });
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
fn described(one: &Planned) -> Adoptee<'_> {
    Adoptee {
        gateway: &one.gateway,
        container: &one.name,
        container_id: &one.container,
        image: &one.image,
        running: one.running,
        http_port: one.identity.http_port,
        vpn_port: one.identity.vpn_port,
        gateway_id: &one.identity.id,
    }
}

/// The end where nothing was to be done, or nothing shall be.
pub(super) fn nothing_done(ctx: &Context, env: &EnvName, found: &Look) -> Result<(), CommandError> {
    if ctx.screen.is_json() {
        let untouched = found.plan.gateways.iter().map(|one| &one.gateway);
        return ctx.screen.document(&Adoption::Result {
            ok: true,
            env,
            adopted: &[],
            brought_back: &[],
            untouched: &untouched.collect::<Vec<_>>(),
        });
    }
    ctx.screen.say(if found.plan.gateways.is_empty() {
        "nothing to adopt"
    } else {
        "nothing was changed"
    });
    Ok(())
}
