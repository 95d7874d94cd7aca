//! The system's own store: a folder of certificates and a command that gathers them in one file.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use x509_parser::pem::Pem;

use super::{Machine, TrustError, Trusted, mark, run};
use crate::certificates::Authority;

/// How a family of distributions keeps its certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Family {
    /// Where an administrator's own certificates are put.
    anchors: PathBuf,
    /// The command that gathers them.
    gather: &'static [&'static str],
    /// What it gathers them in.
    bundle: PathBuf,
}

/// Folder, command, bundle: Debian, Fedora, SUSE, Arch.
const FAMILIES: [(&str, &[&str], &str); 4] = [
    (
        "usr/local/share/ca-certificates",
        &["update-ca-certificates"],
        "etc/ssl/certs/ca-certificates.crt",
    ),
    (
        "etc/pki/ca-trust/source/anchors",
        &["update-ca-trust", "extract"],
        "etc/pki/tls/certs/ca-bundle.crt",
    ),
    (
        "etc/pki/trust/anchors",
        &["update-ca-certificates"],
        "etc/ssl/ca-bundle.pem",
    ),
    (
        "etc/ca-certificates/trust-source/anchors",
        &["trust", "extract-compat"],
        "etc/ssl/certs/ca-certificates.crt",
    ),
];

impl Family {
    /// The family of the system below `root`, where it is a known one.
    pub(super) fn of(root: &Path) -> Option<Self> {
        let mut known = FAMILIES.iter();
        let (anchors, gather, bundle) = known.find(|(anchors, ..)| root.join(anchors).is_dir())?;
        Some(Self {
            anchors: root.join(anchors),
            gather,
            bundle: root.join(bundle),
        })
    }

    pub(super) fn bundle(&self) -> &Path {
        &self.bundle
    }

    /// Looks into the bundle: what is not gathered is not trusted.
    pub(super) fn check(&self, authority: &Authority) -> Trusted {
        match std::fs::read(&self.bundle) {
            Ok(bundle) => {
                let mut all = Pem::iter_from_buffer(&bundle).filter_map(Result::ok);
                if all.any(|one| one.contents == authority.seen.der) {
                    Trusted::Yes
                } else {
                    Trusted::No
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Trusted::Unknown(
                "there is no such file; the package `ca-certificates` makes it".to_owned(),
            ),
            Err(error) => Trusted::Unknown(error.to_string()),
        }
    }

    pub(super) async fn add(
        &self,
        machine: &Machine,
        authority: &Authority,
    ) -> Result<(), TrustError> {
        let anchor = self.anchor(authority);
        let (from, to) = (authority.file.display(), anchor.display());
        let put = format!("install -m 644 {from} {to}");
        match std::fs::write(&anchor, &authority.pem) {
            // As the certificate is for everybody to read, whatever this user's mask says.
            Ok(()) => readable(&anchor)?,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                return self.as_root(machine, anchor, put).await;
            }
            Err(source) => {
                return Err(TrustError::File {
                    path: anchor,
                    source,
                });
            }
        }
        run(self.gather).await.map(drop)
    }

    pub(super) async fn remove(
        &self,
        machine: &Machine,
        authority: &Authority,
    ) -> Result<(), TrustError> {
        let anchor = self.anchor(authority);
        let take = format!("rm -f {}", anchor.display());
        match std::fs::remove_file(&anchor) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                return self.as_root(machine, anchor, take).await;
            }
            Err(source) => {
                return Err(TrustError::File {
                    path: anchor,
                    source,
                });
            }
        }
        run(self.gather).await.map(drop)
    }

    /// Both commands by `sudo`, where somebody is there to give a password.
    async fn as_root(
        &self,
        machine: &Machine,
        path: PathBuf,
        first: String,
    ) -> Result<(), TrustError> {
        let gather = self.gather.join(" ");
        if !(machine.may_ask && machine.has("sudo")) {
            let commands = [first, gather].map(|command| format!("sudo {command}"));
            return Err(TrustError::NeedsRoot {
                path,
                commands: commands.into(),
            });
        }
        for command in [first, gather] {
            let words: Vec<&str> = ["sudo"].into_iter().chain(command.split(' ')).collect();
            run(&words).await?;
        }
        Ok(())
    }

    fn anchor(&self, authority: &Authority) -> PathBuf {
        self.anchors.join(format!("{}.crt", mark(authority)))
    }
}

fn readable(path: &Path) -> Result<(), TrustError> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(path, mode).map_err(|source| TrustError::File {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::tests::authority;

    #[test]
    fn each_family_is_known_by_its_folder() {
        for (anchors, gather, bundle) in FAMILIES {
            let root = tempfile::tempdir().unwrap();
            assert_eq!(Family::of(root.path()), None);
            std::fs::create_dir_all(root.path().join(anchors)).unwrap();
            let found = Family::of(root.path()).unwrap();
            assert_eq!(
                (found.gather, found.bundle),
                (gather, root.path().join(bundle))
            );
        }
    }

    #[test]
    fn only_what_is_gathered_is_trusted() {
        let root = tempfile::tempdir().unwrap();
        let (authority, other) = (authority(root.path()), tempfile::tempdir().unwrap());
        let other = crate::certificates::tests::authority(other.path());
        let family = Family {
            anchors: root.path().to_owned(),
            gather: &["true"],
            bundle: root.path().join("bundle.crt"),
        };
        assert!(matches!(family.check(&authority), Trusted::Unknown(_)));
        std::fs::write(&family.bundle, &other.pem).unwrap();
        assert_eq!(family.check(&authority), Trusted::No);
        let both = format!("# a comment\n{}{}", other.pem, authority.pem);
        std::fs::write(&family.bundle, both).unwrap();
        assert_eq!(family.check(&authority), Trusted::Yes);
    }
}
