//! `lockgate validate --sizes`: what makes bundles large, and what changed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use lockgate_builds::validate::{Difference, Rules, Sizes, ToldBy, difference, sizes};
use schemars::JsonSchema;
use serde::Serialize;

use crate::context::Context;
use crate::error::{CommandError, Kind};
use crate::views::paint::Tone;
use crate::views::table::{self, Cell, Column};
use crate::views::text;

/// Parts that a person reads; JSON has all of them.
const MOST_SHOWN: usize = 30;

/// What bundles are made of.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Made<'m> {
    /// Each of them.
    bundles: Vec<Measured<'m>>,
}

/// A bundle and what it is made of.
#[derive(Debug, Serialize, JsonSchema)]
struct Measured<'m> {
    /// The bundle, as it was named.
    path: &'m Path,
    /// What it is made of.
    sizes: &'m Sizes,
}

/// What came and went from an older bundle to this one.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Changed<'c> {
    /// The older bundle.
    old: &'c Path,
    /// This one.
    path: &'c Path,
    /// The older one's size.
    bytes_before: u64,
    /// This one's size.
    bytes: u64,
    /// What came, went, grew and shrank.
    changes: &'c [Difference],
}

/// Prints what each bundle is made of.
pub(super) fn show(
    root: &Path,
    bundles: &[PathBuf],
    rules: &Rules,
    ctx: &Context,
) -> Result<(), CommandError> {
    let all = bundles.iter().map(|path| measured(root, path, rules));
    let all: Vec<Sizes> = all.collect::<Result<_, CommandError>>()?;
    let named = bundles.iter().zip(&all);
    if ctx.screen.is_json() {
        let bundles: Vec<_> = named
            .map(|(path, sizes)| Measured { path, sizes })
            .collect();
        return ctx.screen.document(&Made { bundles });
    }
    for (path, sizes) in named {
        ctx.screen.data(&said(path, sizes, ctx))?;
    }
    Ok(())
}

/// Prints what came and went from an older bundle to this one.
pub(super) fn diff(
    root: &Path,
    old: &Path,
    bundle: &Path,
    rules: &Rules,
    ctx: &Context,
) -> Result<(), CommandError> {
    // Another bundle has another metafile.
    let other = Rules {
        metafile: None,
        ..rules.clone()
    };
    let before = measured(&ctx.cwd, old, &other)?;
    let now = measured(root, bundle, rules)?;
    let changes = difference(&before, &now);
    if ctx.screen.is_json() {
        return ctx.screen.document(&Changed {
            old,
            path: bundle,
            bytes_before: before.size_bytes,
            bytes: now.size_bytes,
            changes: &changes,
        });
    }
    for (path, sizes) in [(old, &before), (bundle, &now)] {
        if sizes.told_by == ToldBy::Nobody {
            let path = path.display();
            ctx.screen.warn(&format!("{NOBODY} `{path}`"));
        }
    }
    ctx.screen.data(&changed(&before, &now, &changes, ctx))
}

const NOBODY: &str = "no source map or metafile tells what lies in";

fn measured(root: &Path, bundle: &Path, rules: &Rules) -> Result<Sizes, CommandError> {
    sizes(root, bundle, rules.metafile.as_deref())
        .map_err(|error| CommandError::from_error(Kind::Failed, &error))
}

