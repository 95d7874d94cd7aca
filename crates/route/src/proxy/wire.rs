//! Where messages of HTTP/1.1 begin and end, read strictly.
//!
//! hyper reads what others may read otherwise: a line that ends without a carriage
//! return, a length beside chunks. What two programs read in two ways, a request can be
//! hidden in. So each byte of a client passes here first, and what has two readings goes
//! no further.
//!
//! ```text
//! request line ─▶ header lines ─┬─▶ body of a length ─┬─▶ next request line
//!                               ├─▶ chunks, trailers ─┤
//!                               └─────────────────────┴─▶ gate, where an upgrade was asked for
//! ```
//!
//! Pure: bytes in, what to do with them out. What else makes a head wrong, hyper says.

mod line;

use std::mem;

use line::{Line, Taken};

/// What is to be done with the bytes read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// All of them go on.
    All,
    /// So many go on. Whose the rest is, is told when the upgrade was accepted or not.
    Gate(usize),
    /// So many are well-formed, and what follows is not.
    Refused(usize),
}

/// How far a client's bytes were read.
#[derive(Debug, Default)]
pub(super) struct Wire {
    at: At,
    line: Line,
    head: Head,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum At {
    #[default]
    RequestLine,
    Header,
    /// In a body, with so many bytes to come.
    Body(u64),
    ChunkSize,
    /// In a chunk, with so many bytes to come.
    Chunk(u64),
    ChunkEnd,
    Trailer,
    Gate,
    /// Where nothing is read any more: a tunnel, or what hyper will close.
    Through,
}

/// What a head says of its message's end.
#[derive(Debug, Default, Clone, Copy)]
struct Head {
    length: Option<u64>,
    coding: Option<Coding>,
    upgrade: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Chunked,
    /// One that is refused later, with an answer that ends the connection.
    Other,
}

/// A line that has no place where it stands.
struct Misplaced;

impl Wire {
    /// Reads what comes next.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Seen {
        let mut read = 0;
        loop {
            let rest = bytes.get(read..).unwrap_or_default();
            match &mut self.at {
                At::Through => return Seen::All,
                At::Gate => return Seen::Gate(read),
                _ if rest.is_empty() => return Seen::All,
                At::Body(left) => {
                    read += skip(left, rest);
                    if *left == 0 {
                        self.message_ends();
                    }
                }
                At::Chunk(left) => {
                    read += skip(left, rest);
                    if *left == 0 {
                        self.at = At::ChunkEnd;
                    }
                }
                // A line that goes on in the next one: some read one, some two.
                At::Header | At::Trailer
                    if self.line.is_empty() && matches!(rest, [b' ' | b'\t', ..]) =>
                {
                    return Seen::Refused(read);
                }
                _ => match self.line.take(rest) {
                    Taken::Part => read = bytes.len(),
                    Taken::Whole(length) => {
                        let line = mem::take(&mut self.line);
                        if self.line_ends(&line).is_err() {
                            // Its end stays behind, and so it never was a line.
                            return Seen::Refused(read + length.saturating_sub(2));
                        }
                        read += length;
                    }
                    Taken::Broken(length) => return Seen::Refused(read + length),
                },
            }
        }
    }

    /// Whether it is to be told what became of an upgrade.
    pub(super) fn is_at_gate(&self) -> bool {
        self.at == At::Gate
    }

    /// Tells what became of an upgrade: a tunnel, or an answer like any other.
    pub(super) fn open_gate(&mut self, tunnel: bool) {
        if self.at == At::Gate {
            self.at = if tunnel { At::Through } else { At::RequestLine };
        }
    }

    fn line_ends(&mut self, line: &Line) -> Result<(), Misplaced> {
        match self.at {
            // Empty lines may come before a request.
            At::RequestLine if line.is_empty() => {}
            At::RequestLine => {
                self.head = Head::default();
                self.at = At::Header;
            }
            At::Header if line.is_empty() => return self.head_ends(),
            At::Header => self.head.note(line)?,
            At::ChunkSize => match line.chunk_size().ok_or(Misplaced)? {
                0 => self.at = At::Trailer,
                size => self.at = At::Chunk(size),
            },
            At::ChunkEnd if line.is_empty() => self.at = At::ChunkSize,
            At::ChunkEnd => return Err(Misplaced),
            At::Trailer if line.is_empty() => self.message_ends(),
            At::Trailer | At::Body(_) | At::Chunk(_) | At::Gate | At::Through => {}
        }
        Ok(())
    }

    fn head_ends(&mut self) -> Result<(), Misplaced> {
        match (self.head.coding, self.head.length) {
            (Some(_), Some(_)) => return Err(Misplaced),
            (Some(Coding::Chunked), None) => self.at = At::ChunkSize,
            (Some(Coding::Other), None) => self.at = At::Through,
            (None, Some(length @ 1..)) => self.at = At::Body(length),
            (None, Some(0) | None) => self.message_ends(),
        }
        Ok(())
    }

    fn message_ends(&mut self) {
        self.at = if self.head.upgrade {
            At::Gate
        } else {
            At::RequestLine
        };
    }
}

impl Head {
    fn note(&mut self, line: &Line) -> Result<(), Misplaced> {
        if line.is_header("content-length") {
            let length = line.length().ok_or(Misplaced)?;
            if self.length.replace(length).is_some() || self.coding.is_some() {
                return Err(Misplaced);
            }
        } else if line.is_header("transfer-encoding") {
            let chunked = line.has_value("chunked") && self.coding.is_none();
            let coding = if chunked {
                Coding::Chunked
            } else {
                Coding::Other
            };
            self.coding = Some(coding);
            if self.length.is_some() {
                return Err(Misplaced);
            }
        } else if line.is_header("upgrade") {
            self.upgrade = true;
        }
        Ok(())
    }
}

/// Takes what is there of so many bytes.
fn skip(left: &mut u64, rest: &[u8]) -> usize {
    let there = u64::try_from(rest.len()).unwrap_or(u64::MAX);
    let skipped = (*left).min(there);
    *left -= skipped;
    usize::try_from(skipped).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests;
