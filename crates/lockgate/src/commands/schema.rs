//! `lockgate schema`: the schemas of what commands print with `--format json`.

mod forms;
mod published;

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use self::published::PUBLISHED;
use crate::context::Context;
use crate::error::CommandError;
use crate::workspace::nearest::nearest;

/// Show the JSON Schema of what a command prints with `--format json`
#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// The command, as in `deploy` or `org list`; `error` for what stands on standard error. All that
    /// have a schema are listed where none is given
    #[arg(value_name = "COMMAND", num_args = 0..)]
    command: Vec<String>,
}

/// The commands that have a schema.
#[derive(Debug, Serialize, JsonSchema)]
struct Listed {
    /// Their words, as in `org list`, and `error`.
    commands: Vec<&'static str>,
}

/// Prints the schema of a command, or which commands have one.
pub(crate) fn schema(args: &SchemaArgs, ctx: &Context) -> Result<(), CommandError> {
    let commands = || PUBLISHED.iter().map(|one| one.command);
    if args.command.is_empty() {
        if ctx.screen.is_json() {
            let commands = commands().collect();
            return ctx.screen.document(&Listed { commands });
        }
        let lines: Vec<&str> = commands().collect();
        return ctx.screen.data(&format!("{}\n", lines.join("\n")));
    }
    let named = args.command.join(" ");
    let found = PUBLISHED.iter().find(|one| one.command == named);
    let schema = found.ok_or_else(|| unknown(&named))?.schema();
    if ctx.screen.is_json() {
        return ctx.screen.json(&schema);
    }
    ctx.screen.data(&format!("{schema:#}\n"))
}

fn unknown(named: &str) -> CommandError {
    let error = CommandError::usage(format!("there is no schema of `{named}`"));
    let below: Vec<String> = PUBLISHED
        .iter()
        .filter(|one| one.command.split(' ').next() == Some(named))
        .map(|one| format!("`lockgate schema {}`", one.command))
        .collect();
    if !below.is_empty() {
        return error.hint(format!("there are {}", below.join(" and ")));
    }
    match nearest(named, PUBLISHED.iter().map(|one| one.command)) {
        Some(meant) => error.hint(format!("did you mean `lockgate schema {meant}`?")),
        None => error.hint("`lockgate schema` lists the commands that have one"),
    }
}
