//! `lockgate status`: what every gateway runs, and what it should; and how services are.

mod document;
pub(crate) mod listeners;
pub(crate) mod notes;
mod older;
pub(crate) mod own;
mod row;
pub(crate) mod services;
pub(crate) mod whole;

use std::fmt::Write as _;
use std::path::Path;

use clap::Args;
use lockgate_model::{BuildId, EnvName};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use self::document::{Asked, GatewayDocument, gateway_document};
use self::notes::{notes, pinned};
use self::own::Own;
pub(crate) use self::row::state;
use self::row::{COLUMNS, MORE, beside, more, row};
pub(crate) use self::services::{ServiceDocument, service_document, state as service_state};
use self::whole::{RolloutDocument, Whole};
use crate::context::{Context, now_ms};
use crate::environment::variables::Shown;
use crate::environment::{Environment, Pin};
use crate::error::CommandError;
use crate::server::ServerDescription;
use crate::server::control::{ControlClient, GatewayView, ServiceView};
use crate::views::paint::Tone;
use crate::views::table;

/// Show what every gateway runs, and how services are
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The environment; all of them where none is named and several fit
    #[arg(value_name = "ENV")]
    named: Option<EnvName>,
    /// Also show where the server reaches each gateway and where that finds the server, and what
    /// listens in it beside what should
    #[arg(long, short)]
    wide: bool,
}

/// Prints a table for each environment, and what is wrong below it.
pub(crate) async fn status(args: StatusArgs, ctx: &Context) -> Result<(), CommandError> {
    let environments = chosen(&args, ctx)?;
    let server = ControlClient::connect(&ctx.config.home).await;
    let mut documents = Vec::new();
    for (position, environment) in environments.iter().enumerate() {
        let (views, services) = if let Some((control, _)) = &server {
            let now = std::time::Duration::ZERO;
            let view = control.gateways(&environment.name, None, now).await?;
            (view.gateways, view.services)
        } else {
            let gateways = environment.gateways.iter();
            let gateways = gateways.map(|gateway| unknown(environment, gateway));
            (gateways.collect(), services::unknown(ctx, environment))
        };
        let whole = Whole::read(ctx, environment)?;
        let own = Own::read(ctx, environment)?;
        let asked = Asked::of(ctx, &views, args.wide).await;
        if ctx.screen.is_json() {
            let known = (&whole, &own, &asked);
            let document = document(environment, known, &views, &services);
            // Written now: what it was made from is gone with this environment's turn.
            let document = serde_json::to_value(document)
                .map_err(|error| CommandError::failed("cannot write JSON").because(&error))?;
            documents.push(document);
            continue;
        }
        let gap = if position == 0 { "" } else { "\n" };
        ctx.screen.data(&format!(
            "{gap}{}{}",
            rendered(environment, (&whole, &own), &views, args.wide, ctx),
            listeners::rendered(&asked.listeners, ctx)
                + &services::rendered(&environment.name, &services, ctx)
        ))?;
    }
    if ctx.screen.is_json() {
        let server = server.as_ref().map(|(_, server)| server);
        return ctx.screen.document(&Statuses {
            environments: documents,
            server,
        });
    }
    if environments.is_empty() {
        ctx.screen.say("no environments yet");
        ctx.screen
            .hint("`lockgate up` makes one, builds, deploys and watches");
    } else if server.is_none() {
        ctx.screen.warn("no server runs, so nothing is known of the gateways; `lockgate serve --detach` starts it");
    }
    Ok(())
}

/// The environment that is meant; without a name and without a default, all of them.
fn chosen(args: &StatusArgs, ctx: &Context) -> Result<Vec<Environment>, CommandError> {
    match ctx.env_name(args.named.as_ref()) {
        Ok(env) => Ok(vec![Environment::load(&ctx.config.home, &env)?]),
        Err(error) if error.is_usage() => Ok(Environment::list(&ctx.config.home)?),
        Err(error) => Err(error),
    }
}

fn unknown(environment: &Environment, gateway: &crate::environment::Gateway) -> GatewayView {
    GatewayView {
        name: environment.gateway_name(gateway),
        http_port: gateway.http_port,
        vpn_port: gateway.vpn_port,
        enabled: gateway.enabled,
        agent_pid: None,
        agent_problem: None,
        agent_stuck: false,
        container: None,
        reach: crate::runtime::Reach::default(),
        last_contact: None,
        report: None,
    }
}

/// All that was asked for, for programs.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Statuses<'s> {
    /// The environments.
    #[schemars(with = "Vec<Status<'static>>")]
    environments: Vec<Value>,
    /// The server; null where none runs, and then little is known of gateways.
    server: Option<&'s ServerDescription>,
}