fn said(path: &Path, sizes: &Sizes, ctx: &Context) -> String {
    const COLUMNS: [Column; 5] = [
        Column::kept("SIZE"),
        Column::expendable("SHARE", 2),
        Column::expendable("FILES", 3),
        Column::name("PACKAGE OR FOLDER"),
        Column::expendable("VERSION", 1),
    ];
    let mut told = format!("{}: {}\n", path.display(), text::size(sizes.size_bytes));
    // Writing to a String cannot fail.
    for note in &sizes.notes {
        let _ = writeln!(told, "  note: {note}");
    }
    if sizes.told_by == ToldBy::Nobody {
        let _ = writeln!(told, "  {NOBODY} it");
        return told;
    }
    let mut rows: Vec<[Cell; 5]> = Vec::new();
    for part in sizes.parts.iter().take(MOST_SHOWN) {
        let tone = if part.own { Tone::Good } else { Tone::Plain };
        let name = if part.duplicate {
            &part.folder
        } else {
            &part.name
        };
        rows.push([
            Cell::new(text::size(part.bytes), Tone::Plain),
            Cell::new(share(part.bytes, sizes.size_bytes), Tone::Plain),
            Cell::new(part.modules.to_string(), Tone::Plain),
            Cell::new(name.clone(), tone),
            Cell::maybe(part.version.as_ref()),
        ]);
    }
    told.push_str(&table::render(
        COLUMNS,
        &rows,
        ctx.screen.width,
        ctx.screen.out,
    ));
    let hidden: Vec<_> = sizes.parts.iter().skip(MOST_SHOWN).collect();
    if !hidden.is_empty() {
        let bytes = hidden.iter().map(|part| part.bytes).sum();
        let _ = writeln!(
            told,
            "and {} more, {} together; `--format json` lists all",
            text::count(hidden.len(), "part"),
            text::size(bytes)
        );
    }
    let _ = writeln!(
        told,
        "{} of nobody's: the bundler's own code, and what no mapping is for",
        text::size(sizes.other_bytes)
    );
    let mut duplicates: Vec<&str> = Vec::new();
    for part in sizes.parts.iter().filter(|part| part.duplicate) {
        if !duplicates.contains(&part.name.as_str()) {
            duplicates.push(&part.name);
        }
    }
    if !duplicates.is_empty() {
        let _ = writeln!(told, "more than once in it: {}", duplicates.join(", "));
    }
    told
}

/// `12.3 %`
fn share(bytes: u64, of: u64) -> String {
    let tenths = u128::from(bytes) * 1000 / u128::from(of.max(1));
    format!("{}.{} %", tenths / 10, tenths % 10)
}

fn changed(before: &Sizes, now: &Sizes, changes: &[Difference], ctx: &Context) -> String {
    const COLUMNS: [Column; 5] = [
        Column::kept("CHANGE"),
        Column::expendable("BEFORE", 2),
        Column::expendable("NOW", 2),
        Column::name("PACKAGE OR FOLDER"),
        Column::expendable("VERSION", 1),
    ];
    let mut told = format!(
        "{} → {} ({})\n",
        text::size(before.size_bytes),
        text::size(now.size_bytes),
        by(before.size_bytes, now.size_bytes)
    );
    if changes.is_empty() {
        told.push_str("nothing came or went\n");
        return told;
    }
    let rows: Vec<[Cell; 5]> = changes
        .iter()
        .map(|change| {
            let tone = if change.bytes > change.bytes_before {
                Tone::Busy
            } else {
                Tone::Good
            };
            let size = |bytes: u64| (bytes > 0).then(|| text::size(bytes));
            [
                Cell::new(by(change.bytes_before, change.bytes), tone),
                Cell::maybe(size(change.bytes_before)),
                Cell::maybe(size(change.bytes)),
                Cell::new(change.folder.clone(), Tone::Plain),
                Cell::maybe(version(change)),
            ]
        })
        .collect();
    told.push_str(&table::render(
        COLUMNS,
        &rows,
        ctx.screen.width,
        ctx.screen.out,
    ));
    told
}

fn by(before: u64, now: u64) -> String {
    let sign = if now >= before { '+' } else { '-' };
    format!("{sign}{}", text::size(now.abs_diff(before)))
}

fn version(change: &Difference) -> Option<String> {
    match (&change.version_before, &change.version) {
        (Some(before), Some(now)) if before != now => Some(format!("{before} → {now}")),
        (before, now) => now.clone().or_else(|| before.clone()),
    }
}
