//! A report as people read it.

use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lockgate_model::Report;

use crate::cli::Format;
use crate::error::CommandError;

/// Writes a report to stdout.
#[expect(
    clippy::disallowed_methods,
    reason = "the age of a process is counted from the moment at which it is shown"
)]
pub(super) fn show(report: &Report, format: Format) -> Result<(), CommandError> {
    let text = match format {
        Format::Human => human(report, SystemTime::now()),
        Format::Json => serde_json::to_string_pretty(report)
            .map_err(|error| CommandError::failed("cannot write the report").because(&error))?,
    };
    match writeln!(io::stdout().lock(), "{text}") {
        // Whoever read has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|e| CommandError::failed("cannot write to stdout").because(&e)),
    }
}

/// The report in a few lines.
fn human(report: &Report, now: SystemTime) -> String {
    let mut lines = vec![format!("{}  {}", report.gateway, report.phase.as_str())];
    let mut line = |name: &str, value: String| lines.push(format!("  {name:<9} {value}"));
    match &report.running {
        Some(running) => {
            let since = UNIX_EPOCH + Duration::from_millis(running.since);
            let age = now.duration_since(since).unwrap_or_default().as_secs();
            let age = humantime::format_duration(Duration::from_secs(age));
            line(
                "runs",
                format!("{} (pid {}, for {age})", running.build, running.pid),
            );
        }
        None => line("runs", "nothing".to_owned()),
    }
    if let Some(build) = &report.desired_build {
        let state = if report.settled == report.seq {
            ""
        } else {
            ", under way"
        };
        line(
            "desired",
            format!("{build} (statement {}{state})", report.seq),
        );
    }
    if let Some(refused) = &report.refused {
        line("refused", format!("{}: {}", refused.build, refused.reason));
        for logged in &refused.log {
            line("", format!("| {logged}"));
        }
    }
    if let Some(problem) = &report.problem {
        line("problem", problem.clone());
    }
    line("restarts", report.restarts.to_string());
    if let Some(server) = &report.server {
        line("server", server.clone());
    }
    line(
        "agent",
        format!("{} (pid {})", report.agent_version, report.agent_pid),
    );
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_model::{BuildId, GatewayName, Phase, Refusal, Running, Timings};

    #[test]
    fn a_report_says_what_runs_and_what_was_refused() {
        let gateway = GatewayName::parse("gw-pool-dev-001-0").unwrap();
        let report = Report {
            on_trial: false,
            change: None,
            env: gateway.env(),
            gateway,
            agent_version: "0.1.0".to_owned(),
            agent_pid: 1,
            seq: 12,
            settled: 12,
            desired_build: Some(BuildId::parse("bbbbbbbbbbbb").unwrap()),
            phase: Phase::Ready,
            running: Some(Running {
                build: BuildId::parse("aaaaaaaaaaaa").unwrap(),
                pid: 20,
                since: 1_000,
            }),
            restarts: 2,
            refused: Some(Refusal {
                unavailable_ms: None,
                build: BuildId::parse("bbbbbbbbbbbb").unwrap(),
                seq: 12,
                reason: "exited with code 1".to_owned(),
                log: vec!["Error: boom".to_owned()],
            }),
            problem: None,
            server: Some("http://172.17.0.1:8090".to_owned()),
            timings: Timings::default(),
        };
        let shown = human(&report, UNIX_EPOCH + Duration::from_secs(62));
        assert_eq!(
            shown,
            "gw-pool-dev-001-0  ready\n  \
               runs      aaaaaaaaaaaa (pid 20, for 1m 1s)\n  \
               desired   bbbbbbbbbbbb (statement 12)\n  \
               refused   bbbbbbbbbbbb: exited with code 1\n            \
               | Error: boom\n  \
               restarts  2\n  \
               server    http://172.17.0.1:8090\n  \
               agent     0.1.0 (pid 1)"
        );
    }
}