/// An environment for programs.
#[derive(Debug, Serialize, JsonSchema)]
struct Status<'s> {
    /// Its name.
    env: &'s EnvName,
    /// Its domain.
    domain: &'s str,
    /// The checkout it is deployed from.
    workspace: &'s Path,
    /// The build that was published to every gateway last.
    build: Option<&'s BuildId>,
    /// A publication that has not reached every gateway.
    rollout: Option<RolloutDocument<'s>>,
    /// The variables that are set for it, their values as digests.
    variables: &'s [Shown],
    /// Its gateways.
    gateways: Vec<GatewayDocument<'s>>,
    /// Its services.
    services: Vec<ServiceDocument<'s>>,
}

fn document<'s>(
    environment: &'s Environment,
    (whole, own, asked): (&'s Whole, &'s Own, &'s Asked),
    views: &'s [GatewayView],
    services: &'s [ServiceView],
) -> Status<'s> {
    let gateway = |view: &'s GatewayView| {
        let token_expires = own.expires(&view.name);
        gateway_document(view, pin(environment, view), asked, token_expires)
    };
    Status {
        env: &environment.name,
        domain: &environment.domain,
        workspace: &environment.workspace,
        build: whole.build(),
        rollout: whole.document(),
        variables: own.variables(),
        gateways: views.iter().map(gateway).collect(),
        services: services.iter().map(service_document).collect(),
    }
}

fn pin<'e>(environment: &'e Environment, view: &GatewayView) -> Option<&'e Pin> {
    let mut pinned = environment.pinned();
    let (_, pin) = pinned.find(|(gateway, _)| environment.gateway_name(gateway) == view.name)?;
    Some(pin)
}

fn rendered(
    environment: &Environment,
    (whole, own): (&Whole, &Own),
    views: &[GatewayView],
    wide: bool,
    ctx: &Context,
) -> String {
    let (paint, now) = (ctx.screen.out, now_ms());
    let rows: Vec<_> = views
        .iter()
        .map(|view| row(view, pin(environment, view), now))
        .collect();
    let mut text = format!(
        "{}  {}\n",
        paint.strong(environment.name.as_str()),
        paint.dim(&environment.workspace.display().to_string())
    );
    let width = ctx.screen.width;
    text.push_str(&if wide {
        let rows = rows.into_iter().zip(views);
        let rows: Vec<_> = rows.map(|(row, view)| beside(row, more(view))).collect();
        table::render(beside(COLUMNS, MORE), &rows, width, paint)
    } else {
        table::render(COLUMNS, &rows, width, paint)
    });
    // Writing to a String cannot fail.
    if let Some(note) = whole.note(now) {
        let _ = writeln!(text, "{} {note}", paint.tone(Tone::Busy, "!"));
    }
    for view in views {
        for note in notes(view, now)
            .into_iter()
            .map(|(_, text)| text)
            .chain(own.note(&view.name, now))
        {
            let _ = writeln!(text, "{} {}: {note}", paint.tone(Tone::Bad, "!"), view.name);
        }
        if let Some(pin) = pin(environment, view) {
            let _ = writeln!(text, "{} {}", paint.dim("·"), pinned(view, pin, now));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::{BuildId, GatewayName, Phase, Refusal, Report, Running, Timings};

    /// A gateway that refused a build and runs the one before.
    pub(super) fn view() -> GatewayView {
        let name = GatewayName::parse("gw-pool-dev-0").unwrap();
        let build = |digit: &str| BuildId::parse(&digit.repeat(12)).unwrap();
        GatewayView {
            http_port: 7100,
            vpn_port: 49100,
            enabled: true,
            agent_pid: Some(5),
            agent_problem: None,
            agent_stuck: false,
            container: None,
            reach: crate::runtime::Reach::default(),
            last_contact: Some(0),
            report: Some(Report {
                on_trial: false,
                change: None,
                env: name.env(),
                gateway: name.clone(),
                agent_version: "0.1.0".to_owned(),
                agent_pid: 5,
                seq: 2,
                settled: 2,
                desired_build: Some(build("b")),
                phase: Phase::Ready,
                running: Some(Running {
                    build: build("a"),
                    pid: 7,
                    since: 0,
                }),
                restarts: 1,
                refused: Some(Refusal {
                    unavailable_ms: Some(640),
                    build: build("b"),
                    seq: 2,
                    reason: "exited with code 1".to_owned(),
                    log: Vec::new(),
                }),
                problem: None,
                server: Some("http://127.0.0.1:8090".to_owned()),
                timings: Timings::default(),
            }),
            name,
        }
    }
}
