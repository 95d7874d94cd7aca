//! `lockgate builds`: what was published when, by whom, from which commit.

use clap::Args;
use lockgate_builds::store::Publication;
use lockgate_model::EnvName;
use serde_json::json;

use crate::context::{Context, now_ms};
use crate::error::CommandError;
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

const COLUMNS: [Column; 6] = [
    Column::kept("BUILD"),
    Column::kept("PUBLISHED"),
    Column::kept("ACTION"),
    Column::expendable("COMMIT", 1),
    Column::expendable("BRANCH", 2),
    Column::expendable("BY", 3),
];

/// Prints publications, newest first, then builds that were only packed.
pub(crate) fn builds(args: &BuildsArgs, ctx: &Context) -> Result<(), CommandError> {
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
    if ctx.screen.is_json() {
        return ctx.screen.json(&json!({
            "env": environment.name,
            "current": history.last().map(|publication| &publication.build),
            "publications": history.iter().rev().collect::<Vec<_>>(),
            "stored": stored,
            "only_packed": packed,
        }));
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
    let now = now_ms();
    let mut rows: Vec<_> = history
        .iter()
        .rev()
        .map(|publication| row(publication, now))
        .collect();
    // The newest publication is what gateways shall run.
    if let Some([build, ..]) = rows.first_mut() {
        *build =
            Cell::maybe(history.last().map(|publication| &publication.build)).in_tone(Tone::Good);
    }
    for build in &packed {
        rows.push([
            Cell::new(build.as_str(), Tone::Dim),
            Cell::none(),
            Cell::new("packed", Tone::Dim),
            Cell::none(),
            Cell::none(),
            Cell::none(),
        ]);
    }
    ctx.screen.data(&table::render(
        COLUMNS,
        &rows,
        ctx.screen.width,
        ctx.screen.out,
    ))
}

fn row(publication: &Publication, now: u64) -> [Cell; 6] {
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
        publication
            .commit
            .as_ref()
            .map_or_else(Cell::none, |commit| format!("{commit}{dirty}").into()),
        Cell::maybe(publication.branch.as_ref()),
        Cell::new(publication.by.as_str(), Tone::Dim),
    ]
}
