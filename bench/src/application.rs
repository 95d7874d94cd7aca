//! The application that is packed, served and deployed: the example, already built.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::BenchError;
use crate::process::{command, run};

/// The bundle's folder in a workspace.
pub(crate) const BUNDLE_FOLDER: &str = "dist/packages/app-gateway";
/// The workspace's own infrastructure scripts.
pub(crate) const SCRIPTS_FOLDER: &str = "docker-images/backend-images/gateway/app";

/// What stands before the version in the bundle.
const VERSION_MARK: &str = "GATEWAY_VERSION = \"";

/// A workspace with a built application.
#[derive(Debug)]
pub(crate) struct Application {
    workspace: PathBuf,
}

impl Application {
    /// The application in `workspace`, which must be built.
    pub(crate) fn find(workspace: &Path) -> Result<Self, BenchError> {
        let application = Self {
            workspace: workspace
                .canonicalize()
                .map_err(BenchError::io("find", workspace))?,
        };
        if application.bundle().is_file() {
            return Ok(application);
        }
        Err(BenchError::NotBuilt {
            path: application.bundle(),
            hint: "`just example` builds it",
        })
    }

    /// A copy of what is packed, without the rest of the workspace, to be edited freely.
    pub(crate) fn copy_to(&self, folder: &Path) -> Result<Self, BenchError> {
        for part in [BUNDLE_FOLDER, SCRIPTS_FOLDER] {
            let to = folder.join(part);
            std::fs::create_dir_all(&to).map_err(BenchError::io("make", &to))?;
            let from = self.workspace.join(part).join(".");
            run(command("cp").arg("-r").arg(from).arg(&to))?;
        }
        Ok(Self {
            workspace: folder.to_owned(),
        })
    }

    /// The workspace.
    pub(crate) fn workspace(&self) -> &Path {
        &self.workspace
    }

    /// The bundle.
    pub(crate) fn bundle(&self) -> PathBuf {
        self.workspace.join(BUNDLE_FOLDER).join("main.js")
    }

    /// Bytes of all that is packed.
    pub(crate) fn size_bytes(&self) -> Result<u64, BenchError> {
        let mut total = 0;
        for part in [BUNDLE_FOLDER, SCRIPTS_FOLDER] {
            total += size_below(&self.workspace.join(part))?;
        }
        Ok(total)
    }

    /// Writes another build: the same bundle with another version, as a build tool
    /// writes it, into the file that is there.
    pub(crate) fn write_version(&self, version: &str) -> Result<(), BenchError> {
        let path = self.bundle();
        let text = std::fs::read_to_string(&path).map_err(BenchError::io("read", &path))?;
        let text = with_version(&text, version).ok_or_else(|| BenchError::Unexpected {
            what: format!("`{}` does not hold `{VERSION_MARK}…\"`", path.display()),
        })?;
        std::fs::write(&path, text).map_err(BenchError::io("write", &path))
    }

    /// A bare start of the bundle by this Node, on another port than the one it names.
    pub(crate) fn node(&self, program: &Path, sequence: &Path, port: u16) -> Command {
        let mut node = command(program);
        node.arg("--enable-source-maps")
            .arg("--require")
            .arg(sequence.join("port.cjs"))
            .arg(self.bundle())
            .env("BENCH_PORT", port.to_string());
        node
    }
}

fn size_below(path: &Path) -> Result<u64, BenchError> {
    let found = path
        .symlink_metadata()
        .map_err(BenchError::io("read", path))?;
    if !found.is_dir() {
        return Ok(found.len());
    }
    let mut total = 0;
    for entry in path.read_dir().map_err(BenchError::io("read", path))? {
        total += size_below(&entry.map_err(BenchError::io("read", path))?.path())?;
    }
    Ok(total)
}

fn with_version(text: &str, version: &str) -> Option<String> {
    let (before, rest) = text.split_once(VERSION_MARK)?;
    let (_, after) = rest.split_once('"')?;
    Some(format!("{before}{VERSION_MARK}{version}\"{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_version_changes() {
        assert_eq!(
            with_version("a;\nvar GATEWAY_VERSION = \"1.0.0\";\nb \"c\"", "2.0.7").as_deref(),
            Some("a;\nvar GATEWAY_VERSION = \"2.0.7\";\nb \"c\"")
        );
        assert_eq!(with_version("var VERSION = \"1.0.0\";", "2.0.7"), None);
    }
}
