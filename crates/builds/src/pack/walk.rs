//! Finds the files of all parts: what is packed, what is left out, what is refused.

use std::collections::BTreeMap;
use std::fs::{FileType, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use lockgate_model::{BUILD_INFO, FilePath};

use super::never::why_left_out;
use super::{LeftOut, PackError, Part};

/// What the walk found.
#[derive(Debug)]
pub(super) struct Walked {
    /// The workspace, with links followed.
    pub(super) workspace: PathBuf,
    /// Place in the build and place on disk, sorted by the former.
    pub(super) files: BTreeMap<FilePath, PathBuf>,
    /// Sorted by path.
    pub(super) left_out: Vec<LeftOut>,
}

/// Walks all parts. Says all problems at once.
pub(super) fn walk(workspace: &Path, parts: &[Part]) -> Result<Walked, PackError> {
    let missing = || PackError::Missing {
        path: workspace.to_owned(),
    };
    let workspace = real(workspace)?.ok_or_else(missing)?;
    let mut walk = Walk {
        workspace,
        files: BTreeMap::new(),
        left_out: Vec::new(),
        problems: Vec::new(),
    };
    for part in parts {
        walk.part(part)?;
    }
    walk.problems.extend(collisions(walk.files.keys()));
    if !walk.problems.is_empty() {
        return Err(PackError::Refused {
            problems: walk.problems,
        });
    }
    if walk.files.is_empty() {
        return Err(PackError::Empty {
            workspace: walk.workspace,
        });
    }
    walk.left_out.sort();
    Ok(Walked {
        workspace: walk.workspace,
        files: walk.files,
        left_out: walk.left_out,
    })
}

struct Walk {
    workspace: PathBuf,
    files: BTreeMap<FilePath, PathBuf>,
    left_out: Vec<LeftOut>,
    problems: Vec<String>,
}

impl Walk {
    /// A part's own path may be a link, as long as it stays in the workspace; links
    /// inside it are left out.
    fn part(&mut self, part: &Part) -> Result<(), PackError> {
        let named = self.workspace.join(&part.from);
        let Some(path) = real(&named)? else {
            if part.required {
                return Err(PackError::Missing { path: named });
            }
            return Ok(());
        };
        if !path.starts_with(&self.workspace) {
            return Err(PackError::Outside {
                path,
                workspace: self.workspace.clone(),
            });
        }
        let to = part.to.trim_matches('/');
        let to = if to == "." { "" } else { to };
        let found = metadata(&path)?;
        if found.is_dir() {
            return self.folder(&path, to);
        }
        let name = part.from.file_name().unwrap_or_default().to_string_lossy();
        let why = why_left_out(&name, None, false).or_else(|| no_file(found.file_type()));
        match why {
            Some(why) if part.required => {
                let path = path.display();
                self.problems
                    .push(format!("`{path}` is never packed ({why})"));
            }
            Some(why) => self.leave_out(&path, why),
            None => self.take(&path, to),
        }
        Ok(())
    }

    fn folder(&mut self, folder: &Path, to: &str) -> Result<(), PackError> {
        let parent = folder
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let entries = std::fs::read_dir(folder).map_err(PackError::io("list", folder))?;
        for entry in entries {
            let entry = entry.map_err(PackError::io("list", folder))?;
            let path = entry.path();
            let kind = entry.file_type().map_err(PackError::io("read", &path))?;
            let name = entry.file_name();
            let why = why_left_out(&name.to_string_lossy(), parent.as_deref(), kind.is_dir())
                .or_else(|| no_file(kind).filter(|_| !kind.is_dir()));
            if let Some(why) = why {
                self.leave_out(&path, why);
                continue;
            }
            let Some(name) = name.to_str() else {
                let path = path.display();
                self.problems
                    .push(format!("`{path}` has a name that is not UTF-8"));
                continue;
            };
            let to = if to.is_empty() {
                name.to_owned()
            } else {
                format!("{to}/{name}")
            };
            if kind.is_dir() {
                self.folder(&path, &to)?;
            } else {
                self.take(&path, &to);
            }
        }
        Ok(())
    }

    fn take(&mut self, path: &Path, to: &str) {
        if to.eq_ignore_ascii_case(BUILD_INFO) {
            self.leave_out(path, "written anew by each pack");
            return;
        }
        match FilePath::parse(to) {
            Err(error) => {
                let path = path.display();
                self.problems
                    .push(format!("`{path}` cannot be packed: {error}"));
            }
            Ok(place) => {
                if let Some(other) = self.files.insert(place, path.to_owned())
                    && other != path
                {
                    let (other, path) = (other.display(), path.display());
                    self.problems
                        .push(format!("`{other}` and `{path}` would both become `{to}`"));
                }
            }
        }
    }

    fn leave_out(&mut self, path: &Path, why: &'static str) {
        let path = path.strip_prefix(&self.workspace).unwrap_or(path);
        self.left_out.push(LeftOut {
            path: path.to_owned(),
            why,
        });
    }
}

/// Names that are one on a file system without upper and lower case, or a file in one
/// place and a folder in another.
fn collisions<'a>(files: impl Iterator<Item = &'a FilePath>) -> Vec<String> {
    let mut seen: BTreeMap<String, (&str, bool)> = BTreeMap::new();
    let mut problems = Vec::new();
    for file in files {
        let path = file.as_str();
        let folders = path
            .match_indices('/')
            .map(|(at, _)| (path.get(..at), false));
        for (part, is_file) in folders.chain([(Some(path), true)]) {
            let Some(part) = part else { continue };
            let (other, other_is_file) =
                *seen.entry(part.to_lowercase()).or_insert((part, is_file));
            if other != part {
                problems.push(format!("`{other}` and `{part}` differ in case only"));
            } else if other_is_file != is_file {
                problems.push(format!("`{part}` would be both a file and a folder"));
            }
        }
    }
    problems.dedup();
    problems
}

/// What an entry is that is not a regular file, in words.
fn no_file(kind: FileType) -> Option<&'static str> {
    if kind.is_file() {
        None
    } else if kind.is_symlink() {
        Some("symbolic link")
    } else if kind.is_dir() {
        Some("folder")
    } else if kind.is_socket() {
        Some("socket")
    } else if kind.is_fifo() {
        Some("named pipe")
    } else {
        Some("device")
    }
}

fn metadata(path: &Path) -> Result<Metadata, PackError> {
    std::fs::symlink_metadata(path).map_err(PackError::io("read", path))
}

/// The path with links followed, `None` when there is nothing.
fn real(path: &Path) -> Result<Option<PathBuf>, PackError> {
    match std::fs::canonicalize(path) {
        Ok(path) => Ok(Some(path)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(source) => Err(PackError::io("find", path)(source)),
    }
}
