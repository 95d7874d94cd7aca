//! A bundle judged: ours, in the process and as the program, beside a scan with regular
//! expressions, line by line.

use std::path::{Path, PathBuf};
use std::process::Command;

use lockgate_builds::validate::{Rules, validate_bundle};

use crate::Options;
use crate::application::{Application, BUNDLE_FOLDER};
use crate::clock::Stopwatch;
use crate::error::BenchError;
use crate::pack::size_mb;
use crate::process::{command, first_line};
use crate::samples::Samples;
use crate::table::{Row, Table, ratio, tell};

/// What makes a clean bundle dirty.
const FRONT_END: &str = "\nconst appended = require(\"react\");\n";

/// A bundle, clean or not, and how long each needed for it.
struct Case {
    name: &'static str,
    workspace: PathBuf,
    clean: bool,
    library: Samples,
    program: Samples,
    scan: Samples,
}

/// Measures validating.
pub(crate) fn validate(options: &Options) -> Result<Vec<Table>, BenchError> {
    let application = Application::find(&options.workspace)?;
    let folder = tempfile::tempdir().map_err(BenchError::io("make", Path::new("a folder")))?;
    let dirty = folder.path().join("dirty");
    application.copy_to(&dirty)?;
    let bundle = bundle_in(&dirty);
    let text = std::fs::read_to_string(&bundle).map_err(BenchError::io("read", &bundle))?;
    let text = with_front_end(&text);
    std::fs::write(&bundle, &text).map_err(BenchError::io("write", &bundle))?;

    let mut notes = Vec::new();
    let program = program(options, &mut notes)?;
    let scan = options
        .scan
        .canonicalize()
        .map_err(BenchError::io("find", &options.scan))?;
    let node = first_line("node", "--version").is_some();
    if !node {
        notes.push("SKIPPED: node is not installed".to_owned());
    }
    let mut cases = [
        Case::new("clean", application.workspace(), true),
        Case::new("with an import of React", &dirty, false),
    ];
    for round in 0..options.rounds {
        tell(&format!(
            "validate: round {} of {}",
            round + 1,
            options.rounds
        ));
        for case in &mut cases {
            case.judge()?;
            if let Some(program) = &program {
                let mut validate = command(program);
                validate.arg("validate").arg(bundle_in(Path::new("")));
                validate.env("LOCKGATE_HOME", folder.path().join("home"));
                let time = &mut case.program;
                timed(
                    validate.current_dir(&case.workspace),
                    i32::from(!case.clean),
                    time,
                )?;
            }
            if node {
                let mut node = command("node");
                node.arg(&scan).arg(bundle_in(&case.workspace));
                timed(&mut node, i32::from(!case.clean), &mut case.scan)?;
            }
        }
    }
    if let [clean, _] = &cases
        && let Some(ratio) = ratio(&clean.scan, &clean.program)
    {
        notes.push(format!(
            "clean, as the program: {ratio:.2} × faster than the scan (to reach: > 1, and ≤ 300 ms)"
        ));
    }
    let map = bundle_in(application.workspace()).with_extension("js.map");
    let map = std::fs::metadata(&map).map_err(BenchError::io("read", &map))?;
    Ok(vec![Table {
        title: format!(
            "validate: {:.1} MB and a map of {:.1} MB, {} rounds in turns",
            size_mb(text.len() as u64),
            size_mb(map.len()),
            options.rounds
        ),
        rows: cases.into_iter().flat_map(Case::rows).collect(),
        notes,
    }])
}

impl Case {
    fn new(name: &'static str, workspace: &Path, clean: bool) -> Self {
        Self {
            name,
            workspace: workspace.to_owned(),
            clean,
            library: Samples::default(),
            program: Samples::default(),
            scan: Samples::default(),
        }
    }

    /// Judges it in this process.
    fn judge(&mut self) -> Result<(), BenchError> {
        let clock = Stopwatch::start();
        let report = validate_bundle(
            &self.workspace,
            &bundle_in(Path::new("")),
            &Rules::default(),
        )?;
        self.library.push_time(clock.elapsed());
        if report.is_clean() == self.clean {
            return Ok(());
        }
        Err(BenchError::Unexpected {
            what: format!("the bundle is not {}: {report:?}", self.name),
        })
    }

    fn rows(self) -> [Row; 3] {
        let name = self.name;
        [
            Row::new(&format!("{name}: in the process"), self.library, "ms"),
            Row::new(&format!("{name}: lockgate validate"), self.program, "ms"),
            Row::new(
                &format!("{name}: regular expressions in node"),
                self.scan,
                "ms",
            ),
        ]
    }
}

/// The program, or a note that it is not there.
fn program(options: &Options, notes: &mut Vec<String>) -> Result<Option<PathBuf>, BenchError> {
    let program = options.bin_dir.join("lockgate");
    if !program.is_file() {
        notes.push(format!("SKIPPED: `{}` is not built", program.display()));
        return Ok(None);
    }
    let program = program
        .canonicalize()
        .map_err(BenchError::io("find", &program))?;
    Ok(Some(program))
}

fn bundle_in(workspace: &Path) -> PathBuf {
    workspace.join(BUNDLE_FOLDER).join("main.js")
}

/// The import before the comment that names the map, so that the map stays the bundle's.
fn with_front_end(text: &str) -> String {
    let at = text.rfind("\n//# sourceMappingURL").unwrap_or(text.len());
    let (code, comment) = text.split_at(at);
    format!("{code}{FRONT_END}{comment}")
}

/// Runs a program that must end with this code.
fn timed(command: &mut Command, code: i32, samples: &mut Samples) -> Result<(), BenchError> {
    let clock = Stopwatch::start();
    let output = command
        .output()
        .map_err(BenchError::io("run", Path::new(command.get_program())))?;
    samples.push_time(clock.elapsed());
    if output.status.code() == Some(code) {
        return Ok(());
    }
    Err(BenchError::Program {
        command: format!("{command:?}"),
        status: output.status,
        output: String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_comment_that_names_the_map_stays_last() {
        let dirty = with_front_end("a();\n//# sourceMappingURL=main.js.map\n");
        assert!(dirty.starts_with("a();\nconst"), "{dirty}");
        assert!(
            dirty.ends_with("\n//# sourceMappingURL=main.js.map\n"),
            "{dirty}"
        );
        assert!(with_front_end("a();").ends_with(FRONT_END));
    }
}
