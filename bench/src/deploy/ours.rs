//! `lockgate deploy` on an environment that runs.

use std::fs::DirBuilder;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::GATEWAYS;
use super::watch::until_all_answer;
use crate::Options;
use crate::application::Application;
use crate::clock::Stopwatch;
use crate::error::BenchError;
use crate::pack::ENV;
use crate::process::{Running, command, free_port, run};

/// An environment with its server, in a home of its own.
#[derive(Debug)]
pub(super) struct Ours {
    program: PathBuf,
    home: PathBuf,
    application: Application,
    doors: Vec<SocketAddr>,
    server: Running,
}

/// The moments of one deploy, counted from the written bundle.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// The last gateway answered with the new code.
    pub(super) answered: Duration,
    /// The command had said so and ended.
    pub(super) reported: Duration,
}

impl Ours {
    /// Serves, creates the environment and deploys once; or says what is missing.
    pub(super) fn start(
        options: &Options,
        application: &Application,
        folder: &Path,
    ) -> Result<Result<Self, String>, BenchError> {
        for name in ["lockgate", "lockgate-agent"] {
            let program = options.bin_dir.join(name);
            if !program.is_file() {
                return Ok(Err(format!("`{}` is not built", program.display())));
            }
        }
        let program = options.bin_dir.join("lockgate");
        let program = program
            .canonicalize()
            .map_err(BenchError::io("find", &program))?;
        let home = folder.join("home");
        for own in [&home, &home.with_extension("run")] {
            DirBuilder::new()
                .mode(0o700)
                .create(own)
                .map_err(BenchError::io("make", own))?;
        }
        let application = application.copy_to(&folder.join("workspace"))?;
        let server_addr = free_port()?;
        let mut serve = lockgate(&program, &home, &application);
        serve.args(["serve", "--port", &server_addr.port().to_string()]);
        let mut server = Running::start(&mut serve, &folder.join("serve.log"))?;
        server.answers(server_addr, "/healthz")?;
        let mut ours = Self {
            program,
            home,
            application,
            doors: Vec::new(),
            server,
        };
        run(ours
            .lockgate()
            .args(["create", ENV, "--gateways", &GATEWAYS.to_string()]))?;
        run(ours.lockgate().args(["deploy", ENV]))?;
        let status = run(ours.lockgate().args(["status", ENV, "--format", "json"]))?;
        ours.doors = doors(&status);
        if ours.doors.len() == GATEWAYS {
            return Ok(Ok(ours));
        }
        Err(BenchError::Unexpected {
            what: format!(
                "`lockgate status` names {:?}, not {GATEWAYS} doors:\n{status}",
                ours.doors
            ),
        })
    }

    /// Writes another build and deploys it.
    pub(super) fn deploy(&mut self, version: &str) -> Result<Times, BenchError> {
        self.application.write_version(version)?;
        let clock = Stopwatch::start();
        let log = self.home.join("deploy.log");
        let running = Running::start(self.lockgate().args(["deploy", ENV]), &log)?;
        let answered =
            until_all_answer(&self.doors, version, clock).map_err(|error| match error {
                BenchError::TooLate { what, seconds, .. } => BenchError::TooLate {
                    what,
                    seconds,
                    log: running.log_end() + &self.server.log_end(),
                },
                other => other,
            })?;
        running.finish()?;
        Ok(Times {
            answered,
            reported: clock.elapsed(),
        })
    }

    fn lockgate(&self) -> Command {
        lockgate(&self.program, &self.home, &self.application)
    }
}

/// The program with a home of its own, in the workspace.
fn lockgate(program: &Path, home: &Path, application: &Application) -> Command {
    let mut lockgate = command(program);
    lockgate
        .current_dir(application.workspace())
        .env("LOCKGATE_HOME", home)
        .env("XDG_RUNTIME_DIR", home.with_extension("run"));
    lockgate
}

/// The gateways' HTTP ports, wherever `status` names them.
fn doors(status: &str) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for line in serde_json::Deserializer::from_str(status).into_iter::<Value>() {
        let Ok(value) = line else { break };
        collect(&value, &mut found);
    }
    found
}

fn collect(value: &Value, found: &mut Vec<SocketAddr>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        Value::Object(fields) => {
            let port = fields.get("http_port").and_then(Value::as_u64);
            if let Some(port) = port.and_then(|port| u16::try_from(port).ok()) {
                found.push((Ipv4Addr::LOCALHOST, port).into());
            }
            fields.values().for_each(|value| collect(value, found));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doors_are_found_in_one_document_and_in_a_stream_of_events() {
        let one = r#"{"gateways":[{"name":"a","http_port":7100},{"name":"b","http_port":7101}]}"#;
        let stream = "{\"event\":\"x\"}\n{\"name\":\"a\",\"http_port\":7100}\n";
        assert_eq!(doors(one).len(), 2);
        assert_eq!(doors(stream), ["127.0.0.1:7100".parse().unwrap()]);
        assert_eq!(doors("not json"), []);
    }
}
