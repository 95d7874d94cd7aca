//! `lockgate trust`: browsers and programs of this machine trust the front door's certificates.

pub(crate) mod resolve;

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use self::resolve::Names;
use crate::certificates::{Authority, CertificateError, Source};
use crate::context::{Context, now};
use crate::error::CommandError;
use crate::trust::{Advice, Machine, Store, TrustError, Trusted, advice, stores};
use crate::views::paint::Tone;
use crate::views::table::{self, Cell, Column};

/// Make browsers and programs trust this host's certificates
#[derive(Debug, Args)]
pub(crate) struct TrustArgs {
    /// Only tell which stores trust them, and whether names of environments resolve; exit code 1
    /// where a store does not
    #[arg(long, conflicts_with_all = ["remove", "mkcert", "own"])]
    check: bool,
    /// Take the authority out of every store
    #[arg(long, conflicts_with_all = ["mkcert", "own"])]
    remove: bool,
    /// Sign with the authority that mkcert made, in FOLDER (`mkcert -CAROOT`)
    #[arg(long, value_name = "FOLDER", conflicts_with = "own")]
    mkcert: Option<PathBuf>,
    /// Sign with the home's own authority again
    #[arg(long)]
    own: bool,
}

/// One store and what became of it.
struct Row {
    store: Store,
    trusted: Trusted,
    error: Option<TrustError>,
}

/// Adds the authority to every store that lacks it, or looks, or removes it.
pub(crate) async fn trust(args: &TrustArgs, ctx: &Context) -> Result<(), CommandError> {
    let machine = machine(ctx);
    if let Some(folder) = &args.mkcert {
        // It is read by a server, too, which has another current folder.
        let folder = ctx.cwd.join(folder);
        Authority::choose(&ctx.config.home, Some(&folder)).map_err(not_mkcert)?;
    } else if args.own {
        Authority::choose(&ctx.config.home, None)?;
    }
    let authority = authority(ctx)?;
    let mut rows = Vec::new();
    for store in stores(&machine) {
        let mut trusted = store.check(&machine, &authority).await;
        let act = !args.check && args.remove == (trusted == Trusted::Yes);
        let mut error = None;
        if act {
            let done = if args.remove {
                store.remove(&machine, &authority).await
            } else {
                store.add(&machine, &authority).await
            };
            error = done.err();
            trusted = store.check(&machine, &authority).await;
        }
        rows.push(Row {
            store,
            trusted,
            error,
        });
    }
    let names = if args.check {
        Some(resolve::environments(&ctx.config.home).await?)
    } else {
        None
    };
    show(ctx, &authority, &rows, names.as_deref(), args.remove)?;
    let wanted = |row: &&Row| (row.trusted == Trusted::Yes) != args.remove;
    let wrong = rows.iter().filter(|row| !wanted(row));
    // A store that cannot be looked at is no reason to fail a removal.
    let wrong = wrong.filter(|row| !(args.remove && matches!(row.trusted, Trusted::Unknown(_))));
    if wrong.count() > 0 {
        return Err(CommandError::said());
    }
    Ok(())
}

/// The authority of this home, made where there is none.
fn authority(ctx: &Context) -> Result<Authority, CommandError> {
    let (home, caller) = (&ctx.config.home, &ctx.config.caller);
    let is_chosen = Authority::is_chosen(home);
    Authority::of_home(home, caller, now()).map_err(|error| {
        let told = CommandError::from(error);
        if is_chosen {
            told.hint("`lockgate trust --own` goes back to the home's own authority")
                .hint(MKCERT)
        } else {
            told
        }
    })
}

/// What mkcert's folder is.
const MKCERT: &str = "`lockgate trust --mkcert FOLDER` wants the folder that `mkcert -CAROOT` \
     prints, with `rootCA.pem` and `rootCA-key.pem` in it; `mkcert -install` makes them";

fn not_mkcert(error: CertificateError) -> CommandError {
    CommandError::from(error).hint(MKCERT)
}

/// The stores of this machine that do not trust an authority.
pub(crate) async fn distrusting(ctx: &Context, authority: &Authority) -> Vec<&'static str> {
    let machine = machine(ctx);
    let mut names = Vec::new();
    for store in stores(&machine) {
        if store.check(&machine, authority).await == Trusted::No {
            names.push(store.name());
        }
    }
    names.dedup();
    names
}

/// Where stores are looked for.
pub(crate) fn machine(ctx: &Context) -> Machine {
    let path = ctx.config.of_user("PATH");
    Machine {
        home: ctx.config.of_user("HOME").map(PathBuf::from),
        path: path.map_or_else(Vec::new, |path| std::env::split_paths(path).collect()),
        may_ask: std::io::stdin().is_terminal(),
    }
}

