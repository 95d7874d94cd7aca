//! The application's start to its first answer, on each Node that is there: plain, with
//! a compile cache of an earlier start, and with a cache that was torn.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Options;
use crate::application::Application;
use crate::clock::Stopwatch;
use crate::error::BenchError;
use crate::pack::size_mb;
use crate::process::{Running, command, first_line, free_port, run};
use crate::samples::Samples;
use crate::table::{Row, Table, ratio, tell};
use crate::watch::until_all_answer;

/// Where further versions of Node lie, when `scripts/preload-tests.sh` has fetched them.
const MODULES: &str = "crates/agent/preload-tests/node_modules";

/// The version of all starts.
const VERSION: &str = "1.9.0";

/// A Node, and what it took.
struct Node {
    program: PathBuf,
    version: String,
    plain: Samples,
    /// Absent where this Node knows no compile cache.
    cached: Option<Cached>,
}

/// Starts with a compile cache.
struct Cached {
    /// The cache of an earlier start.
    folder: PathBuf,
    size_bytes: u64,
    warm: Samples,
    torn: Samples,
}

/// Measures booting.
pub(crate) fn boot(options: &Options) -> Result<Vec<Table>, BenchError> {
    let application = Application::find(&options.workspace)?;
    let scripts = options
        .sequence
        .canonicalize()
        .map_err(BenchError::io("find", &options.sequence))?;
    let folder = tempfile::tempdir().map_err(BenchError::io("make", Path::new("a folder")))?;
    let application = application.copy_to(&folder.path().join("workspace"))?;
    application.write_version(VERSION)?;
    let starts = Starts {
        application: &application,
        scripts: &scripts,
        log: folder.path().join("node.log"),
    };

    let (mut nodes, notes) = find(folder.path());
    for node in &mut nodes {
        if let Some(cached) = &mut node.cached {
            starts.once(&node.program, Some(&cached.folder))?;
            cached.size_bytes = each_file(&cached.folder, &mut |_, size| Ok(size))?;
        }
    }
    let torn = folder.path().join("torn");
    for round in 0..options.rounds {
        tell(&format!("boot: round {} of {}", round + 1, options.rounds));
        for node in &mut nodes {
            node.plain.push_time(starts.once(&node.program, None)?);
            let Some(cached) = &mut node.cached else {
                continue;
            };
            let warm = starts.once(&node.program, Some(&cached.folder))?;
            cached.warm.push_time(warm);
            tear(&cached.folder, &torn)?;
            let time = starts.once(&node.program, Some(&torn))?;
            cached.torn.push_time(time);
        }
    }
    Ok(vec![table(nodes, options.rounds, notes)])
}

/// What every start has in common.
struct Starts<'a> {
    application: &'a Application,
    scripts: &'a Path,
    log: PathBuf,
}

impl Starts<'_> {
    /// Starts, waits for the first answer, ends. Node writes its cache when it ends.
    fn once(&self, program: &Path, cache: Option<&Path>) -> Result<Duration, BenchError> {
        let addr = free_port()?;
        let mut node = self.application.node(program, self.scripts, addr.port());
        node.env_remove("NODE_COMPILE_CACHE");
        if let Some(cache) = cache {
            node.env("NODE_COMPILE_CACHE", cache);
        }
        let clock = Stopwatch::start();
        let running = Running::start(&mut node, &self.log)?;
        until_all_answer(&[addr], VERSION, clock)
            .map_err(|error| error.with_log(|| running.log_end()))
    }
}

