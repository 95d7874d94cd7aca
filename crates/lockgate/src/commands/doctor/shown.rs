//! Findings as people and programs read them.

use std::fmt::Write as _;

use lockgate_model::{EnvName, GatewayName};
use schemars::JsonSchema;
use serde::Serialize;

use super::check::{Check, Finding, Group, State};
use super::is_well;
use crate::views::paint::{Paint, Tone};
use crate::views::text::{count, wrapped};

/// A name that is longer than this does not widen its column.
const LONGEST_NAME: usize = 26;
/// How far what is said below a finding is indented.
const BELOW: &str = "      ";

/// Groups with a line for each check, what mends it below, and a last line that counts.
pub(super) fn text(checks: &[Check], width: Option<usize>, paint: Paint) -> String {
    let mut text = String::new();
    for group in grouped(checks) {
        let heading = heading(group);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", paint.strong(&heading));
        let names = group.iter().map(|it| label(it).chars().count());
        let column = names.filter(|it| *it <= LONGEST_NAME).max().unwrap_or(0);
        for one in group {
            text.push_str(&lines(one, column, width, paint));
        }
        text.push('\n');
    }
    let _ = writeln!(text, "{}", summary(checks, paint));
    text
}

/// Neighbours with the same heading.
fn grouped(checks: &[Check]) -> impl Iterator<Item = &[Check]> {
    checks.chunk_by(|one, other| heading_of(one) == heading_of(other))
}

fn heading(group: &[Check]) -> String {
    group.first().map(heading_of).unwrap_or_default()
}

fn heading_of(check: &Check) -> String {
    match (&check.env, check.group) {
        (Some(env), Group::Environment) => format!("{} {env}", check.group.heading()),
        (_, group) => group.heading().to_owned(),
    }
}

/// What a check is called below its heading.
fn label(check: &Check) -> String {
    match (&check.gateway, &check.env, check.group) {
        (Some(gateway), ..) if check.name == super::gateway::NAME => gateway.to_string(),
        (Some(gateway), ..) => format!("{gateway} {}", check.name),
        (None, _, Group::Environment) | (None, None, _) => check.name.clone(),
        (None, Some(env), _) => format!("{} {env}", check.name),
    }
}

fn lines(check: &Check, column: usize, width: Option<usize>, paint: Paint) -> String {
    let Finding {
        state,
        found,
        why,
        remedy,
    } = &check.finding;
    let (mark, tone) = match state {
        State::Ok => ("✓", Tone::Good),
        State::Warning => ("!", Tone::Busy),
        State::Error => ("✗", Tone::Bad),
        State::Skipped => ("-", Tone::Dim),
    };
    let label = format!("{:<column$}", label(check));
    let mut text = format!("  {} {label}  ", paint.tone(tone, mark));
    let before = 6 + label.chars().count();
    // Where there is no room beside the name, what was found goes below it.
    let beside = width.is_none_or(|width| before + 20 <= width);
    let indent = if beside {
        " ".repeat(before)
    } else {
        text = format!("{}\n{BELOW}", text.trim_end());
        BELOW.to_owned()
    };
    let said = match state {
        State::Skipped => Tone::Dim,
        State::Ok | State::Warning | State::Error => Tone::Plain,
    };
    let _ = writeln!(text, "{}", indented(found, &indent, width, paint, said));
    if matches!(state, State::Warning | State::Error) {
        if let Some(why) = why {
            let why = indented(why, BELOW, width, paint, Tone::Dim);
            let _ = writeln!(text, "{BELOW}{why}");
        }
        if let Some(remedy) = remedy {
            let arrow = paint.hint("→");
            let remedy = indented(remedy, &format!("{BELOW}  "), width, paint, Tone::Plain);
            let _ = writeln!(text, "{BELOW}{arrow} {remedy}");
        }
    }
    text
}

/// The text in lines that fit, all but the first indented.
fn indented(text: &str, indent: &str, width: Option<usize>, paint: Paint, tone: Tone) -> String {
    let room = width.map(|width| width.saturating_sub(indent.len()));
    let lines = wrapped(text, room).into_iter();
    let lines: Vec<String> = lines.map(|line| paint.tone(tone, &line)).collect();
    lines.join(&format!("\n{indent}"))
}