fn show(
    ctx: &Context,
    authority: &Authority,
    rows: &[Row],
    names: Option<&[Names]>,
    removed: bool,
) -> Result<(), CommandError> {
    let lines = advice(&authority.file);
    if ctx.screen.is_json() {
        return ctx
            .screen
            .document(&document(authority, rows, &lines, names));
    }
    let paint = ctx.screen.out;
    let mut text = format!(
        "{}  {}\n",
        paint.strong(&authority.seen.subject),
        paint.dim(&authority.file.display().to_string())
    );
    let cells: Vec<[Cell; 3]> = rows.iter().map(cells).collect();
    text.push_str(&table::render(COLUMNS, &cells, ctx.screen.width, paint));
    if let Some(names) = names.filter(|names| !names.is_empty()) {
        let table = resolve::table(names, ctx.screen.width, paint);
        let _ = write!(text, "\n{table}");
    }
    ctx.screen.data(&text)?;
    for row in rows {
        if let Some(line) = said(row) {
            ctx.screen
                .warn(&format!("{}: {line}", row.store.place().display()));
        }
    }
    for line in names.unwrap_or_default().iter().filter_map(Names::said) {
        ctx.screen.warn(&line);
    }
    if removed {
        return Ok(());
    }
    ctx.screen.say("\nElsewhere:");
    for Advice { who, line } in lines {
        ctx.screen.say(&format!("  {who:<11} {line}"));
    }
    Ok(())
}

const COLUMNS: [Column; 3] = [
    Column::kept("STORE"),
    Column::kept("TRUSTED"),
    Column::expendable("PLACE", 1),
];

fn cells(row: &Row) -> [Cell; 3] {
    let (word, tone) = match row.trusted {
        Trusted::Yes => ("yes", Tone::Good),
        Trusted::No => ("no", Tone::Bad),
        Trusted::Unknown(_) => ("unknown", Tone::Busy),
    };
    [
        row.store.name().into(),
        Cell::new(word, tone),
        row.store.place().display().to_string().into(),
    ]
}

/// What is wrong with a store, and what to do.
fn said(row: &Row) -> Option<String> {
    match (&row.error, &row.trusted) {
        (Some(TrustError::NeedsRoot { commands, .. }), _) => Some(format!(
            "only root can change it: {}",
            commands.join(" && ")
        )),
        (Some(error @ TrustError::Missing { install, .. }), _) => {
            Some(format!("{error}; {install}"))
        }
        (Some(error), _) => Some(error.to_string()),
        (None, Trusted::Unknown(why)) => Some(why.clone()),
        (None, Trusted::Yes | Trusted::No) => None,
    }
}

/// Who trusts what this home signs.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Document<'d> {
    /// The authority.
    authority: Told<'d>,
    /// The stores of this machine.
    stores: Vec<ToldStore<'d>>,
    /// What is to be done elsewhere.
    elsewhere: &'d [Advice],
    /// How names resolve here; only where that was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    names: Option<Vec<resolve::Told<'d>>>,
}

/// An authority for programs.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Authority")]
struct Told<'d> {
    /// The file of its certificate.
    file: &'d Path,
    /// Its name.
    subject: &'d str,
    /// The SHA-256 of its certificate, in hex.
    sha256: &'d str,
    /// When that ends, UNIX milliseconds.
    not_after: i64,
    /// Whether it is mkcert's.
    mkcert: bool,
}

/// A store for programs.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Store")]
struct ToldStore<'d> {
    /// What it is called.
    store: &'static str,
    /// Where it is.
    place: &'d Path,
    /// Whether it trusts the authority; null where nobody knows.
    trusted: Option<bool>,
    /// What is wrong with it, and what to do.
    problem: Option<String>,
}

fn document<'d>(
    authority: &'d Authority,
    rows: &'d [Row],
    elsewhere: &'d [Advice],
    names: Option<&'d [Names]>,
) -> Document<'d> {
    let store = |row: &'d Row| ToldStore {
        store: row.store.name(),
        place: row.store.place(),
        trusted: match row.trusted {
            Trusted::Yes => Some(true),
            Trusted::No => Some(false),
            Trusted::Unknown(_) => None,
        },
        problem: said(row),
    };
    Document {
        authority: Told {
            file: &authority.file,
            subject: &authority.seen.subject,
            sha256: &authority.seen.fingerprint,
            not_after: authority.seen.not_after.unix_timestamp() * 1000,
            mkcert: matches!(authority.source, Source::Mkcert(_)),
        },
        stores: rows.iter().map(store).collect(),
        elsewhere,
        names: names.map(resolve::document),
    }
}
