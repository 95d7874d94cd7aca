//! nginx in the embedded front door's place: the same table and the same certificates, as files.
//!
//! ```text
//! FrontTable ─────────────────────────┬─▶ FrontNginx ─▶ envs/{env}.conf ─▶ nginx
//! Certificates ─▶ certificates/*.pem ─┘
//! ```
//!
//! A certificate's file is named by what is in it, so another one is another configuration.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lockgate_model::FrontTable;
use lockgate_route::{
    Certificate, CertificateFiles, Certificates, FollowError, FrontListen, FrontNginx, FrontPlace,
    PlaceError,
};
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use crate::error::in_one_line;
use crate::home::{Home, HomeError, durable, make_private};
use crate::runtime::local::Program;
use crate::runtime::nginx::Nginx;

/// Folders in which system programs lie, where `PATH` does not name them.
const SYSTEM_FOLDERS: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin";
/// How many letters of a digest name a file.
const NAMED_BY: usize = 16;

/// Why nginx cannot have the front door.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NginxError {
    /// There is none.
    #[error("no `nginx` is installed here: it is in none of `{folders}`")]
    Missing {
        /// Where it was looked for.
        folders: String,
    },
    /// Its folder cannot be made.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// It could not read its folder's name.
    #[error(transparent)]
    Place(#[from] PlaceError),
}

/// A front door that nginx serves.
#[derive(Debug)]
pub(super) struct NginxFront {
    door: FrontNginx<Nginx>,
    certificates: PathBuf,
    /// Where it answers once it serves.
    address: SocketAddr,
    /// Whether it was started.
    kept: bool,
    /// The process that has the newest configuration.
    told: Option<i32>,
    changes: watch::Receiver<u64>,
}

/// nginx's program, and where it has its files.
#[derive(Debug)]
pub(crate) struct Found {
    program: PathBuf,
    folder: PathBuf,
    place: FrontPlace,
}

impl Found {
    /// Looks for nginx along this `PATH` and prepares its folder.
    pub(crate) fn look(home: &Home, path: &str) -> Result<Self, NginxError> {
        let program = program(path)?;
        let folder = home.nginx_dir();
        make_private(&folder)?;
        let place = FrontPlace::new(&folder.join("front"))?;
        Ok(Self {
            program,
            folder,
            place,
        })
    }

    /// A front door at these addresses, of which the first speaks TLS.
    pub(super) fn open(
        self,
        agent: Arc<Program>,
        https: Vec<SocketAddr>,
        http: Vec<SocketAddr>,
    ) -> Option<NginxFront> {
        let address = *https.first()?;
        let listen = FrontListen {
            https_port: address.port(),
            https,
            http,
            // Pages and sites may lie where the server's own user alone can read.
            workers_as_root: nix::unistd::geteuid().is_root(),
        };
        let certificates = self.folder.join("certificates");
        let nginx = Nginx::new(agent, self.program, self.folder, self.place.clone());
        Some(NginxFront {
            changes: nginx.changes(),
            door: FrontNginx::new(listen, self.place, nginx),
            certificates,
            address,
            kept: false,
            told: None,
        })
    }
}

/// Looks for nginx along this `PATH` and where the system has it.
pub(crate) fn program(path: &str) -> Result<PathBuf, NginxError> {
    let folders = format!("{path}:{SYSTEM_FOLDERS}");
    let mut all = folders.split(':').filter(|folder| folder.starts_with('/'));
    let program = all.find_map(|folder| {
        let program = Path::new(folder).join("nginx");
        program.is_file().then_some(program)
    });
    program.ok_or(NginxError::Missing { folders })
}

impl NginxFront {
    /// Serves this from now on; sentences for people where something is not served as it should be.
    pub(super) async fn follow(
        &mut self,
        table: &FrontTable,
        certificates: &Certificates,
    ) -> Vec<String> {
        self.changes.mark_unchanged();
        let mut problems = match self.try_follow(table, certificates).await {
            Ok(refused) => refused,
            Err(error) => vec![format!(
                "the front door stays as it was: {}",
                in_one_line(&error)
            )],
        };
        problems.extend(self.door.master().problem());
        problems
    }

    async fn try_follow(
        &mut self,
        table: &FrontTable,
        certificates: &Certificates,
    ) -> Result<Vec<String>, FollowError> {
        let files = self.written(certificates)?;
        let followed = self.door.follow(table, &files).await?;
        let nginx = self.door.master();
        if !self.kept {
            let kept = nginx.keep(self.address).await;
            kept.map_err(|source| FollowError::Write {
                path: self.certificates.with_file_name("service.json"),
                source,
            })?;
            self.kept = true;
        }
        // One that was started meanwhile may have read the configuration before.
        if let Some(pid) = nginx.pid().filter(|pid| self.told != Some(*pid)) {
            let untold = |why| FollowError::Untold {
                driver: "nginx",
                why,
            };
            lockgate_route::Master::reload(nginx)
                .await
                .map_err(untold)?;
            self.told = Some(pid);
        }
        self.forget_unread().await;
        let refused = followed.refused.into_iter();
        Ok(refused
            .map(|(env, said)| {
                format!("`{env}` is served as before: nginx refused its file: {said}")
            })
            .collect())
    }

    /// Waits until something is known of nginx that `follow` has not seen.
    pub(super) async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Ends nginx.
    pub(super) async fn end(&self) {
        self.door.master().end().await;
    }

    /// Certificates and keys as files, each once.
    fn written(&self, certificates: &Certificates) -> Result<Vec<CertificateFiles>, FollowError> {
        let write = |path: &Path, text: &[u8]| {
            if path.exists() {
                return Ok(());
            }
            durable::write(path, text).map_err(|source| FollowError::Write {
                path: path.to_owned(),
                source,
            })
        };
        fs::create_dir_all(&self.certificates).map_err(|source| FollowError::Write {
            path: self.certificates.clone(),
            source,
        })?;
        let mut all = Vec::new();
        for (name, certificate) in certificates.all() {
            let Some((chain, key)) = certificate.pem() else {
                continue;
            };
            let named = self.certificates.join(name_of(certificate));
            let files = CertificateFiles {
                names: vec![name.to_owned()],
                chain: named.with_extension("pem"),
                key: named.with_extension("key"),
            };
            write(&files.chain, chain)?;
            write(&files.key, key)?;
            all.push(files);
        }
        Ok(all)
    }

    /// Removes certificates that nginx does not read any more.
    async fn forget_unread(&self) {
        let there = fs::read_dir(&self.certificates).into_iter().flatten();
        for file in there.flatten().map(|entry| entry.path()) {
            if !self.door.reads(&file).await
                && let Err(error) = fs::remove_file(&file)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(path = %file.display(), %error, "an old certificate stays");
            }
        }
    }
}

/// What names the files of a certificate.
fn name_of(certificate: &Certificate) -> String {
    let (chain, key) = certificate.pem().unwrap_or_default();
    let digest = Sha256::new()
        .chain_update(chain)
        .chain_update(key)
        .finalize();
    let mut name = digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    name.truncate(NAMED_BY);
    name
}
