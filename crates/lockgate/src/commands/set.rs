//! `lockgate set`: variables of the application that are in no file of the workspace.

mod words;

use std::path::PathBuf;

use clap::Args;
use lockgate_model::EnvName;
use schemars::JsonSchema;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use self::words::{Words, input};
use super::deploy::{WaitArgs, stop_on_signals, teller};
use super::outcome::show;
use super::quiet::done;
use super::turn::LockArgs;
use crate::context::Context;
use crate::deploy::rollout::{Rollout, Scope};
use crate::deploy::strategy::DeployStrategy;
use crate::deploy::{self, said};
use crate::environment::Environment;
use crate::environment::lock::DeployLock;
use crate::environment::publish::What;
use crate::environment::variables::{Change, Shown, Variables, remark};
use crate::error::CommandError;
use crate::server::control::ControlClient;
use crate::views::paint::Tone;
use crate::views::progress::Progress;
use crate::views::table::{self, Cell, Column};
use crate::views::text;

/// Set variables of the application, such as credentials; gateways restart with them
#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// The environment, then the variables. `NAME=-` reads the value from standard input, so that
    /// it lands in no shell history
    #[arg(value_name = "ENV|NAME=VALUE")]
    words: Vec<String>,
    /// Only for this gateway, by number or name (repeatable); its own variables go before those of all
    #[arg(long, short, value_name = "GATEWAY")]
    gateway: Vec<String>,
    /// Take a variable away again (repeatable)
    #[arg(long, value_name = "NAME")]
    unset: Vec<String>,
    /// Set all variables of a file of `NAME=value` lines; `-` is standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// List the variables by name and digest; values are never shown
    #[arg(long, short, conflicts_with_all = ["unset", "file", "gateway"])]
    pub(crate) list: bool,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    lock: LockArgs,
}

const COLUMNS: [Column; 3] = [
    Column::name("NAME"),
    Column::kept("DIGEST"),
    Column::kept("GATEWAY"),
];

/// Writes the variables down, publishes them to the gateways that they are for, and waits until
/// those run with them.
pub(crate) async fn set(args: SetArgs, ctx: &Context) -> Result<(), CommandError> {
    let words = Words::parse(&args.words)?;
    let environment = ctx.environment(words.env.as_ref())?;
    if args.list {
        return list(ctx, &environment, &words);
    }
    let changes = words::changes(&words, &args.unset, args.file.as_deref(), &mut || {
        input(ctx)
    })?;
    let gateways = super::gateways::numbers(&environment, &args.gateway)?;
    let stop = stop_on_signals()?;
    let env = environment.name;
    let mut lock = args.lock.turn_or_stop(ctx, &env, "set", &stop).await?;
    let environment = Environment::load(&ctx.config.home, &env)?;
    write_down(ctx, &environment, gateways.as_deref(), &changes)?;
    let numbers = gateways.unwrap_or_else(|| {
        let all = environment.gateways.iter();
        all.map(|one| one.number).collect()
    });
    publish(&args, ctx, environment, numbers, &mut lock, &stop).await
}

/// Says what may surprise, and keeps the variables.
fn write_down(
    ctx: &Context,
    environment: &Environment,
    gateways: Option<&[u32]>,
    changes: &[Change],
) -> Result<(), CommandError> {
    for change in changes {
        if let Change::Set(name, _) = change
            && let Some(remark) = remark(name)
        {
            ctx.screen.warn(&format!("`{name}`: {remark}"));
        }
    }
    let (home, env) = (&ctx.config.home, &environment.name);
    let mut variables = Variables::load(home, env)?;
    for name in variables.change(gateways, changes) {
        ctx.screen.say(&format!("`{name}` was not set"));
    }
    Ok(variables.save(home, env)?)
}

async fn publish(
    args: &SetArgs,
    ctx: &Context,
    environment: Environment,
    numbers: Vec<u32>,
    lock: &mut DeployLock,
    stop: &CancellationToken,
) -> Result<(), CommandError> {
    let (store, env) = (ctx.store()?, environment.name.clone());
    let told = said::told(&environment, &numbers, &store)?;
    let Some(newest) = told.first() else {
        ctx.screen.say(&format!(
            "kept; nothing was deployed yet, so they take effect with `lockgate deploy {env}`"
        ));
        return done(ctx, &env, &[]);
    };
    let Some((control, _)) = ControlClient::connect(&ctx.config.home).await else {
        let published = deploy::quietly(ctx, &store, &environment, &What::Variables, &numbers)?;
        ctx.screen
            .warn("no server runs; they take effect with `lockgate serve --detach`");
        let names: Vec<_> = published
            .gateways
            .into_iter()
            .map(|it| it.gateway)
            .collect();
        return done(ctx, &env, &names);
    };
    let rollout = Rollout {
        ctx,
        control: &control,
        store: &store,
        lock,
        build: newest.build.clone(),
        limits: newest.settings.limits.clone(),
        what: What::Variables,
        scope: Scope::Again(numbers),
        line: None,
        how: args.wait.how(DeployStrategy::All, stop),
        environment,
    };
    let mut progress = Progress::new(ctx.screen);
    let outcome = rollout.run(&mut teller(&mut progress)).await?;
    show(progress, &outcome).map_err(|error| {
        error.hint(format!(
            "the variables stay set; `lockgate set {env} --unset NAME` takes one back"
        ))
    })
}

/// The variables that are set.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Listed<'l> {
    /// The environment.
    env: &'l EnvName,
    /// Its variables, their values as digests.
    variables: &'l [Shown],
}

fn list(ctx: &Context, environment: &Environment, words: &Words) -> Result<(), CommandError> {
    if !words.set.is_empty() {
        return Err(
            CommandError::usage("`--list` sets nothing").hint("call it without `NAME=VALUE`")
        );
    }
    let env = &environment.name;
    let shown = Variables::load(&ctx.config.home, env)?.shown(env);
    if ctx.screen.is_json() {
        return ctx.screen.document(&Listed {
            env,
            variables: &shown,
        });
    }
    if shown.is_empty() {
        ctx.screen.say(&format!("no variables are set for {env}"));
        return Ok(());
    }
    let rows: Vec<_> = shown
        .iter()
        .map(|one| {
            let whose = one.gateway.as_ref();
            [
                Cell::new(one.name.as_str(), Tone::Strong),
                one.digest.as_str().into(),
                whose
                    .map_or_else(|| "all".to_owned(), ToString::to_string)
                    .into(),
            ]
        })
        .collect();
    let screen = &ctx.screen;
    screen.data(&table::render(COLUMNS, &rows, screen.width, screen.out))?;
    screen.say(&format!(
        "{}; a digest tells whether a value changed, not what it is",
        text::count(shown.len(), "variable")
    ));
    Ok(())
}
