//! docs/commands.md is what the two programs say of themselves.
//! `SNAPSHOTS=overwrite` writes it anew.

#![expect(clippy::unwrap_used, reason = "a test ends by panic")]

use lockgate_e2e::World;
use snapbox::{assert_data_eq, file};

const INTRODUCTION: &str = "\
# Commands

What the two programs print with `--help`; a test keeps this page so. `lockgate` runs on
the host, `lockgate-agent` in a gateway. Exit codes of both: 0 done, 1 it failed or found
something and says what, 2 usage, 78 configuration; of `lockgate` also 130: ended by Ctrl-C
before it was done.
";

#[test]
fn the_reference_is_what_the_programs_say() {
    let world = World::new();
    let mut page = INTRODUCTION.to_owned();
    for program in ["lockgate", "lockgate-agent"] {
        let help = help(&world, program, &["--help"]);
        page += &section("##", program, &help);
        for command in commands(&help) {
            let help = self::help(&world, program, &[command, "--help"]);
            page += &section("###", &format!("{program} {command}"), &help);
        }
    }
    assert_data_eq!(page, file!["../../docs/commands.md"].raw());
}

fn section(level: &str, title: &str, help: &str) -> String {
    format!("\n{level} {title}\n\n```text\n{help}```\n")
}

fn help(world: &World, program: &str, args: &[&str]) -> String {
    let output = world.program(program).args(args).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| format!("{}\n", line.trim_end()));
    lines.collect()
}

/// The commands that a help lists: `  name   What it does`.
fn commands(help: &str) -> Vec<&str> {
    let name = |line: &'_ str| -> bool {
        line.starts_with("  ")
            && line
                .chars()
                .nth(2)
                .is_some_and(|first| first.is_ascii_lowercase())
    };
    let listed = help.lines().filter(|line| name(line));
    let names = listed.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").collect()
}