/// `2 problems, 1 warning`
fn summary(checks: &[Check], paint: Paint) -> String {
    let of = |state| checks.iter().filter(|it| it.finding.state == state).count();
    let (errors, warnings) = (of(State::Error), of(State::Warning));
    let problems = match errors {
        0 => paint.tone(Tone::Good, "no problems"),
        errors => paint.tone(Tone::Bad, &count(errors, "problem")),
    };
    match warnings {
        0 => problems,
        warnings => {
            let warnings = paint.tone(Tone::Busy, &count(warnings, "warning"));
            format!("{problems}, {warnings}")
        }
    }
}

/// The same for programs.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Diagnosis<'c> {
    /// Whether nothing is an error.
    ok: bool,
    /// All that was looked at.
    checks: Vec<Checked<'c>>,
}

/// One thing that was looked at, for programs.
#[derive(Debug, Serialize, JsonSchema)]
struct Checked<'c> {
    /// What it belongs to.
    group: Group,
    /// What it is called.
    name: &'c str,
    /// The environment, where it is of one.
    env: Option<&'c EnvName>,
    /// The gateway, where it is of one.
    gateway: Option<&'c GatewayName>,
    /// How it ended.
    state: State,
    /// What was found.
    found: &'c str,
    /// Why that matters.
    why: Option<&'c str>,
    /// What mends it.
    remedy: Option<&'c str>,
}

impl<'c> Diagnosis<'c> {
    pub(super) fn of(checks: &'c [Check]) -> Self {
        let one = |check: &'c Check| Checked {
            group: check.group,
            name: &check.name,
            env: check.env.as_ref(),
            gateway: check.gateway.as_ref(),
            state: check.finding.state,
            found: &check.finding.found,
            why: check.finding.why.as_deref(),
            remedy: check.finding.remedy.as_deref(),
        };
        Self {
            ok: is_well(checks),
            checks: checks.iter().map(one).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checks() -> Vec<Check> {
        let gateway = GatewayName::parse("gw-pool-dev-0").unwrap();
        let (machine, environment) = (Group::Machine, Group::Environment);
        let disk = Finding::warning("0.5 GB free below /home")
            .because("builds are kept")
            .mended_by("make room there");
        let taken = Finding::error("port 8888 is taken by `nc`").mended_by("`kill 9` makes room");
        vec![
            Check::new(machine, "lockgate", Finding::ok("0.1.0")),
            Check::new(machine, "disk", disk),
            Check::new(environment, "workspace", Finding::skipped("not asked"))
                .of_env(&gateway.env()),
            Check::new(environment, "gateway", Finding::ok("runs")).of_gateway(&gateway),
            Check::new(environment, "ports", taken).of_gateway(&gateway),
        ]
    }

    #[test]
    fn a_line_for_each_check_with_what_mends_it_below() {
        let expected = "\
Machine
  ✓ lockgate  0.1.0
  ! disk      0.5 GB free below /home
      builds are kept
      → make room there

Environment dev
  - workspace            not asked
  ✓ gw-pool-dev-0        runs
  ✗ gw-pool-dev-0 ports  port 8888 is taken by `nc`
      → `kill 9` makes room

1 problem, 1 warning
";
        assert_eq!(text(&checks(), None, Paint::new(false)), expected);
        let all = checks();
        assert_eq!(
            text(&all[..1], None, Paint::new(false)),
            "Machine\n  ✓ lockgate  0.1.0\n\nno problems\n"
        );
    }

    #[test]
    fn a_narrow_terminal_gets_lines_that_fit() {
        let shown = text(&checks(), Some(30), Paint::new(false));
        let expected = "  ✗ gw-pool-dev-0 ports\n      port 8888 is taken by\n      `nc`\n      → `kill 9` makes room\n";
        assert!(shown.contains(expected), "{shown}");
        assert!(
            shown.lines().all(|line| line.chars().count() <= 30),
            "{shown}"
        );
    }

    #[test]
    fn programs_get_every_check_and_whether_all_is_well() {
        let all = checks();
        let document = serde_json::to_value(Diagnosis::of(&all)).unwrap();
        assert_eq!(document["ok"], false);
        let ports = json!({
            "group": "environment", "name": "ports", "env": "dev", "gateway": "gw-pool-dev-0",
            "state": "error", "found": "port 8888 is taken by `nc`", "why": null,
            "remedy": "`kill 9` makes room",
        });
        assert_eq!(document["checks"][4], ports);
        assert!(Diagnosis::of(&all[..4]).ok);
    }
}
