//! Whose a secret is: the file of the build, and the source that it came from.

use std::path::Path;

use lockgate_model::Digest;
use sha2::{Digest as _, Sha256};

use super::SecretHit;
use super::rules::PRIVATE_KEY;
use super::scan::{Found, scan};
use crate::validate::bundled::{Bundled, characters, sources_of_map};

/// How many hex digits tell secrets apart.
const FINGERPRINT_DIGITS: usize = 12;

/// Hits from what was found in a file. `path` is where it lies on disk, for its map.
pub(super) fn attribute(
    file: &str,
    path: &Path,
    bytes: &[u8],
    found: Vec<Found>,
) -> Vec<SecretHit> {
    if found.is_empty() {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(bytes);
    if is_map(file)
        && let Some(sources) = sources_of_map(&text)
    {
        let hits = in_sources(file, &sources);
        if !hits.is_empty() {
            return hits;
        }
    }
    let map = std::fs::read_to_string(format!("{}.map", path.display()));
    let offsets: Vec<usize> = found.iter().map(|one| one.offset).collect();
    let bundled = map
        .ok()
        .and_then(|map| Bundled::locate(&text, &map, &offsets));
    let origins = bundled.map(|bundled| bundled.origins).unwrap_or_default();
    let origins = origins.into_iter().chain(std::iter::repeat(None));
    let mut reader = Reader::of(bytes);
    let hit = |(found, origin): (Found, Option<(String, usize)>)| {
        let (line, column) = reader.place(found.offset);
        let (source, source_line) = origin.unzip();
        hit(file, &found, (line, column), source, source_line)
    };
    found.into_iter().zip(origins).map(hit).collect()
}

/// What a map holds is told by its sources: in the map itself it is one line.
fn in_sources(file: &str, sources: &[(String, Option<String>)]) -> Vec<SecretHit> {
    let mut hits = Vec::new();
    for (source, text) in sources {
        let Some(text) = text else { continue };
        let mut reader = Reader::of(text.as_bytes());
        for found in scan(text.as_bytes()) {
            let (line, _) = reader.place(found.offset);
            hits.push(hit(file, &found, (1, 1), Some(source.clone()), Some(line)));
        }
    }
    hits
}

fn hit(
    file: &str,
    found: &Found,
    (line, column): (usize, usize),
    source: Option<String>,
    source_line: Option<usize>,
) -> SecretHit {
    let rule = found.rule.name;
    let installed = source.as_deref().unwrap_or(file).contains("node_modules/");
    SecretHit {
        file: file.to_owned(),
        line,
        column,
        source,
        source_line,
        rule: rule.id,
        title: rule.title,
        fingerprint: fingerprint(rule.id, found.secret),
        refused: !installed || rule.id == PRIVATE_KEY,
    }
}

fn fingerprint(rule: &str, secret: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(rule);
    hash.update([0]);
    hash.update(secret);
    let digest = Digest::from_bytes(hash.finalize().into());
    digest.hex().chars().take(FINGERPRINT_DIGITS).collect()
}

fn is_map(file: &str) -> bool {
    Path::new(file)
        .extension()
        .is_some_and(|ending| ending == "map")
}

/// Counts lines once, however many places there are.
struct Reader<'t> {
    bytes: &'t [u8],
    /// How far it has read, and where that is.
    at: usize,
    line: usize,
    column: usize,
}

impl<'t> Reader<'t> {
    fn of(bytes: &'t [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            line: 1,
            column: 1,
        }
    }

    /// Line and column of a byte, both from 1; the column in characters. Bytes are asked for in ascending order.
    fn place(&mut self, offset: usize) -> (usize, usize) {
        let passed = self.bytes.get(self.at..offset).unwrap_or_default();
        let lines = passed.split(|byte| *byte == b'\n').enumerate();
        let (newlines, of_line) = lines.last().unwrap_or_default();
        let of_line = characters(of_line);
        self.line += newlines;
        self.column = of_line + if newlines == 0 { self.column } else { 1 };
        self.at = offset;
        (self.line, self.column)
    }
}
