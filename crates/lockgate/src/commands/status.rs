//! `lockgate status`: what every gateway runs, and what it should; and how services are.

mod older;
mod own;
mod services;
mod whole;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::Args;
use lockgate_model::{EnvName, GatewayName, Phase};
use serde_json::{Value, json};

use self::own::Own;
pub(crate) use self::services::{service_document, state as service_state};
use self::whole::Whole;
use crate::context::{Context, now_ms};
use crate::environment::{Environment, Pin};
use crate::error::CommandError;
use crate::runtime::docker::engine::Engine;
use crate::server::control::{ControlClient, GatewayView};
use crate::views::outcome::unavailable;
use crate::views::paint::Tone;
use crate::views::table::{self, Cell, Column};
use crate::views::text;

/// Show what every gateway runs, and how services are
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The environment; all of them where none is named and several fit
    #[arg(value_name = "ENV")]
    named: Option<EnvName>,
    /// Also show where the server reaches each gateway, and where that finds the server
    #[arg(long, short)]
    wide: bool,
}

/// With `--wide`.
const MORE: [Column; 2] = [
    Column::expendable("ADDRESS", 2),
    Column::expendable("SERVER", 3),
];

const COLUMNS: [Column; 8] = [
    Column::name("GATEWAY"),
    Column::expendable("PORT", 4),
    Column::kept("RUNNING"),
    Column::expendable("DESIRED", 1),
    Column::kept("STATE"),
    Column::expendable("PID", 6),
    Column::expendable("RESTARTS", 5),
    Column::expendable("SINCE", 7),
];

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
        if ctx.screen.is_json() {
            let memory = memory(ctx, &views).await;
            let mut document = document(environment, &whole, &own, &views, &memory);
            if let Some(fields) = document.as_object_mut() {
                let services = services.iter().map(service_document).collect();
                fields.insert("services".to_owned(), Value::Array(services));
            }
            documents.push(document);
            continue;
        }
        let gap = if position == 0 { "" } else { "\n" };
        ctx.screen.data(&format!(
            "{gap}{}{}",
            rendered(environment, (&whole, &own), &views, args.wide, ctx),
            services::rendered(&services, ctx)
        ))?;
    }
    if ctx.screen.is_json() {
        let server = server.as_ref().map(|(_, server)| server);
        return ctx
            .screen
            .json(&json!({"environments": documents, "server": server}));
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
        container: None,
        reach: crate::runtime::Reach::default(),
        last_contact: None,
        report: None,
    }
}

/// One word for where a gateway is.
pub(crate) fn state(view: &GatewayView) -> (&'static str, Tone) {
    let Some(report) = &view.report else {
        return match (view.enabled, &view.agent_problem, view.agent_pid) {
            (false, ..) => ("stopped", Tone::Dim),
            (true, Some(_), _) => ("no agent", Tone::Bad),
            // The agent runs and has not said anything yet.
            (true, None, Some(_)) => ("silent", Tone::Busy),
            (true, None, None) if view.container.is_some() => ("silent", Tone::Busy),
            (true, None, None) => ("unknown", Tone::Dim),
        };
    };
    if !view.enabled {
        return ("stopped", Tone::Dim);
    }
    if report.refused.is_some() {
        return ("refused", Tone::Bad);
    }
    let tone = match report.phase {
        Phase::Ready => Tone::Good,
        Phase::Backoff => Tone::Bad,
        Phase::Waiting | Phase::Stopped => Tone::Dim,
        Phase::Fetching
        | Phase::Verifying
        | Phase::Booting
        | Phase::Draining
        | Phase::Stopping
        | Phase::Starting => Tone::Busy,
    };
    (report.phase.as_str(), tone)
}

/// The memory of each container that runs, in bytes. Asked only for programs: it takes a moment.
async fn memory(ctx: &Context, views: &[GatewayView]) -> BTreeMap<GatewayName, u64> {
    let running = |view: &&GatewayView| view.container.as_ref().is_some_and(|it| it.running);
    let running: Vec<_> = views.iter().filter(running).collect();
    let Ok(address) = ctx.config.engine.as_ref() else {
        return BTreeMap::new();
    };
    if running.is_empty() {
        return BTreeMap::new();
    }
    // What the engine does not tell is left out; the rest of the status does not need it.
    let Ok(engine) = Engine::connect(address).await else {
        return BTreeMap::new();
    };
    let asked = running.into_iter().map(|view| async {
        let bytes = engine.memory(view.name.as_str()).await?;
        Some((view.name.clone(), bytes))
    });
    let told = futures_util::future::join_all(asked).await;
    told.into_iter().flatten().collect()
}

