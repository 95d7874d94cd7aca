//! The log of a gateway in a container: read in there by the agent's own reader, or, where the container
//! does not run, copied out and read here.
//!
//! ```text
//! container runs   ─▶ exec `lockgate-agent logs` ─▶ lines ─┬─▶ what was not told yet
//! it does not run  ─▶ copy of /tmp/gateway.log* ─▶ lines ──┤
//!                     or of the crashes beside releases ───┘
//! ```
//!
//! A follower goes on over a container's end: it reads again from the time of the last line.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use lockgate_model::{GatewayName, LogEvent, LogNews};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::is_crash;
use super::source::{Reading, command, pass_on};
use crate::context::Context;
use crate::error::CommandError;
use crate::runtime::docker::address::EngineAddress;
use crate::runtime::docker::engine::{Engine, EngineError, Exec};
use crate::views::screen::Screen;

/// The application's log in a container.
const LOG: &str = "/tmp/gateway.log";
/// Where the agent keeps crashes in a container, and how they are looked for there.
const STATE: &str = "/opt/lockgate";
const CRASHES: &str = "ls /opt/lockgate/crash-*.log";
/// The most files of a log that are put aside.
const PUT_ASIDE: u32 = 20;
/// How often a container that does not run is looked for.
const LOOK: Duration = Duration::from_millis(500);
/// Ends what follows when whoever asked for it is gone: an engine closes its standard input then, and
/// would let it run on for ever.
const TIED: &str = "exec 3<&0; (cat <&3; kill $$) >/dev/null 2>&1 & exec \"$@\" 3<&-";

/// A gateway's container as a log is read from it.
pub(super) struct Container {
    address: EngineAddress,
    gateway: GatewayName,
    reading: Reading,
    agent: PathBuf,
    screen: Screen,
}

/// What was told already, so that a reader that begins anew tells the rest.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    /// The newest line's time.
    newest: Option<u64>,
    /// How many lines have that time.
    of_newest: usize,
    /// How many of those are still to come again.
    again: usize,
    /// Whether it was said that what follows is new.
    all: bool,
}

impl Told {
    /// A reader begins again at the newest line's time.
    fn begin_again(&mut self) {
        self.again = self.of_newest;
    }

    /// Whether this was not told yet.
    fn is_new(&mut self, event: &LogEvent) -> bool {
        let line = match event {
            LogEvent::Told { .. } => return !std::mem::replace(&mut self.all, true),
            LogEvent::Line(line) => line,
        };
        let Some(time) = line.time else {
            return true;
        };
        if self.newest == Some(time) {
            if self.again > 0 {
                self.again -= 1;
                return false;
            }
            self.of_newest += 1;
        } else if self.newest < Some(time) {
            (self.newest, self.of_newest, self.again) = (Some(time), 1, 0);
        }
        true
    }
}

impl Container {
    pub(super) fn new(
        reading: &Reading,
        ctx: &Context,
        gateway: GatewayName,
    ) -> Result<Self, CommandError> {
        let address = ctx.config.engine.clone();
        let address = address.map_err(|error| CommandError::configuration(error.to_string()))?;
        Ok(Self {
            address,
            gateway,
            reading: reading.clone(),
            agent: ctx.config.agent.clone(),
            screen: ctx.screen,
        })
    }

    /// Whether there is something to read.
    pub(super) async fn has(&self) -> Result<bool, CommandError> {
        let name = self.gateway.as_str();
        let told = |error: EngineError| error.told();
        let engine = Engine::connect(&self.address).await.map_err(told)?;
        if self.reading.crash.is_none() {
            return engine.has_file(name, LOG).await.map_err(told);
        }
        let look = ["sh", "-c", CRASHES].map(str::to_owned).into();
        match engine.exec(name, look, Exec::Plain).await {
            Ok(mut running) => {
                while running.next().await.is_some() {}
                Ok(running.ended_well().await)
            }
            Err(error) if error.is_missing() => Ok(false),
            Err(error) if error.is_conflict() => {
                let kept = engine.files_in(name, STATE, is_crash).await;
                Ok(!kept.map_err(told)?.is_empty())
            }
            Err(error) => Err(error.told()),
        }
    }

    /// Passes on what the log says, until its end or as long as somebody listens; whether that went well.
    pub(super) async fn read(self, tell: mpsc::Sender<LogEvent>) -> bool {
        let mut told = Told::default();
        loop {
            let read = self.read_once(&tell, &mut told).await;
            let well = match read {
                Ok(well) => well,
                Err(error) => {
                    if !self.reading.follow {
                        self.screen.failed(&error.told());
                    }
                    false
                }
            };
            if !self.reading.follow {
                return well;
            }
            // A container that does not run has nothing more to tell for now.
            let news = LogEvent::Told {
                event: LogNews::CaughtUp,
            };
            if told.is_new(&news) && tell.send(news).await.is_err() {
                return true;
            }
            told.begin_again();
            tokio::select! {
                () = tell.closed() => return true,
                () = sleep(LOOK) => {}
            }
        }
    }

