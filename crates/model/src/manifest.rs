//! What a build consists of, file by file.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{BuildId, Digest, EnvName, NameError};

/// The file with a build's metadata. Its content is left out of the build's name,
/// so that the same code packed twice is the same build.
pub const BUILD_INFO: &str = "BUILD_INFO.txt";

/// The exact list of a build's files. A statement carries the digest of its JSON,
/// so a signature over the statement covers every byte of the build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The environment the build was packed for.
    pub env: EnvName,
    /// The build's name.
    pub build: BuildId,
    /// The size of the identity archive in bytes.
    pub archive_bytes: u64,
    /// All files, sorted by path, `BUILD_INFO.txt` among them.
    pub files: Vec<ManifestFile>,
}

/// One regular file of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// The path below the archive's top folder `gateway/`.
    pub path: FilePath,
    /// `0o755` when it may be executed, else `0o644`.
    pub mode: u32,
    /// The size in bytes.
    pub size: u64,
    /// The digest of the content.
    pub sha256: Digest,
}

/// A relative path of plain components: no `..`, no empty part, no control
/// character, no backslash. It cannot leave the folder it is joined to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FilePath(String);

impl FilePath {
    /// Reads a path inside a build.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let plain = |part: &str| !matches!(part, "" | "." | "..") && part.len() <= 255;
        let clean = text.len() <= 1024
            && !text.contains('\\')
            && !text.chars().any(char::is_control)
            && text.split('/').all(plain);
        if clean {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError {
                text: text.to_owned(),
                what: "a path inside a build",
                rule: "relative, at most 1024 bytes, no `.`, `..`, empty part, backslash or control character",
            })
        }
    }

    /// The path as text, parts separated by `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for FilePath {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<FilePath> for String {
    fn from(path: FilePath) -> String {
        path.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_that_leave_the_folder_are_refused() {
        for bad in [
            "",
            "/etc/passwd",
            "..",
            "a/../b",
            "a//b",
            "a/",
            "./a",
            "a\\b",
            "a\0b",
            "a\nb",
        ] {
            assert!(FilePath::parse(bad).is_err(), "{bad:?}");
        }
        for good in ["main.js", "app/lib/x.sh", "a b/ü.ts", "..a/b.."] {
            assert!(FilePath::parse(good).is_ok(), "{good:?}");
        }
    }

    proptest! {
        #[test]
        fn a_parsed_path_stays_below_its_folder(text in ".{0,40}") {
            if let Ok(path) = FilePath::parse(&text) {
                let all_plain = std::path::Path::new(path.as_str())
                    .components()
                    .all(|part| matches!(part, std::path::Component::Normal(_)));
                prop_assert!(all_plain);
            }
        }
    }
}