/// The Nodes that are there, and which are not.
fn find(folder: &Path) -> (Vec<Node>, Vec<String>) {
    let mut notes = Vec::new();
    let fetched = |name: &str| Path::new(MODULES).join(name).join("bin/node");
    let programs = [PathBuf::from("node"), fetched("node22"), fetched("node24")];
    let nodes = programs.into_iter().filter_map(|program| {
        let shown = program.display().to_string();
        let Some(version) = first_line(&shown, "--version") else {
            notes.push(format!(
                "SKIPPED: `{shown}` is not there; `scripts/preload-tests.sh` fetches it"
            ));
            return None;
        };
        let cached = has_compile_cache(&version).then(|| Cached {
            folder: folder.join(format!("cache-{version}")),
            size_bytes: 0,
            warm: Samples::default(),
            torn: Samples::default(),
        });
        Some(Node {
            program,
            version,
            plain: Samples::default(),
            cached,
        })
    });
    (nodes.collect(), notes)
}

/// Node has it since 22.1.
fn has_compile_cache(version: &str) -> bool {
    let mut numbers = version.trim_start_matches('v').split('.').map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (22_u32, 1_u32),
        _ => false,
    }
}

/// Makes `torn` a copy of the cache in which every file has only its first half.
fn tear(cache: &Path, torn: &Path) -> Result<(), BenchError> {
    if torn.exists() {
        std::fs::remove_dir_all(torn).map_err(BenchError::io("remove", torn))?;
    }
    run(command("cp").arg("-r").arg(cache).arg(torn))?;
    each_file(torn, &mut |path, size| {
        let file = std::fs::OpenOptions::new().write(true).open(path);
        let cut = file.and_then(|file| file.set_len(size / 2));
        cut.map_err(BenchError::io("cut", path)).map(|()| size / 2)
    })?;
    Ok(())
}

/// Calls `act` with every file below and its size, and adds up what it gives.
fn each_file(
    folder: &Path,
    act: &mut impl FnMut(&Path, u64) -> Result<u64, BenchError>,
) -> Result<u64, BenchError> {
    let mut sum = 0;
    let entries = folder.read_dir().map_err(BenchError::io("read", folder))?;
    for entry in entries {
        let path = entry.map_err(BenchError::io("read", folder))?.path();
        let found = path
            .symlink_metadata()
            .map_err(BenchError::io("read", &path))?;
        sum += if found.is_dir() {
            each_file(&path, act)?
        } else {
            act(&path, found.len())?
        };
    }
    Ok(sum)
}

fn table(nodes: Vec<Node>, rounds: u32, mut notes: Vec<String>) -> Table {
    let mut rows = Vec::new();
    for node in nodes {
        let name = format!("node {}", node.version.trim_start_matches('v'));
        let mut plain = Row::new(&name, node.plain, "ms");
        let Some(cached) = node.cached else {
            plain.remark.push_str("knows no compile cache");
            rows.push(plain);
            continue;
        };
        if let Some(ratio) = ratio(&cached.warm, &plain.samples) {
            notes.push(format!(
                "{name}: a warm cache is {ratio:.2} × the plain start"
            ));
        }
        let mut warm = Row::new("  with a warm compile cache", cached.warm, "ms");
        warm.remark = format!("{:.1} MB", size_mb(cached.size_bytes));
        let mut torn = Row::new("  with a torn one", cached.torn, "ms");
        torn.remark.push_str("each start answered");
        rows.extend([plain, warm, torn]);
    }
    Table {
        title: format!("boot: start → first answer of the example, {rounds} rounds in turns"),
        rows,
        notes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compile_cache_came_with_22_1() {
        for (version, has) in [
            ("v20.20.2", false),
            ("v22.0.0", false),
            ("v22.1.0", true),
            ("v24.1.0", true),
            ("what", false),
        ] {
            assert_eq!(has_compile_cache(version), has, "{version}");
        }
    }

    #[test]
    fn a_torn_cache_has_half_of_every_file() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, torn) = (folder.path().join("cache"), folder.path().join("torn"));
        std::fs::create_dir_all(cache.join("v24")).unwrap();
        std::fs::write(cache.join("v24/a"), [7; 10]).unwrap();
        for _ in 0..2 {
            tear(&cache, &torn).unwrap();
            assert_eq!(std::fs::read(torn.join("v24/a")).unwrap(), [7; 5]);
        }
    }
}
