//! The machine that figures belong to, in one line.

use crate::clock;
use crate::process::first_line;

/// Cores, processor, kernel, node, tools and date.
pub(crate) fn line() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let processor = read("/proc/cpuinfo")
        .lines()
        .find_map(|line| {
            Some(
                line.strip_prefix("model name")?
                    .split_once(':')?
                    .1
                    .trim()
                    .to_owned(),
            )
        })
        .unwrap_or_else(|| "unknown processor".to_owned());
    let mut parts = vec![
        format!("{cores} cores ({processor})"),
        format!("Linux {}", read("/proc/sys/kernel/osrelease").trim()),
    ];
    for (program, option) in [
        ("node", "--version"),
        ("nginx", "-v"),
        ("python3", "--version"),
        ("tar", "--version"),
    ] {
        if let Some(version) = first_line(program, option) {
            parts.push(match program {
                "node" => format!("node {version}"),
                _ => version,
            });
        }
    }
    parts.push(humantime::format_rfc3339_seconds(clock::now()).to_string());
    format!("machine: {}", parts.join(", "))
}
