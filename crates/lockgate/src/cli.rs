//! The command tree: which words there are, how they are grouped in the help.
//! What a command does stands in `commands/`.

use std::fmt::Write as _;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Effects, Styles};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use lockgate_model::EnvName;

use crate::commands::{
    adopt, builds, create, delete, deploy, dns, doctor, image, init, keys, list, logs, org, pack,
    restart, rollback, scale, schema, serve, set, start, status, trust, up, urls, validate, vpn,
    wait,
};

/// Moves new builds of a service into a pool of running gateways.
#[derive(Debug, Parser)]
#[command(name = "lockgate", version, styles = STYLES, disable_help_subcommand = true)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Options that every command takes.
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// The environment, where a command names none.
    #[arg(
        long,
        short,
        global = true,
        value_name = "ENV",
        help = "The environment, where a command names none [env: LOCKGATE_ENV]"
    )]
    pub(crate) env: Option<EnvName>,
    /// How results are printed; `json` streams events, one a line
    #[arg(long, global = true, value_enum, default_value_t = Format::Human, hide_possible_values = true, value_name = "human|json")]
    pub(crate) format: Format,
    /// When to use colour; `NO_COLOR` is heeded
    #[arg(long, global = true, value_enum, default_value_t = ColorWhen::Auto, hide_possible_values = true, value_name = "auto|always|never")]
    pub(crate) color: ColorWhen,
    /// Say more on stderr (-vv: still more)
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// For whom results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Text for people.
    Human,
    /// JSON for programs.
    Json,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorWhen {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Every command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Up(up::UpArgs),
    Deploy(deploy::DeployArgs),
    Rollback(rollback::RollbackArgs),
    Restart(restart::RestartArgs),
    Status(status::StatusArgs),
    Logs(logs::LogsArgs),
    Urls(urls::UrlsArgs),
    Builds(builds::BuildsArgs),
    Create(create::CreateArgs),
    Adopt(adopt::AdoptArgs),
    Delete(delete::DeleteArgs),
    List(list::ListArgs),
    Start(start::StartArgs),
    Stop(start::StopArgs),
    Scale(scale::ScaleArgs),
    Set(set::SetArgs),
    Keys(keys::KeysArgs),
    Org(org::OrgArgs),
    Init(init::InitArgs),
    Doctor(doctor::DoctorArgs),
    Trust(trust::TrustArgs),
    Dns(dns::DnsArgs),
    Image(image::ImageArgs),
    Validate(validate::ValidateArgs),
    Pack(pack::PackArgs),
    Serve(serve::ServeArgs),
    Vpn(vpn::VpnArgs),
    Wait(wait::WaitArgs),
    Schema(schema::SchemaArgs),
}

impl Command {
    /// Whether it prints events as it goes under `--format json`, and a result at the end.
    pub(crate) fn streams(&self) -> bool {
        match self {
            Self::Set(args) => !args.list,
            Self::Org(args) => args.streams(),
            other => matches!(
                other,
                Self::Up(_)
                    | Self::Deploy(_)
                    | Self::Rollback(_)
                    | Self::Restart(_)
                    | Self::Pack(_)
                    | Self::Image(_)
                    | Self::Scale(_)
                    | Self::Adopt(_)
            ),
        }
    }
}

/// The commands in the order and under the headings of the help.
const GROUPS: [(&str, &[&str]); 4] = [
    (
        "Every day",
        &[
            "up", "deploy", "rollback", "restart", "status", "logs", "urls", "builds",
        ],
    ),
    (
        "Environments",
        &[
            "create", "adopt", "delete", "list", "scale", "set", "keys", "org", "start", "stop",
        ],
    ),
    ("Setting up", &["init", "doctor", "trust", "dns", "image"]),
    (
        "Parts, for scripts",
        &["validate", "pack", "serve", "vpn", "wait", "schema"],
    ),
];

const HEADING: clap::builder::styling::Style = AnsiColor::Green.on_default().effects(Effects::BOLD);
const LITERAL: clap::builder::styling::Style = AnsiColor::Cyan.on_default().effects(Effects::BOLD);
const STYLES: Styles = Styles::styled()
    .header(HEADING)
    .usage(HEADING)
    .literal(LITERAL)
    .placeholder(AnsiColor::Cyan.on_default());

/// The command tree, its help grouped by what one is about to do.
pub(crate) fn tree() -> clap::Command {
    let tree = Cli::command();
    // Writing to a String cannot fail.
    let mut groups = String::new();
    for (heading, names) in GROUPS {
        let _ = writeln!(groups, "{HEADING}{heading}:{HEADING:#}");
        for name in names {
            let about = tree
                .find_subcommand(name)
                .and_then(clap::Command::get_about)
                .map(ToString::to_string)
                .unwrap_or_default();
            let _ = writeln!(groups, "  {LITERAL}{name:<10}{LITERAL:#} {about}");
        }
        groups.push('\n');
    }
    tree.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}{HEADING}Global options:{HEADING:#}\n{{options}}{{after-help}}"
    ))
    .after_help("`lockgate up` in a workspace does all of it; `lockgate COMMAND --help` says more.")
}

/// Reads a duration with a unit: `30s`, `2m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write it like `30s` or `2m`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_consistent() {
        tree().debug_assert();
    }

    #[test]
    fn every_command_stands_in_one_group() {
        let grouped: Vec<&str> = GROUPS
            .iter()
            .flat_map(|(_, names)| *names)
            .copied()
            .collect();
        for command in tree().get_subcommands() {
            let times = grouped
                .iter()
                .filter(|name| **name == command.get_name())
                .count();
            assert_eq!(times, 1, "{}", command.get_name());
        }
    }
}