    async fn read_once(
        &self,
        tell: &mpsc::Sender<LogEvent>,
        told: &mut Told,
    ) -> Result<bool, EngineError> {
        let name = self.gateway.as_str();
        let engine = Engine::connect(&self.address).await?;
        let (exec, command) = self.command(told);
        match engine.exec(name, command, exec).await {
            Ok(mut running) => {
                let mut line = Vec::new();
                while let Some((is_error, piece)) = running.next().await {
                    if is_error {
                        continue;
                    }
                    for byte in piece {
                        if byte != b'\n' {
                            line.push(byte);
                            continue;
                        }
                        // What a newer agent says besides is not for us.
                        if let Ok(event) = serde_json::from_slice(&line)
                            && told.is_new(&event)
                            && tell.send(event).await.is_err()
                        {
                            return Ok(true);
                        }
                        line.clear();
                    }
                }
                Ok(running.ended_well().await)
            }
            Err(error) if error.is_missing() => Ok(true),
            Err(error) if error.is_conflict() && !told.all => {
                self.copied(&engine, tell, told).await
            }
            Err(error) if error.is_conflict() => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// The reader in the container.
    fn command(&self, told: &Told) -> (Exec, Vec<String>) {
        let mut reading = self.reading.clone();
        if let Some(newest) = told.newest {
            reading.since = Some(UNIX_EPOCH + Duration::from_millis(newest));
            reading.lines = None;
        }
        let reader = ["lockgate-agent", "logs", "--format", "json"].map(str::to_owned);
        let reader = reader.into_iter().chain(reading.flags());
        if reading.follow {
            let tied = ["sh", "-c", TIED, "sh"].map(str::to_owned);
            (Exec::Tied, tied.into_iter().chain(reader).collect())
        } else {
            (Exec::Plain, reader.collect())
        }
    }

    /// Reads copies of the log's files, or of the crashes that are kept.
    async fn copied(
        &self,
        engine: &Engine,
        tell: &mpsc::Sender<LogEvent>,
        told: &mut Told,
    ) -> Result<bool, EngineError> {
        let folder = tempfile::tempdir().map_err(|source| EngineError::Copy {
            path: std::env::temp_dir(),
            source,
        })?;
        let files = if self.reading.crash.is_some() {
            engine
                .files_in(self.gateway.as_str(), STATE, is_crash)
                .await?
        } else {
            self.log_files(engine).await?
        };
        if files.is_empty() {
            return Ok(true);
        }
        for (name, content) in files {
            let path = folder.path().join(name);
            std::fs::write(&path, content).map_err(|source| EngineError::Copy { path, source })?;
        }
        let reading = Reading {
            follow: false,
            ..self.reading.clone()
        };
        // Crashes lie beside the folder of releases, which itself is not needed.
        let place = |name| folder.path().join(name);
        let (log, releases) = (place("gateway.log"), place("releases"));
        let reader = command(&reading, &self.agent, &log, &releases);
        Ok(pass_on(reader, tell, |event| told.is_new(event)).await)
    }

    /// The log and what was put aside of it.
    async fn log_files(&self, engine: &Engine) -> Result<Vec<(String, Vec<u8>)>, EngineError> {
        let name = self.gateway.as_str();
        let mut files = Vec::new();
        let Some(content) = engine.file(name, LOG).await? else {
            return Ok(files);
        };
        files.push(("gateway.log".to_owned(), content));
        for number in 1..=PUT_ASIDE {
            let Some(content) = engine.file(name, &format!("{LOG}.{number}")).await? else {
                break;
            };
            files.push((format!("gateway.log.{number}"), content));
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use lockgate_model::LogLine;

    use super::*;

    fn line(time: Option<u64>) -> LogEvent {
        LogEvent::Line(LogLine {
            time,
            ..LogLine::default()
        })
    }

    #[test]
    fn a_reader_that_begins_again_tells_the_rest() {
        let mut told = Told::default();
        let tell = |told: &mut Told, times: &[u64]| -> Vec<u64> {
            let new = times.iter().filter(|time| told.is_new(&line(Some(**time))));
            new.copied().collect()
        };
        assert_eq!(tell(&mut told, &[1, 2, 5, 5]), [1, 2, 5, 5]);
        told.begin_again();
        // From the time of the newest line on: two of it are known, the third is not.
        assert_eq!(tell(&mut told, &[5, 5, 5, 6]), [5, 6]);
        told.begin_again();
        assert_eq!(tell(&mut told, &[6, 7]), [7]);
        // One that was emptied meanwhile begins later.
        told.begin_again();
        assert_eq!(tell(&mut told, &[9, 9]), [9, 9]);
        assert!(told.is_new(&line(None)));
    }

    #[test]
    fn that_all_is_told_is_said_once() {
        let mut told = Told::default();
        let news = LogEvent::Told {
            event: LogNews::CaughtUp,
        };
        assert!(told.is_new(&news));
        assert!(!told.is_new(&news));
    }
}
