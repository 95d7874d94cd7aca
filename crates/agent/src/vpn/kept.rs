//! Keys and certificates in files, so that restarts and reloads change none.
//!
//! ```text
//! vpn/                  0711: openvpn, which has become `nobody`, passes through
//!   organization.json   whose the files are; written last, removed first
//!   ca.crt server.crt server.key clients.crt clients.key ta.key server.conf
//!   addresses/          `nobody`'s: which client had which address
//! ```

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::pki::{Pki, PkiError};

const WHOSE: &str = "organization.json";

/// Why they cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeptError {
    /// A file or folder.
    #[error("cannot use `{path}`")]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// They could not be made.
    #[error(transparent)]
    Make(#[from] PkiError),
}

/// Whose the files are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Whose {
    /// The organization.
    pub(super) organization: String,
    /// Whether a statement ever said so; otherwise somebody by hand did.
    pub(super) by_statement: bool,
    /// When they end, in UNIX seconds.
    ends_at: i64,
}

/// The folder.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    dir: PathBuf,
}

impl Kept {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// A path in it.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whose the files are; `None` where there are none.
    pub(super) fn whose(&self) -> Option<Whose> {
        let text = fs::read(self.path(WHOSE)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// What is kept for this organization, made anew where that is another's, not whole or
    /// about to end. Says whether it was made anew.
    pub(super) fn of(
        &self,
        organization: &str,
        by_statement: bool,
        now: OffsetDateTime,
    ) -> Result<(Pki, bool), KeptError> {
        let whose = self.whose().filter(|it| it.organization == organization);
        let kept = whose.and_then(|whose| {
            let pki = self.read(whose.ends_at).ok()?;
            let wanted = Whose {
                by_statement: by_statement || whose.by_statement,
                ..whose.clone()
            };
            (!pki.is_about_to_end(now)).then_some((pki, wanted, whose))
        });
        if let Some((pki, wanted, whose)) = kept {
            if wanted != whose {
                self.write_whose(&wanted)?;
            }
            return Ok((pki, false));
        }
        self.remove()?;
        let pki = Pki::make(organization, now)?;
        self.keep(&pki)?;
        self.write_whose(&Whose {
            organization: organization.to_owned(),
            by_statement,
            ends_at: pki.ends_at,
        })?;
        Ok((pki, true))
    }

    /// What is kept for this organization, where something is.
    pub(super) fn existing(&self, organization: &str) -> Option<Pki> {
        let whose = self.whose()?;
        let is_its = whose.organization == organization;
        is_its.then(|| self.read(whose.ends_at).ok()).flatten()
    }

    /// Removes all of it. What is not there is removed.
    pub(super) fn remove(&self) -> Result<(), KeptError> {
        // First of all nobody's any more.
        for gone in [
            fs::remove_file(self.path(WHOSE)),
            fs::remove_dir_all(&self.dir),
        ] {
            match gone {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(self.failed("", source));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn read(&self, ends_at: i64) -> io::Result<Pki> {
        let read = |name: &str| fs::read_to_string(self.path(name));
        Ok(Pki {
            ca_crt: read("ca.crt")?,
            server_crt: read("server.crt")?,
            server_key: read("server.key")?,
            clients_crt: read("clients.crt")?,
            clients_key: read("clients.key")?,
            ta_key: read("ta.key")?,
            ends_at,
        })
    }

    fn keep(&self, pki: &Pki) -> Result<(), KeptError> {
        self.prepare()?;
        for (name, text) in [
            ("ca.crt", &pki.ca_crt),
            ("server.crt", &pki.server_crt),
            ("server.key", &pki.server_key),
            ("clients.crt", &pki.clients_crt),
            ("clients.key", &pki.clients_key),
            ("ta.key", &pki.ta_key),
        ] {
            self.write(name, text)?;
        }
        Ok(())
    }

    /// Makes the folder.
    fn prepare(&self) -> Result<(), KeptError> {
        let made = fs::create_dir_all(&self.dir)
            .and_then(|()| fs::set_permissions(&self.dir, Permissions::from_mode(0o711)));
        made.map_err(|source| self.failed("", source))
    }

    fn write_whose(&self, whose: &Whose) -> Result<(), KeptError> {
        let text = serde_json::to_string(whose).map_err(io::Error::from);
        let text = text.map_err(|source| self.failed(WHOSE, source))?;
        self.write(WHOSE, &text)
    }

    /// Writes a file of it, for root alone.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), KeptError> {
        let path = self.path(name);
        write_private(&path, text.as_bytes()).map_err(|source| self.failed(name, source))
    }

    fn failed(&self, name: &str, source: io::Error) -> KeptError {
        let path = if name.is_empty() {
            self.dir.clone()
        } else {
            self.path(name)
        };
        KeptError::File { path, source }
    }
}

/// Writes a file that only its owner reads, in one step: whoever reads it reads all of it.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fresh = dir.join(format!(".{name}.{}.new", std::process::id()));
    // What somebody else has put there is not written through.
    let _ = fs::remove_file(&fresh);
    let write = || {
        let mut file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        File::open(dir)?.sync_all()
    };
    write().inspect_err(|_| drop(fs::remove_file(&fresh)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-01-01 00:00 UTC);

    fn kept() -> (tempfile::TempDir, Kept) {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::new(folder.path().join("vpn"));
        (folder, kept)
    }

    #[test]
    fn an_organization_keeps_its_own_and_another_one_gets_others() {
        let (_folder, kept) = kept();
        let (one, new) = kept.of("a", true, NOW).unwrap();
        assert!(new);
        let (again, new) = kept.of("a", true, NOW).unwrap();
        assert!(!new && again == one);
        let (other, new) = kept.of("b", true, NOW).unwrap();
        assert!(new && other.ca_crt != one.ca_crt);
        assert_eq!(kept.whose().unwrap().organization, "b");
        let (back, new) = kept.of("a", true, NOW).unwrap();
        assert!(new && back != one);
    }

    #[test]
    fn what_is_not_whole_or_about_to_end_is_made_anew() {
        let (_folder, kept) = kept();
        let (one, _) = kept.of("a", false, NOW).unwrap();
        fs::remove_file(kept.path("ta.key")).unwrap();
        let (two, new) = kept.of("a", false, NOW).unwrap();
        assert!(new && two.ca_crt != one.ca_crt);
        let later = NOW + time::Duration::days(3300);
        assert!(kept.of("a", false, later).unwrap().1);
        // As if it had ended before the files were whole.
        fs::remove_file(kept.path(WHOSE)).unwrap();
        assert!(kept.of("a", false, NOW).unwrap().1);
    }

    #[test]
    fn who_said_it_last_is_remembered_with_the_same_certificates() {
        let (_folder, kept) = kept();
        let (one, _) = kept.of("a", false, NOW).unwrap();
        assert!(!kept.whose().unwrap().by_statement);
        let (two, new) = kept.of("a", true, NOW).unwrap();
        assert!(!new && one == two && kept.whose().unwrap().by_statement);
    }

    #[test]
    fn files_are_private_and_gone_when_they_are_removed() {
        let (folder, kept) = kept();
        kept.of("a", true, NOW).unwrap();
        for entry in fs::read_dir(kept.dir()).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{:?}", entry.file_name());
        }
        kept.remove().unwrap();
        kept.remove().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(kept.whose(), None);
    }
}
