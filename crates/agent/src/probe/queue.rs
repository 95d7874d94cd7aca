//! How many connections wait at a listening socket until somebody accepts.

use std::io;
use std::net::SocketAddr;

/// The length of a held socket's queue; an error where it cannot be seen.
pub(super) async fn length(address: SocketAddr, inode: u64) -> io::Result<u64> {
    let table = match address {
        SocketAddr::V4(_) => "/proc/net/tcp",
        SocketAddr::V6(_) => "/proc/net/tcp6",
    };
    let text = tokio::fs::read_to_string(table).await?;
    length_in(&text, inode).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// `rx_queue` of the socket's line, as it is for one that listens.
fn length_in(table: &str, inode: u64) -> Option<u64> {
    const LISTENING: &str = "0A";
    table.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let state = fields.nth(3)?;
        let queues = fields.next()?;
        let number = fields.nth(4)?;
        if state != LISTENING || number.parse() != Ok(inode) {
            return None;
        }
        let (_, waiting) = queues.split_once(':')?;
        u64::from_str_radix(waiting, 16).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_of_a_listening_socket_is_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   0: 0100007F:22B8 00000000:0000 0A 00000000:00000002 00:00000000 00000000     0        0 4711 1 0000000000000000 100 0 0 10 0\n";
        assert_eq!(length_in(table, 4711), Some(2));
        assert_eq!(length_in(table, 4712), None);
    }
}
