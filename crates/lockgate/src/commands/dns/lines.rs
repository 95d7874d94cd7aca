//! `lockgate dns lines`: what each resolver has to be told.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use clap::Args;
use lockgate_model::{GANYMEDE, ORGANIZATION_PREFIX};
use schemars::JsonSchema;
use serde::Serialize;

use super::warn;
use crate::context::Context;
use crate::environment::Environment;
use crate::error::CommandError;
use crate::names::{
    About, Lines, Machine, NAME_SERVER, Resolver, domains, is_below_localhost, lines, loopback,
};

#[derive(Debug, Args)]
pub(super) struct LinesArgs {
    /// For this resolver; those of this machine where none is named (repeatable)
    #[arg(long = "for", value_name = "RESOLVER", value_enum)]
    resolvers: Vec<Resolver>,
    /// Where `lockgate dns serve` listens
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = NAME_SERVER)]
    server: SocketAddr,
    /// Where names lead; the front door's own addresses by default (repeatable)
    #[arg(long, value_name = "IP")]
    address: Vec<IpAddr>,
}

/// What resolvers have to be told.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Printed<'p> {
    /// The domains of all environments.
    domains: &'p [String],
    /// Where `lockgate dns serve` listens.
    server: SocketAddr,
    /// Each resolver.
    resolvers: Vec<Told<'p>>,
}

/// What one resolver has to be told.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Resolver")]
struct Told<'t> {
    /// Its name.
    resolver: String,
    /// Why it is this machine's; null where it was asked for.
    why: Option<&'t str>,
    #[serde(flatten)]
    lines: &'t Lines,
}

/// Prints files, lines and commands for each resolver.
pub(super) fn print(args: &LinesArgs, ctx: &Context) -> Result<(), CommandError> {
    let environments = Environment::list(&ctx.config.home)?;
    let domains = domains(&environments);
    if domains.is_empty() {
        return Err(CommandError::failed("there is no environment yet")
            .hint("`lockgate create ENV DOMAIN` makes one; the lines are for its domain"));
    }
    let machine = Machine::of(Path::new("/"));
    let chosen: Vec<(Resolver, Option<&str>)> = if args.resolvers.is_empty() {
        let fitting = machine.resolvers().into_iter();
        fitting.map(|(it, why)| (it, Some(why))).collect()
    } else {
        let asked = args.resolvers.iter();
        asked.map(|it| (*it, None)).collect()
    };
    let addresses = match args.address.as_slice() {
        [] => loopback(),
        given => given.to_vec(),
    };
    let about = About {
        domains: &domains,
        names: &names(&environments),
        addresses: &addresses,
        server: args.server,
        upstream: &machine.servers(),
    };
    let all: Vec<(Resolver, Option<&str>, Lines)> = chosen
        .into_iter()
        .map(|(resolver, why)| (resolver, why, lines(resolver, &about)))
        .collect();
    warn(ctx, &domains);
    if ctx.screen.is_json() {
        let resolvers = all.iter().map(|(resolver, why, lines)| Told {
            resolver: resolver.to_string(),
            why: *why,
            lines,
        });
        return ctx.screen.document(&Printed {
            domains: &domains,
            server: args.server,
            resolvers: resolvers.collect(),
        });
    }
    let texts: Vec<String> = all
        .iter()
        .map(|(resolver, why, lines)| rendered(*resolver, *why, lines, args.server))
        .collect();
    ctx.screen.data(&texts.join("\n"))?;
    if domains.iter().all(|domain| is_below_localhost(domain)) {
        ctx.screen.hint(
            "browsers and curl know names below `localhost`; the lines are for other programs, \
             such as Node",
        );
    }
    Ok(())
}

/// Every name that an environment has by now.
fn names(environments: &[Environment]) -> Vec<String> {
    let mut names = Vec::new();
    for environment in environments.iter().filter(|it| !it.deleting) {
        let domain = &environment.domain;
        let served = environment.gateways.iter();
        let served = served.filter_map(|gateway| gateway.organization.as_ref());
        let served = served.map(|id| format!("{ORGANIZATION_PREFIX}{id}.{domain}"));
        names.extend([domain.clone(), format!("{GANYMEDE}.{domain}")]);
        names.extend(served);
    }
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// Everything that is no line of a file is a comment, as all these files know them.
fn rendered(resolver: Resolver, why: Option<&str>, lines: &Lines, server: SocketAddr) -> String {
    // Writing to a String cannot fail.
    let why = why.map_or_else(String::new, |why| format!(": {why}"));
    let mut text = format!("# {resolver}{why}\n");
    for file in &lines.files {
        let _ = write!(text, "# into {}\n{}", file.path, file.text);
    }
    if lines.files.is_empty() && lines.commands.is_empty() {
        text.push_str("# nothing has to be written\n");
    }
    if resolver == Resolver::Windows {
        for command in &lines.commands {
            let _ = writeln!(text, "{command}");
        }
    } else {
        for command in &lines.commands {
            let _ = writeln!(text, "# then: {command}");
        }
    }
    if lines.needs_server {
        let listen = match server {
            NAME_SERVER => String::new(),
            other => format!(" --listen {other}"),
        };
        let _ = writeln!(text, "# while this runs: lockgate dns serve{listen}");
    }
    for note in &lines.notes {
        let _ = writeln!(text, "# note: {note}");
    }
    text
}
