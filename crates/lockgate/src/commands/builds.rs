//! `lockgate builds`: what was published when, by whom, from which commit, and what became of it.

use std::fmt::Write as _;

use clap::Args;
use lockgate_builds::store::Publication;
use lockgate_model::{BuildId, EnvName};
use schemars::JsonSchema;
use serde::Serialize;

use crate::context::{Context, now_ms};
use crate::deploy::events::LeftPinned;
use crate::deploy::is_for_all;
use crate::deploy::refusals::Refusals;
use crate::environment::desired::Desired;
use crate::error::CommandError;
use crate::server::control::{ControlClient, GatewaysView};
use crate::views::paint::Tone;
use crate::views::table::{self, Cell, Column};
use crate::views::text;

/// List builds: what was published when, from which commit
#[derive(Debug, Args)]
pub(crate) struct BuildsArgs {
    /// The environment
    #[arg(value_name = "ENV")]
    named: Option<EnvName>,
}

const COLUMNS: [Column; 7] = [
    Column::kept("BUILD"),
    Column::expendable("PUBLISHED", 1),
    Column::expendable("ACTION", 2),
    Column::kept("STATE"),
    Column::expendable("COMMIT", 3),
    Column::expendable("BRANCH", 4),
    Column::expendable("BY", 5),
];

/// An environment's builds.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Builds<'b> {
    /// The environment.
    env: &'b EnvName,
    /// The build that was published to every gateway last.
    current: Option<&'b BuildId>,
    /// What was published, newest first.
    publications: Vec<&'b Publication>,
    /// The builds that are in the store.
    stored: &'b [BuildId],
    /// Those of them that were never published.
    only_packed: &'b [BuildId],
    /// The builds that gateways run; null where no server runs that knows.
    running: Option<Vec<&'b BuildId>>,
    /// Gateways that have a build of their own.
    pinned: Vec<LeftPinned>,
    /// The builds that gateways gave up on.
    refused: Vec<Refused<'b>>,
}

/// A build that a gateway gave up on.
#[derive(Debug, Serialize, JsonSchema)]
struct Refused<'b> {
    /// The build.
    build: &'b BuildId,
    /// Why.
    reason: &'b str,
}

/// Prints publications, newest first, then builds that were only packed.
pub(crate) async fn builds(args: BuildsArgs, ctx: &Context) -> Result<(), CommandError> {
    let environment = ctx.environment(args.named.as_ref())?;
    let store = ctx.store()?;
    let history = store.publications(&environment.name)?;
    let mut packed = store.builds(&environment.name)?;
    let stored = packed.clone();
    packed.retain(|build| {
        !history
            .iter()
            .any(|publication| publication.build == *build)
    });
    let control = ControlClient::connect(&ctx.config.home)
        .await
        .map(|(control, _)| control);
    let (refusals, view) =
        Refusals::known(&ctx.config.home, &environment.name, control.as_ref()).await?;
    let pinned: Vec<_> = environment
        .pinned()
        .map(|(gateway, pin)| (environment.gateway_name(gateway), pin.clone()))
        .collect();
    let states = States {
        running: view.as_ref().map(running).unwrap_or_default(),
        refusals,
        pinned: pinned.iter().map(|(_, pin)| pin.build.clone()).collect(),
    };
    let desired = Desired::load(&ctx.config.home, &environment.name)?.whole;
    let last = history.iter().rev().find(|line| is_for_all(line));
    let current = desired.map(|whole| whole.build);
    let current = current.or_else(|| last.map(|line| line.build.clone()));
    if ctx.screen.is_json() {
        let refused = states.refusals.iter();
        let pinned = pinned.into_iter().map(|(gateway, pin)| LeftPinned {
            gateway,
            build: pin.build,
            since: pin.since,
        });
        return ctx.screen.document(&Builds {
            env: &environment.name,
            current: current.as_ref(),
            publications: history.iter().rev().collect(),
            stored: &stored,
            only_packed: &packed,
            running: view.is_some().then(|| states.running.iter().collect()),
            pinned: pinned.collect(),
            refused: refused
                .map(|(build, reason)| Refused { build, reason })
                .collect(),
        });
    }
    if history.is_empty() && packed.is_empty() {
        ctx.screen
            .say(&format!("no builds of `{}` yet", environment.name));
        ctx.screen.hint(&format!(
            "`lockgate deploy {}` makes the first",
            environment.name
        ));
        return Ok(());
    }
    let mut text = table::render(
        COLUMNS,
        &rows(&history, &packed, &states, now_ms()),
        ctx.screen.width,
        ctx.screen.out,
    );
    for (build, reason) in states.refusals.iter() {
        let mark = ctx.screen.out.tone(Tone::Bad, "!");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{mark} {build} was refused because it {reason}");
    }
    ctx.screen.data(&text)
}

