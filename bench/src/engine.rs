//! A Docker engine and its containers, through its own command.

use std::net::SocketAddr;
use std::time::Duration;

use crate::clock::Stopwatch;
use crate::error::BenchError;
use crate::http;
use crate::process::{command, pause, run};

/// How long a container may take until it answers.
const ANSWER_WITHIN: Duration = Duration::from_mins(1);

/// What `docker` prints.
pub(crate) fn docker<S: AsRef<str>>(args: &[S]) -> Result<String, BenchError> {
    let args = args.iter().map(AsRef::as_ref);
    run(command("docker").args(args)).map(|text| text.trim().to_owned())
}

/// A container that runs until this value is dropped.
#[derive(Debug)]
pub(crate) struct Container {
    id: String,
}

/// The moments of a start, counted from the call of `docker run`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// `docker run` had returned.
    pub(crate) returned: Duration,
    /// The container answered.
    pub(crate) answered: Duration,
}

impl Container {
    /// `docker run ARGS`, until `addr` answers with 200.
    pub(crate) fn start<S: AsRef<str>>(
        args: &[S],
        addr: SocketAddr,
    ) -> Result<(Self, Times), BenchError> {
        let mut all = vec!["run", "--detach"];
        all.extend(args.iter().map(AsRef::as_ref));
        let clock = Stopwatch::start();
        let container = Self { id: docker(&all)? };
        let returned = clock.elapsed();
        while clock.elapsed() < ANSWER_WITHIN {
            if matches!(http::get(addr, "/"), Ok((200, _))) {
                let answered = clock.elapsed();
                return Ok((container, Times { returned, answered }));
            }
            pause();
        }
        Err(BenchError::TooLate {
            what: format!("an answer of a container on {addr}"),
            seconds: ANSWER_WITHIN.as_secs(),
            log: container.log_end(),
        })
    }

    /// What a command in it prints.
    pub(crate) fn exec(&self, args: &[&str]) -> Result<String, BenchError> {
        docker(&[&["exec", &self.id], args].concat())
    }

    fn log_end(&self) -> String {
        let tail = command("docker")
            .args(["logs", "--tail", "50", &self.id])
            .output();
        tail.map_or_else(
            |error| error.to_string(),
            |output| {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                text(&output.stdout) + &text(&output.stderr)
            },
        )
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Where the engine is gone, the container is, too.
        let _ = docker(&["rm", "--force", "--volumes", &self.id]);
    }
}