fn document(
    environment: &Environment,
    whole: &Whole,
    own: &Own,
    views: &[GatewayView],
    memory: &BTreeMap<GatewayName, u64>,
) -> Value {
    let gateway = |view: &GatewayView| {
        let memory = memory.get(&view.name).copied();
        let mut document = gateway_document(view, pin(environment, view), memory);
        if let Some(fields) = document.as_object_mut() {
            fields.insert("token_expires".to_owned(), json!(own.expires(&view.name)));
        }
        document
    };
    json!({
        "env": environment.name,
        "domain": environment.domain,
        "workspace": environment.workspace,
        "build": whole.build(),
        "rollout": whole.document(),
        "variables": own.variables(),
        "gateways": views.iter().map(gateway).collect::<Vec<_>>(),
    })
}

fn pin<'e>(environment: &'e Environment, view: &GatewayView) -> Option<&'e Pin> {
    let mut pinned = environment.pinned();
    let (_, pin) = pinned.find(|(gateway, _)| environment.gateway_name(gateway) == view.name)?;
    Some(pin)
}

fn gateway_document(view: &GatewayView, pin: Option<&Pin>, memory: Option<u64>) -> Value {
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
        "server": report.and_then(|report| report.server.as_ref()),
        "address": view.reach.address,
        "change": report.and_then(|report| report.change.as_ref()),
        "timings": report.map(|report| &report.timings),
        "agent_version": report.map(|report| &report.agent_version),
        "agent_pid": view.agent_pid.or(report.map(|report| report.agent_pid)),
        "last_contact": view.last_contact,
        "container": view.container,
        "memory_bytes": memory,
    })
}

