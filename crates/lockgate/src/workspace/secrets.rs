//! `[[secrets.allow]]`: secrets that may travel along, each with its reason.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use lockgate_builds::secrets::SecretHit;
use serde::Deserialize;

use super::resolve::senseless;
use super::{FILE_NAME, WorkspaceError};

/// `[secrets]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SecretsTable {
    /// `[[secrets.allow]]`
    allow: Vec<AllowTable>,
}

/// One of `[[secrets.allow]]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowTable {
    fingerprint: String,
    reason: String,
}

/// The fingerprints that are allowed. One without its reason is refused.
pub(super) fn allowed(
    root: &Path,
    table: &SecretsTable,
) -> Result<BTreeSet<String>, WorkspaceError> {
    let missing = table
        .allow
        .iter()
        .filter(|one| one.reason.trim().is_empty());
    let missing: Vec<String> = missing
        .map(|one| format!("`{}`", one.fingerprint))
        .collect();
    if !missing.is_empty() {
        let which = missing.join(", ");
        let what =
            format!("`[[secrets.allow]]` has no `reason` for {which}: say why it may be packed");
        return Err(senseless(root, what));
    }
    Ok(table
        .allow
        .iter()
        .map(|one| one.fingerprint.clone())
        .collect())
}

/// Writes entries for what is refused at the end of lockgate.toml, the reasons left to fill
/// in. Returns how many there are.
pub(crate) fn accept(root: &Path, hits: &[SecretHit]) -> std::io::Result<usize> {
    let mut seen = BTreeSet::new();
    let refused = hits.iter().filter(|hit| hit.refused);
    let new: Vec<&SecretHit> = refused
        .filter(|hit| seen.insert(&hit.fingerprint))
        .collect();
    if new.is_empty() {
        return Ok(0);
    }
    let mut file = std::fs::File::options()
        .create(true)
        .append(true)
        .open(root.join(FILE_NAME))?;
    file.write_all(entries(&new).as_bytes())?;
    file.sync_all()?;
    Ok(new.len())
}

fn entries(hits: &[&SecretHit]) -> String {
    let mut text = String::new();
    for hit in hits {
        let place = hit.source.as_ref().unwrap_or(&hit.file);
        let line = hit.source_line.unwrap_or(hit.line);
        let place = place.replace(char::is_control, " ");
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n[[secrets.allow]]\n# {} in {place}:{line}\nfingerprint = \"{}\"\nreason = \"\"\n",
            hit.title, hit.fingerprint
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(fingerprint: &str, refused: bool) -> SecretHit {
        SecretHit {
            file: "main.js".to_owned(),
            line: 3,
            column: 1,
            source: None,
            source_line: None,
            rule: "jwt",
            title: "JSON web token",
            fingerprint: fingerprint.to_owned(),
            refused,
        }
    }

    #[derive(Deserialize)]
    struct File {
        secrets: SecretsTable,
    }

    #[test]
    fn what_is_accepted_is_written_behind_what_is_there_and_wants_a_reason() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(FILE_NAME);
        std::fs::write(&path, "[project]\n[app]\ncwd = 'a'\n").unwrap();
        let hits = [
            hit("aa", true),
            hit("aa", true),
            hit("bb", false),
            hit("cc", true),
        ];
        assert_eq!(accept(root.path(), &hits).unwrap(), 2);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("[project]\n[app]"), "{text}");
        let file: File = toml::from_str(&text).unwrap();
        let error = allowed(root.path(), &file.secrets).unwrap_err().to_string();
        assert!(error.contains("no `reason` for `aa`, `cc`"), "{error}");
        let filled = text.replace("reason = \"\"", "reason = \"a key for tests\"");
        let file: File = toml::from_str(&filled).unwrap();
        let allowed = allowed(root.path(), &file.secrets).unwrap();
        assert_eq!(allowed.into_iter().collect::<Vec<_>>(), ["aa", "cc"]);
        assert_eq!(accept(root.path(), &hits[2..3]).unwrap(), 0);
    }
}
