use std::process::Command;

use super::*;

fn words(line: &str) -> Vec<String> {
    line.split_ascii_whitespace().map(str::to_owned).collect()
}

fn check(command: &str, left: &str, inspect: &Inspect) {
    let found = take_out(&words(command), None);
    assert_eq!(found.command, words(left), "{command}");
    assert_eq!(&found.inspect, inspect, "{command}");
    assert_eq!(found.node_options, None, "{command}");
}

fn at(host: &str, port: u16) -> Inspect {
    let host = host.to_owned();
    Inspect::At { host, port }
}

#[test]
fn the_inspector_is_taken_out_of_nodes_own_words() {
    let default = &at("127.0.0.1", 9229);
    check("node --inspect a.js", "node a.js", default);
    check(
        "node --inspect=9230 a.js",
        "node a.js",
        &at("127.0.0.1", 9230),
    );
    check("node --inspect=0 a.js", "node a.js", &at("127.0.0.1", 0));
    check(
        "node --inspect=:9230 a.js",
        "node a.js",
        &at("127.0.0.1", 9230),
    );
    check(
        "node --inspect=0.0.0.0 a.js",
        "node a.js",
        &at("0.0.0.0", 9229),
    );
    check(
        "node --inspect=[::1]:9230 a.js",
        "node a.js",
        &at("::1", 9230),
    );
    check("node --inspect=[::1] a.js", "node a.js", &at("::1", 9229));
    check(
        "node --inspect=box:9230 --inspect-port=9231 a.js",
        "node a.js",
        &at("box", 9231),
    );
    check(
        "node --inspect_port 9230 --inspect a.js",
        "node a.js",
        &at("127.0.0.1", 9230),
    );
    check(
        "node --debug-port=9230 --inspect a.js",
        "node a.js",
        &at("127.0.0.1", 9230),
    );
    check("node --no-inspect --inspect a.js", "node a.js", default);
}

#[test]
fn values_of_other_options_do_not_end_them() {
    let default = &at("127.0.0.1", 9229);
    for option in [
        "-r x",
        "--require x",
        "--require=x",
        "--import x",
        "--experimental_loader x",
        "-C x",
        "-e x",
        "-p x",
        "-pe x",
        "--title x",
        "--enable-source-maps",
        "--max-old-space-size=99",
    ] {
        check(
            &format!("node {option} --inspect"),
            &format!("node {option}"),
            default,
        );
        check(
            &format!("node --inspect {option} a.js --inspect"),
            &format!("node {option} a.js --inspect"),
            default,
        );
    }
    // The code to be run may stand in the next word or not.
    check("node -p --inspect", "node -p", default);
    check("node -p a.js --inspect", "node -p a.js", default);
}

#[test]
fn other_words_stay_as_they_are() {
    for command in [
        "node a.js --inspect",
        "node -- --inspect",
        "node - --inspect",
        "node inspect a.js",
        "node -r x a.js --inspect",
        "node --enable-source-maps a.js --inspect",
        "node --prof-process --inspect",
        "node",
        // Without `--inspect` it is where the inspector would be opened by a signal.
        "node --inspect-port=9230 a.js",
        "node --inspect --no-inspect a.js",
        // Node says itself what is wrong.
        "node --inspect=99 a.js",
        "node --inspect=70000 a.js",
        "node --inspect=box:x a.js",
        "node --inspect= a.js",
        "node --inspect --inspect-port --title=x",
        "",
    ] {
        check(command, command, &Inspect::Off);
    }
}

#[test]
fn a_process_that_waits_for_its_debugger_is_told_apart() {
    for command in [
        "node --inspect-brk a.js",
        "node --inspect_brk=9230 a.js",
        "node --inspect --inspect-wait a.js",
        "node --inspect-brk-node a.js",
    ] {
        check(command, command, &Inspect::Break);
    }
    check(
        "node a.js --inspect-brk",
        "node a.js --inspect-brk",
        &Inspect::Off,
    );
    let variable = Some("--inspect-brk");
    let found = take_out(&words("node --inspect a.js"), variable);
    assert_eq!(found.command, words("node --inspect a.js"));
    assert_eq!(found.node_options.as_deref(), variable);
    assert_eq!(found.inspect, Inspect::Break);
}