/// What is known of builds beyond the history.
#[derive(Debug, Default)]
struct States {
    /// Those that gateways run.
    running: Vec<BuildId>,
    /// Those that gateways gave up on.
    refusals: Refusals,
    /// Those that gateways are pinned to.
    pinned: Vec<BuildId>,
}

impl States {
    fn cell(&self, build: &BuildId) -> Cell {
        let pinned = self.pinned.contains(build);
        if self.refusals.reason(build).is_some() {
            Cell::new("refused", Tone::Bad)
        } else if self.running.contains(build) {
            Cell::new(if pinned { "runs, pinned" } else { "runs" }, Tone::Good)
        } else if pinned {
            Cell::new("pinned", Tone::Busy)
        } else {
            Cell::none()
        }
    }
}

/// The builds that gateways run, each once.
fn running(view: &GatewaysView) -> Vec<BuildId> {
    let reports = view.gateways.iter().filter_map(|one| one.report.as_ref());
    let mut builds: Vec<_> = reports
        .filter_map(|report| Some(report.running.as_ref()?.build.clone()))
        .collect();
    builds.sort();
    builds.dedup();
    builds
}

/// Publications, newest first, then builds that were only packed. A build's state stands in
/// the newest of its rows.
fn rows(history: &[Publication], packed: &[BuildId], states: &States, now: u64) -> Vec<[Cell; 7]> {
    let newer = |at: usize| history.iter().skip(at + 1);
    let published = history.iter().enumerate().rev().map(|(at, publication)| {
        let told = newer(at).any(|later| later.build == publication.build);
        let state = if told {
            Cell::default()
        } else {
            states.cell(&publication.build)
        };
        row(publication, state, now)
    });
    let only_packed = packed.iter().map(|build| {
        let dim = |text: &str| Cell::new(text, Tone::Dim);
        let none = Cell::none;
        let name = dim(build.as_str());
        [name, none(), dim("packed"), none(), none(), none(), none()]
    });
    published.chain(only_packed).collect()
}

fn row(publication: &Publication, state: Cell, now: u64) -> [Cell; 7] {
    let dirty = if publication.dirty == Some(true) {
        " + changes"
    } else {
        ""
    };
    let unchecked = if publication.validated {
        ""
    } else {
        ", not validated"
    };
    [
        publication.build.as_str().into(),
        text::ago(publication.at, now).into(),
        format!("{}{unchecked}", publication.action).into(),
        state,
        publication
            .commit
            .as_ref()
            .map_or_else(Cell::none, |commit| format!("{commit}{dirty}").into()),
        Cell::maybe(publication.branch.as_ref()),
        Cell::new(publication.by.as_str(), Tone::Dim),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::paint::Paint;

    fn build(digit: char) -> BuildId {
        BuildId::parse(&digit.to_string().repeat(12)).unwrap()
    }

    #[test]
    fn the_newest_row_of_a_build_says_what_became_of_it() {
        let publication = |digit| Publication {
            build: build(digit),
            at: 0,
            commit: None,
            branch: None,
            dirty: None,
            by: "ada@box".to_owned(),
            validated: digit != 'c',
            action: "deploy".to_owned(),
        };
        let history: Vec<_> = "abac".chars().map(publication).collect();
        let states = States {
            running: vec![build('a')],
            refusals: Refusals::of([(build('c'), "exited".to_owned())]),
            pinned: vec![build('b')],
        };
        let rows = rows(&history, &[build('d')], &states, 0);
        let text = table::render(COLUMNS, &rows, Some(60), Paint::new(false));
        let expected = [
            "BUILD         PUBLISHED  ACTION                 STATE",
            "cccccccccccc  now        deploy, not validated  refused",
            "aaaaaaaaaaaa  now        deploy                 runs",
            "bbbbbbbbbbbb  now        deploy                 pinned",
            "aaaaaaaaaaaa  now        deploy                 ",
            "dddddddddddd  -          packed                 -",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }
}
