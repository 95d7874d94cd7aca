//! What there is of each environment, its gateways and services.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use lockgate_model::GatewayName;
use lockgate_model::vpn::is_of_vpn;
use tokio::time::timeout;

use super::super::check::{Check, Finding, Group, State};
use super::super::vpn::{self, Told};
use super::super::{environment, gateway};
use super::{Facts, apart, of_files};
use crate::commands::checkout::gone;
use crate::commands::status::listeners;
use crate::commands::status::own::Own;
use crate::commands::status::whole::Whole;
use crate::commands::vpn::ask;
use crate::context::now_ms;
use crate::environment::{Environment, RuntimeKind};
use crate::error::CommandError;
use crate::runtime::docker::engine::Engine;
use crate::server::control::{GatewayView, GatewaysView};
use crate::workspace::Workspace;

const GROUP: Group = Group::Environment;
/// How long an agent may take to tell of its VPN: it reads the rules back.
const VPN: Duration = Duration::from_secs(8);

pub(super) async fn look(facts: &Facts<'_>) -> Vec<Check> {
    let each = facts.meant().map(|environment| one(facts, environment));
    join_all(each).await.concat()
}

async fn one(facts: &Facts<'_>, environment: &Environment) -> Vec<Check> {
    let env = &environment.name;
    let (files, deploy, running) = tokio::join!(
        of_disk(environment),
        deploy(facts, environment),
        running(facts, environment)
    );
    let all = [files, deploy, running].concat().into_iter();
    all.map(|it| it.of_env(env)).collect()
}

/// Its workspace and what that says.
async fn of_disk(environment: &Environment) -> Vec<Check> {
    let environment = environment.clone();
    of_files(GROUP, "workspace", move || {
        let there = environment.workspace.exists();
        let error = (!there).then(|| gone(&environment));
        let workspace = environment::workspace(&environment, error.as_ref());
        let mut all = vec![Check::new(GROUP, "workspace", workspace)];
        if there {
            let settings = environment::settings(&problems(&environment)).into_iter();
            all.extend(settings.map(|it| Check::new(GROUP, "lockgate.toml", it)));
        }
        all
    })
    .await
}

/// What is wrong with its lockgate.toml.
fn problems(environment: &Environment) -> Vec<CommandError> {
    match Workspace::open(&environment.workspace) {
        Err(error) => vec![error.into()],
        Ok(workspace) => {
            let all = workspace.problems(&environment.name).into_iter();
            all.map(CommandError::from).collect()
        }
    }
}

/// A deploy that stopped half-way.
async fn deploy(facts: &Facts<'_>, environment: &Environment) -> Vec<Check> {
    let (ctx, environment) = (facts.ctx.clone(), environment.clone());
    of_files(GROUP, "deploy", move || {
        let finding = match Whole::read(&ctx, &environment) {
            Ok(whole) => environment::deploy(whole.note(now_ms()).as_deref()),
            Err(error) => Some(Finding::of(State::Error, &error)),
        };
        let check = finding.map(|it| Check::new(GROUP, "deploy", it));
        check.into_iter().collect()
    })
    .await
}

/// Its gateways and services, as the server sees them.
async fn running(facts: &Facts<'_>, environment: &Environment) -> Vec<Check> {
    let Some(control) = facts.control() else {
        let finding = Finding::skipped(environment::NO_SERVER);
        return vec![Check::new(GROUP, "gateways", finding)];
    };
    let view = control
        .gateways(&environment.name, None, Duration::ZERO)
        .await;
    let view: GatewaysView = match view {
        Ok(view) => view,
        Err(error) => {
            let finding = Finding::of(State::Error, &error.into());
            return vec![Check::new(GROUP, "gateways", finding)];
        }
    };
    let engine = facts.engine.as_ref().ok();
    let engine = engine.filter(|_| environment.runtime == RuntimeKind::Docker);
    let (told, vpns) = tokio::join!(
        listeners::ask(facts.ctx, engine, &view.gateways),
        vpns(engine, environment, &view.gateways)
    );
    // One whose variables cannot be read is told by who needs them.
    let (ctx, its) = (facts.ctx.clone(), environment.clone());
    let own = apart(move || Own::read(&ctx, &its).ok()).await.flatten();
    let mut all = Vec::new();
    for one in &view.gateways {
        let now = now_ms();
        let token = own.as_ref().and_then(|own| own.note(&one.name, now));
        let found = gateway::gateway(one, token.as_deref(), now).into_iter();
        all.extend(found.map(|it| (gateway::NAME, &one.name, it)));
        let ports = gateway::ports(one, told.get(&one.name)).into_iter();
        all.extend(ports.map(|it| ("ports", &one.name, it)));
        all.extend(vpns.get(&one.name).map(|it| ("vpn", &one.name, it.clone())));
    }
    let gateways = all
        .into_iter()
        .map(|(name, gateway, it)| Check::new(GROUP, name, it).of_gateway(gateway));
    let mut checks: Vec<Check> = gateways.collect();
    for service in &view.services {
        let found = environment::service(environment, service, now_ms()).into_iter();
        checks.extend(found.map(|it| Check::new(GROUP, service.name.as_str(), it)));
    }
    checks
}

/// The VPN of each gateway that serves an organization.
async fn vpns(
    engine: Option<&Engine>,
    environment: &Environment,
    views: &[GatewayView],
) -> BTreeMap<GatewayName, Finding> {
    if environment.runtime != RuntimeKind::Docker {
        return BTreeMap::new();
    }
    let serves = |view: &&GatewayView| {
        let mut gateways = environment.gateways.iter();
        let its = gateways.find(|it| environment.gateway_name(it) == view.name);
        view.enabled && its.is_some_and(|it| it.organization.is_some())
    };
    let each = views.iter().filter(serves).map(|view| async {
        let told = match engine {
            Some(engine) => told(engine, &view.name).await,
            None => Err("no engine answers".to_owned()),
        };
        let complaint = view.report.as_ref().and_then(|it| it.problem.as_deref());
        let complaint = complaint.filter(|it| is_of_vpn(it));
        let told = told.as_ref().map_err(String::as_str);
        (view.name.clone(), vpn::vpn(&view.name, told, complaint))
    });
    join_all(each).await.into_iter().collect()
}

/// What an agent tells of its VPN at this moment.
async fn told(engine: &Engine, gateway: &GatewayName) -> Result<Told, String> {
    let words = ["status", "--format", "json"].map(str::to_owned);
    let asked = timeout(VPN, ask(engine, gateway.as_str(), words.into_iter())).await;
    let within = || format!("no answer within {}", humantime::format_duration(VPN));
    let said = asked.map_err(|_| within())?;
    let said = said.map_err(|error| error.in_two().0)?;
    serde_json::from_str(&said).map_err(|error| format!("its agent answered no JSON: {error}"))
}
