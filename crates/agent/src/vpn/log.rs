//! What openvpn writes, as lines of the agent's own log.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tracing::{debug, info, warn};

/// The line after which clients can connect.
const UP: &str = "Initialization Sequence Completed";

/// The last thing that went wrong, as openvpn said it.
#[derive(Debug, Clone, Default)]
pub(super) struct LastWords(Arc<Mutex<Option<String>>>);

impl LastWords {
    pub(super) fn get(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn keep(&self, line: &str) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(line.to_owned());
    }
}

/// Reads one of its pipes to the end. `up` hears when it is up.
pub(super) async fn read(pipe: OwnedFd, last: LastWords, up: Option<oneshot::Sender<()>>) {
    let mut up = up;
    let Ok(pipe) = pipe::Receiver::from_owned_fd(pipe) else {
        warn!("openvpn's log cannot be read");
        return;
    };
    let mut lines = BufReader::new(pipe).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        let line = String::from_utf8_lossy(&line);
        let text = line.trim_end();
        if text == UP
            && let Some(up) = up.take()
        {
            // Whoever waited may have gone.
            let _ = up.send(());
        }
        match weight(text) {
            Weight::Wrong => {
                last.keep(text);
                warn!(text, "openvpn");
            }
            Weight::Odd => warn!(text, "openvpn"),
            Weight::News => info!(text, "openvpn"),
            Weight::Detail => debug!(text, "openvpn"),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Weight {
    /// It may end by it.
    Wrong,
    Odd,
    News,
    Detail,
}

/// Openvpn marks few lines, so words decide; a wrong guess costs a line in the log.
fn weight(text: &str) -> Weight {
    const WRONG: [&str; 5] = ["error", "cannot", "failed", "fatal", "denied"];
    // Said at each start: the interface is open on loopback alone, and old clients are not
    // let in with weak ciphers.
    const KNOWN: [&str; 2] = ["Using --management on a TCP port", "--cipher is not set"];
    const NEWS: [&str; 2] = ["Peer Connection Initiated", "client-instance exiting"];
    // Says that it ends, not why.
    const FAREWELL: &str = "Exiting due to fatal error";
    let lower = text.to_ascii_lowercase();
    if text == FAREWELL || KNOWN.iter().any(|words| text.contains(words)) {
        Weight::Detail
    } else if lower.starts_with("warning:") {
        Weight::Odd
    } else if WRONG.iter().any(|word| lower.contains(word)) {
        Weight::Wrong
    } else if NEWS.iter().any(|words| text.contains(words)) {
        Weight::News
    } else {
        Weight::Detail
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_wrong_is_told_from_the_rest() {
        for (line, expected) in [
            (
                "Options error: Unrecognized option or missing parameter(s)",
                Weight::Wrong,
            ),
            (
                "TCP/UDP: Socket bind failed on local address [AF_INET][undef]:1194: Address already in use (errno=98)",
                Weight::Wrong,
            ),
            ("ERROR: Cannot ioctl TUNSETIFF tun0", Weight::Wrong),
            ("Exiting due to fatal error", Weight::Detail),
            (
                "WARNING: file 'x' is group or others accessible",
                Weight::Odd,
            ),
            (
                "WARNING: Using --management on a TCP port WITHOUT passwords is STRONGLY discouraged and considered insecure",
                Weight::Detail,
            ),
            (UP, Weight::Detail),
            (
                "172.17.0.5:41120 [clients] Peer Connection Initiated with [AF_INET]172.17.0.5:41120",
                Weight::News,
            ),
        ] {
            assert_eq!(weight(line), expected, "{line}");
        }
    }
}
