//! A copy of the example workspace that a journey may edit.

use std::fs;
use std::path::{Path, PathBuf};

/// A workspace: `lockgate.toml`, the built `dist/`, and the scripts beside it.
#[derive(Debug)]
pub struct Workspace {
    /// Its root.
    pub path: PathBuf,
}

/// What of the example is copied; its sources and `node_modules` stay where they are.
const COPIED: [&str; 3] = ["lockgate.toml", "dist", "docker-images"];

impl Workspace {
    /// Copies the built example to `path`.
    #[expect(clippy::panic, reason = "a test ends by panic")]
    pub fn copy_to(path: &Path) -> Self {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/gateway");
        let bundle = example.join("dist/packages/app-gateway/main.js");
        assert!(
            bundle.exists(),
            "{} is missing: run `just example`",
            bundle.display()
        );
        for part in COPIED {
            let from = example.join(part);
            if from.exists()
                && let Err(error) = copy(&from, &path.join(part))
            {
                panic!("copying {} failed: {error}", from.display());
            }
        }
        Self {
            path: path.to_owned(),
        }
    }

    /// The bundle.
    pub fn bundle(&self) -> PathBuf {
        self.path.join("dist/packages/app-gateway/main.js")
    }

    /// Sets the version that the application answers with, as a build would.
    pub fn set_version(&self, version: &str) {
        self.edit(|text| {
            let marker = "GATEWAY_VERSION = \"";
            let start = text.find(marker).map(|at| at + marker.len());
            let end = start.and_then(|start| Some(start + text.get(start..)?.find('"')?));
            let (Some(start), Some(end)) = (start, end) else {
                return text;
            };
            format!(
                "{}{version}{}",
                text.get(..start).unwrap_or(""),
                text.get(end..).unwrap_or("")
            )
        });
    }

    /// Puts a line in front of the bundle.
    pub fn prepend(&self, line: &str) {
        self.edit(|text| format!("{line}\n{text}"));
    }

    /// Replaces the bundle by what `change` makes of it, in one rename as build tools do.
    #[expect(clippy::panic, reason = "a test ends by panic")]
    pub fn edit(&self, change: impl FnOnce(String) -> String) {
        let bundle = self.bundle();
        let written = fs::read_to_string(&bundle).and_then(|text| {
            let fresh = bundle.with_extension("js.new");
            fs::write(&fresh, change(text))?;
            fs::rename(&fresh, &bundle)
        });
        if let Err(error) = written {
            panic!("editing {} failed: {error}", bundle.display());
        }
    }
}

/// Copies a file, or a folder with all in it.
pub(crate) fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::copy(from, to).map(drop)
}