fn problem(view: &GatewayView) -> Option<&String> {
    let report = view.report.as_ref();
    view.agent_problem
        .as_ref()
        .or_else(|| report?.problem.as_ref())
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

fn row(view: &GatewayView, pin: Option<&Pin>, now: u64) -> [Cell; 8] {
    let report = view.report.as_ref();
    let running = report.and_then(|report| report.running.as_ref());
    let desired = report.and_then(|report| report.desired_build.as_ref());
    let behind = running.map(|running| &running.build) != desired;
    let (word, tone) = state(view);
    let on_trial = report.is_some_and(|it| it.phase == Phase::Ready && it.on_trial);
    let trial = if on_trial { ", on trial" } else { "" };
    let pinned = pin.map_or("", |_| ", pinned");
    [
        view.name.as_str().into(),
        view.http_port.to_string().into(),
        Cell::maybe(running.map(|running| &running.build)).in_tone(if behind {
            Tone::Busy
        } else {
            Tone::Plain
        }),
        Cell::maybe(desired),
        Cell::new(
            format!("{word}{trial}{pinned}"),
            if on_trial { Tone::Busy } else { tone },
        ),
        Cell::maybe(running.map(|running| running.pid)),
        Cell::maybe(report.map(|report| report.restarts)),
        Cell::maybe(running.map(|running| text::ago(running.since, now))),
    ]
}

/// What `--wide` shows of a gateway.
fn more(view: &GatewayView) -> [Cell; 2] {
    let report = view.report.as_ref();
    [
        Cell::maybe(view.reach.address),
        Cell::maybe(report.and_then(|report| report.server.as_ref())),
    ]
}

fn beside<T>(row: [T; 8], [address, server]: [T; 2]) -> [T; 10] {
    let [gateway, port, running, desired, state, pid, restarts, since] = row;
    [
        gateway, port, running, desired, state, pid, restarts, since, address, server,
    ]
}

/// A gateway that has a build of its own, and how that ends.
fn pinned(view: &GatewayView, pin: &Pin, now: u64) -> String {
    let (env, number) = (view.name.env(), view.name.number());
    format!(
        "{} is pinned to {} ({}); `lockgate deploy {env} --gateway {number} --unpin` ends that",
        view.name,
        pin.build,
        text::ago(pin.since, now)
    )
}

/// What a reader must know beyond the row.
fn notes(view: &GatewayView, now: u64) -> Vec<String> {
    let mut notes = Vec::new();
    let report = view.report.as_ref();
    let runs = report.and_then(|report| report.running.as_ref());
    if let Some(refused) = report.and_then(|report| report.refused.as_ref()) {
        let (build, reason) = (&refused.build, &refused.reason);
        let told = match runs.map(|running| &running.build) {
            Some(runs) if runs == build => format!(
                "refused new settings of {build} because it {reason}, runs it with those before"
            ),
            Some(runs) => format!("refused {build} because it {reason}, runs {runs}"),
            None => format!("refused {build} because it {reason}, runs nothing"),
        };
        notes.push(told + &unavailable(refused.unavailable_ms));
    }
    notes.extend(problem(view).cloned());
    notes.extend(older::note(view));
    // While it boots nobody answers, and nobody has to.
    let ready = report.is_some_and(|report| report.phase == Phase::Ready);
    notes.extend(view.reach.problem.clone().filter(|_| ready));
    // An agent asks at least once a minute; twice that without a word is worth saying.
    let silent = view
        .last_contact
        .filter(|last| view.enabled && now.saturating_sub(*last) > 120_000);
    notes.extend(silent.map(|last| format!("last heard of {}", text::ago(last, now))));
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::{BuildId, Refusal, Report, Running, Timings};

    fn view() -> GatewayView {
        let name = GatewayName::parse("gw-pool-dev-0").unwrap();
        let build = |digit: &str| BuildId::parse(&digit.repeat(12)).unwrap();
        GatewayView {
            http_port: 7100,
            vpn_port: 49100,
            enabled: true,
            agent_pid: Some(5),
            agent_problem: None,
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

    #[test]
    fn a_refused_build_is_explained() {
        assert_eq!(state(&view()).0, "refused");
        assert_eq!(
            notes(&view(), 60_000),
            [
                "refused bbbbbbbbbbbb because it exited with code 1, runs aaaaaaaaaaaa; nothing answered for 640 ms"
            ]
        );
    }

    #[test]
    fn a_ready_gateway_that_is_not_reached_is_told_and_one_that_boots_is_not() {
        let mut view = view();
        view.reach.problem = Some("not reached".to_owned());
        assert!(notes(&view, 0).contains(&"not reached".to_owned()));
        view.report.as_mut().unwrap().phase = Phase::Booting;
        assert!(!notes(&view, 0).contains(&"not reached".to_owned()));
    }

    #[test]
    fn a_silent_agent_and_one_that_does_not_run_are_told() {
        assert_eq!(
            notes(&view(), 300_000).last().unwrap(),
            "last heard of 5 min ago"
        );
        let dead = GatewayView {
            report: None,
            agent_problem: Some("exited with code 78".to_owned()),
            ..view()
        };
        assert_eq!(state(&dead).0, "no agent");
        assert_eq!(notes(&dead, 0), ["exited with code 78"]);
        assert_eq!(
            state(&GatewayView {
                enabled: false,
                ..view()
            })
            .0,
            "stopped"
        );
    }

    #[test]
    fn a_row_tells_a_trial_and_a_pin_beside_the_state() {
        let mut view = view();
        let report = view.report.as_mut().unwrap();
        report.refused = None;
        report.on_trial = true;
        let pin = Pin {
            build: BuildId::parse(&"a".repeat(12)).unwrap(),
            since: 0,
        };
        let row = row(&view, Some(&pin), 120_000);
        assert_eq!(row[4], Cell::new("ready, on trial, pinned", Tone::Busy));
        assert_eq!(
            pinned(&view, &pin, 120_000),
            "gw-pool-dev-0 is pinned to aaaaaaaaaaaa (2 min ago); `lockgate deploy dev --gateway 0 --unpin` ends that"
        );
    }

    #[test]
    fn the_document_names_things_plainly() {
        let pin = Pin {
            build: BuildId::parse(&"c".repeat(12)).unwrap(),
            since: 3,
        };
        let document = gateway_document(&view(), Some(&pin), None);
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
