//! What an application did before its first `listen`, and what of it is allowed
//! beside a running process.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind of act that reaches outside the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActKind {
    /// A file or folder outside the release was read.
    Read,
    /// A file or folder outside the release was written, made or removed.
    Write,
    /// A connection was opened.
    Connect,
    /// A child process or a worker was started.
    Start,
    /// More was done than was told: nothing is known about the rest, and no entry
    /// allows it.
    More,
}

impl ActKind {
    /// The kind as it is written in `before_listen`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Connect => "connect",
            Self::Start => "start",
            Self::More => "more",
        }
    }

    /// What an entry may name.
    fn parse(text: &str) -> Option<Self> {
        [Self::Read, Self::Write, Self::Connect, Self::Start]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// One act, with what it was done to: a path, `host:port`, a program; of `More`, how many
/// were told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Act {
    /// What was done.
    pub kind: ActKind,
    /// To what.
    pub what: String,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let did = match self.kind {
            ActKind::Read => "read",
            ActKind::Write => "wrote",
            ActKind::Connect => "connected to",
            ActKind::Start => "started",
            ActKind::More => return write!(f, "did more than {} such things", self.what),
        };
        write!(f, "{did} {}", self.what)
    }
}

/// An entry of `[app] before_listen`: `read:/etc/app/*`. A `*` stands for any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    kind: ActKind,
    pattern: String,
}

impl Allowance {
    /// Reads an entry. Fails with what it should look like.
    pub fn parse(text: &str) -> Result<Self, AllowanceError> {
        let parts = text.split_once(':').filter(|(_, what)| !what.is_empty());
        match parts.and_then(|(kind, what)| Some((ActKind::parse(kind)?, what))) {
            Some((kind, pattern)) => Ok(Self {
                kind,
                pattern: pattern.to_owned(),
            }),
            None => Err(AllowanceError(text.to_owned())),
        }
    }

    /// Whether this act is allowed.
    pub fn allows(&self, act: &Act) -> bool {
        self.kind == act.kind && matches(&self.pattern, &act.what)
    }
}

/// An entry that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not one of `read:PATH`, `write:PATH`, `connect:HOST:PORT` and `start:PROGRAM`")]
pub struct AllowanceError(String);

/// Whether a text fits a pattern in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut left) = text.strip_prefix(first) else {
        return false;
    };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        match left.split_once(piece) {
            Some((_, after)) => left = after,
            None => return false,
        }
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(entry: &str, kind: ActKind, what: &str, expected: bool) {
        let act = Act {
            kind,
            what: what.to_owned(),
        };
        let allowance = Allowance::parse(entry).unwrap();
        assert_eq!(allowance.allows(&act), expected, "{entry} {act}");
    }

    #[test]
    fn an_entry_allows_its_kind_and_what_fits() {
        check("read:/a/b", ActKind::Read, "/a/b", true);
        check("read:/a/b", ActKind::Write, "/a/b", false);
        check("read:/a/b", ActKind::Read, "/a/bc", false);
        check("read:/a/*", ActKind::Read, "/a/b/c", true);
        check("read:/a/*.json", ActKind::Read, "/a/b.json", true);
        check("read:/a/*.json", ActKind::Read, "/a/b.jsonl", false);
        check("read:*", ActKind::Read, "", true);
        check("read:*a*b*", ActKind::Read, "xaxbx", true);
        check("read:*a*b*", ActKind::Read, "xbxax", false);
        check("read:/ab*b", ActKind::Read, "/ab", false);
        check("connect:db:5432", ActKind::Connect, "db:5432", true);
        check("connect:*:5432", ActKind::Connect, "::1:5432", true);
        check("start:git", ActKind::Start, "git", true);
    }

    #[test]
    fn no_entry_allows_what_is_not_known() {
        for entry in ["read:*", "write:*", "connect:*", "start:*"] {
            check(entry, ActKind::More, "5000", false);
        }
    }

    #[test]
    fn an_entry_that_is_none_is_named() {
        for text in ["", "read", "read:", "delete:/a", "/a/b", "more:*"] {
            let error = Allowance::parse(text).unwrap_err();
            assert!(error.to_string().starts_with(&format!("`{text}` is not")));
        }
    }
}
