//! The least of HTTP that a client needs: small answers, and large ones thrown away.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a single answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How long connecting may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// What is read at once.
const PIECE_BYTES: usize = 256 * 1024;

/// Asks once on a connection of its own; returns status and body.
pub(crate) fn get(addr: SocketAddr, path: &str) -> io::Result<(u16, Vec<u8>)> {
    let mut connection = Connection::open(addr)?;
    connection.ask(path, "close")?;
    let head = connection.head()?;
    let mut body = std::mem::take(&mut connection.buffer);
    match head.length {
        Some(length) => {
            let left = length.saturating_sub(body.len() as u64);
            (&mut connection.stream).take(left).read_to_end(&mut body)?;
        }
        None => {
            connection.stream.read_to_end(&mut body)?;
        }
    }
    Ok((head.status, body))
}

/// A connection that is asked again and again.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

struct Head {
    status: u16,
    length: Option<u64>,
    closes: bool,
}

impl Connection {
    /// Connects.
    pub(crate) fn open(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, CONNECT_WITHIN)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
        })
    }

    /// Fetches a whole answer and throws its body away, with `piece` as the buffer.
    /// Returns its size, and whether the connection can be asked again.
    pub(crate) fn fetch(&mut self, path: &str, piece: &mut Vec<u8>) -> io::Result<(u64, bool)> {
        self.ask(path, "keep-alive")?;
        let head = self.head()?;
        let length = head
            .length
            .filter(|_| head.status == 200)
            .ok_or_else(|| io::Error::other(format!("status {} without a length", head.status)))?;
        piece.resize(PIECE_BYTES, 0);
        let mut left = length.saturating_sub(self.buffer.len() as u64);
        self.buffer.clear();
        while left > 0 {
            let read = self.stream.read(piece)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left = left.saturating_sub(read as u64);
        }
        Ok((length, !head.closes))
    }

    fn ask(&mut self, path: &str, connection: &str) -> io::Result<()> {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: {connection}\r\n\r\n");
        self.stream.write_all(request.as_bytes())
    }

    fn head(&mut self) -> io::Result<Head> {
        const END: &[u8] = b"\r\n\r\n";
        let mut piece = [0; 16 * 1024];
        loop {
            if let Some(at) = self.buffer.windows(END.len()).position(|part| part == END) {
                let rest = self.buffer.split_off(at + END.len());
                let head = std::mem::replace(&mut self.buffer, rest);
                return Head::parse(&String::from_utf8_lossy(&head));
            }
            let read = self.stream.read(&mut piece)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.buffer
                .extend_from_slice(piece.get(..read).unwrap_or_default());
        }
    }
}

impl Head {
    fn parse(text: &str) -> io::Result<Self> {
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let status = first
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .ok_or_else(|| io::Error::other(format!("not an HTTP answer: `{first}`")))?;
        let mut head = Self {
            status,
            length: None,
            closes: first.starts_with("HTTP/1.0"),
        };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                head.length = value.trim().parse().ok();
            } else if name.eq_ignore_ascii_case("connection") {
                head.closes = value.trim().eq_ignore_ascii_case("close");
            }
        }
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_status_length_and_whether_it_was_the_last() {
        for (text, status, length, closes) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
                200,
                Some(5),
                false,
            ),
            (
                "HTTP/1.1 204 No\r\nConnection: close\r\n\r\n",
                204,
                None,
                true,
            ),
            (
                "HTTP/1.0 200 OK\r\ncontent-length: 7\r\n\r\n",
                200,
                Some(7),
                true,
            ),
        ] {
            let head = Head::parse(text).unwrap();
            assert_eq!(
                (head.status, head.length, head.closes),
                (status, length, closes),
                "{text}"
            );
        }
        assert!(Head::parse("SSH-2.0\r\n").is_err());
    }
}
