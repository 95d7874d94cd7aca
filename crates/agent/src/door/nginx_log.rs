//! What nginx writes, as lines of the agent's own log.

use std::os::fd::OwnedFd;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::unix::pipe;
use tracing::{error, info, warn};

/// Reads nginx's stderr to its end.
pub(super) async fn read(stderr: OwnedFd) {
    let pipe = match pipe::Receiver::from_owned_fd(stderr) {
        Ok(pipe) => pipe,
        Err(error) => {
            warn!(%error, "nginx's log cannot be read");
            return;
        }
    };
    // nginx cuts its lines at 2 KB.
    let mut lines = BufReader::new(pipe).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        let line = String::from_utf8_lossy(&line);
        let (level, text) = parsed(&line);
        match level {
            Level::Error => error!(text, "nginx"),
            Level::Warn => warn!(text, "nginx"),
            Level::Info => info!(text, "nginx"),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Level {
    Error,
    Warn,
    Info,
}

/// `2026/11/28 03:05:00 [error] 12#12: *3 text`, or without the time.
fn parsed(line: &str) -> (Level, &str) {
    let line = line.strip_prefix("nginx: ").unwrap_or(line).trim_end();
    let Some((level, text)) = line
        .split_once('[')
        .filter(|(before, _)| before.bytes().all(|byte| !byte.is_ascii_alphabetic()))
        .and_then(|(_, rest)| rest.split_once("] "))
    else {
        return (Level::Info, line);
    };
    let level = match level {
        "emerg" | "alert" | "crit" => Level::Error,
        // A request that was not answered; nginx itself is well.
        "error" | "warn" => Level::Warn,
        _ => Level::Info,
    };
    (level, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_with_their_level() {
        for (line, level, text) in [
            (
                "2026/11/28 03:05:00 [error] 12#12: *3 connect() failed",
                Level::Warn,
                "12#12: *3 connect() failed",
            ),
            (
                "nginx: [emerg] bind() to 0.0.0.0:80 failed",
                Level::Error,
                "bind() to 0.0.0.0:80 failed",
            ),
            ("2026/11/28 03:05:00 [notice] 1#1: x", Level::Info, "1#1: x"),
            (
                "anything [else] it says",
                Level::Info,
                "anything [else] it says",
            ),
            ("", Level::Info, ""),
        ] {
            assert_eq!(parsed(line), (level, text), "{line}");
        }
    }
}