#[test]
fn the_variable_is_read_before_the_command_line() {
    let check = |variable, command: &str, left: Option<&str>, left_command: &str, inspect| {
        let found = take_out(&words(command), Some(variable));
        assert_eq!(found.node_options.as_deref(), left, "{variable}");
        assert_eq!(found.command, words(left_command), "{variable}");
        assert_eq!(found.inspect, inspect, "{variable}");
    };
    let default = || at("127.0.0.1", 9229);
    check("--inspect", "node a.js", None, "node a.js", default());
    check(
        r#"--require "./a b.js"  --inspect=0.0.0.0:9230 --title=x"#,
        "node --inspect-port=9231 a.js",
        Some(r#"--require "./a b.js" --title=x"#),
        "node a.js",
        at("0.0.0.0", 9231),
    );
    check(
        r#"--require "--inspect x""#,
        "node a.js",
        Some(r#"--require "--inspect x""#),
        "node a.js",
        Inspect::Off,
    );
    check(
        "--inspect",
        "node --no-inspect a.js",
        Some("--inspect"),
        "node --no-inspect a.js",
        Inspect::Off,
    );
    check(
        r#"--inspect ""#,
        "node --inspect a.js",
        Some(r#"--inspect ""#),
        "node --inspect a.js",
        Inspect::Off,
    );
}

/// Runs Node, with a script that says whether its inspector is open.
#[expect(clippy::disallowed_methods, reason = "a test asks Node itself")]
fn node(command: &[String], node_options: Option<&str>) -> String {
    let mut node = Command::new(&command[0]);
    node.args(&command[1..]).env_remove("NODE_OPTIONS");
    if let Some(variable) = node_options {
        node.env("NODE_OPTIONS", variable);
    }
    String::from_utf8(node.output().unwrap().stdout).unwrap()
}

#[test]
fn node_itself_reads_the_words_alike() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("a.js");
    let says = "console.log(require('inspector').url() ? 'open' : 'closed', process.argv.slice(2))";
    std::fs::write(&script, says).unwrap();
    let script = script.to_str().unwrap();
    for (variable, words) in [
        (None, vec!["--inspect=0", script]),
        (
            None,
            vec!["--inspect_port=0", "--inspect", script, "--inspect=0"],
        ),
        (None, vec!["--debug-port", "0", "--inspect", script]),
        (
            None,
            vec!["-r", "fs", "--inspect=[::1]:0", "--title", "x", script, "y"],
        ),
        (
            None,
            vec!["-e", says, "--inspect=localhost:0", "--", "--inspect=0"],
        ),
        (None, vec!["--inspect=0", "-pe", says]),
        (None, vec!["--no-inspect", "--inspect=:0", script]),
        (None, vec!["--inspect=0", "--no-inspect", script]),
        (None, vec!["--inspect-port=0", script]),
        (None, vec![script, "--inspect=0"]),
        (None, vec!["--", script, "--inspect=0"]),
        (Some("--inspect=0"), vec![script]),
        (Some(r#"--title "a b" --inspect=127.0.0.1:0"#), vec![script]),
        (Some(r#"--title "x --inspect=0""#), vec![script]),
        (Some("--inspect"), vec!["--inspect-port=0", script]),
        (Some("--inspect=0"), vec!["--no-inspect", script]),
    ] {
        let what = format!("{variable:?} {words:?}");
        let command: Vec<String> = ["node"]
            .iter()
            .chain(&words)
            .map(ToString::to_string)
            .collect();
        let before = node(&command, variable);
        let found = take_out(&command, variable);
        let is_open = before.starts_with("open");
        assert!(is_open || before.starts_with("closed"), "{what} {before}");
        assert_eq!(
            matches!(found.inspect, Inspect::At { .. }),
            is_open,
            "{what}"
        );
        let after = node(&found.command, found.node_options.as_deref());
        assert_eq!(after, before.replace("open", "closed"), "{what}");
    }
}
