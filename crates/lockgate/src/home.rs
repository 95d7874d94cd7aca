//! Where everything of one host lies: environments, builds, sockets, locks.
//!
//! ```text
//! $LOCKGATE_HOME/envs/{env}/{env.toml,key,seq,…}     0700, private
//!               /ca/{ca.pem,ca.key}                the certificate authority
//!               /id                               what containers of this home carry
//! $LOCKGATE_HOME/builds/                             what the build server may open
//! $XDG_RUNTIME_DIR/lockgate/{home}.sock              the server's control socket
//!                           {home}-{gateway}.sock    an agent's control socket
//!                           {home}.home              where that home is, for the other homes
//! ```
//!
//! Paths only; nothing here reads an environment variable or knows what a file holds.

pub(crate) mod durable;

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use lockgate_model::{EnvName, GatewayName, ServiceName};
use sha2::{Digest as _, Sha256};

/// The longest path of a unix socket in bytes: `sun_path` without its closing zero.
const SOCKET_PATH_MAX: usize = 107;

/// A folder that cannot be used as a home.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HomeError {
    /// A folder could not be made or looked at.
    #[error("`{path}` cannot be used")]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A folder for sockets belongs to somebody else, or others may write to it.
    #[error(
        "`{path}` is not private: it belongs to user {owner} and has mode {mode:o}, expected user {user} and mode 700"
    )]
    NotPrivate {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Its permission bits.
        mode: u32,
        /// Who asks.
        user: u32,
    },
    /// A socket's path does not fit into a socket address.
    #[error("`{path}` is too long for a socket: {} bytes, at most {SOCKET_PATH_MAX}", path.as_os_str().len())]
    SocketPathTooLong {
        /// The path.
        path: PathBuf,
    },
}

/// One home: its folder, its builds, its sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Home {
    dir: PathBuf,
    builds: PathBuf,
    runtime: PathBuf,
    short: String,
}

impl Home {
    /// The home in `dir` (absolute), with builds and sockets in these folders. Makes nothing.
    pub(crate) fn new(dir: &Path, builds: &Path, runtime: &Path) -> Self {
        let dir = tidy(dir);
        let short = short_name(dir.as_os_str().as_encoded_bytes());
        Self {
            builds: tidy(builds),
            runtime: tidy(runtime),
            short,
            dir,
        }
    }

    /// Makes the folders that are missing and refuses a socket folder that others could write to.
    pub(crate) fn prepare(&self) -> Result<(), HomeError> {
        for folder in [&self.dir, &self.envs_dir()] {
            make_private(folder)?;
        }
        make_private(&self.runtime)?;
        check_private(&self.runtime, nix::unistd::getuid().as_raw())?;
        self.introduce()?;
        self.check_sockets()
    }

    /// Refuses sockets whose paths do not fit into an address.
    fn check_sockets(&self) -> Result<(), HomeError> {
        for socket in [self.control_socket(), self.socket_of("00000000")] {
            if socket.as_os_str().len() > SOCKET_PATH_MAX {
                return Err(HomeError::SocketPathTooLong { path: socket });
            }
        }
        Ok(())
    }

    /// Whether `prepare` would take the socket folder as it is; false where it is not there yet.
    /// Makes nothing.
    pub(crate) fn look_at_sockets(&self) -> Result<bool, HomeError> {
        self.check_sockets()?;
        if fs::symlink_metadata(&self.runtime).is_err() {
            return Ok(false);
        }
        check_private(&self.runtime, nix::unistd::getuid().as_raw()).map(|()| true)
    }

    /// The folder of sockets.
    pub(crate) fn sockets(&self) -> &Path {
        &self.runtime
    }

    /// The home's id, which its containers carry; made the first time it is asked for.
    pub(crate) fn id(&self) -> Result<String, HomeError> {
        let path = self.dir.join("id");
        let wrap = |source| HomeError::Unusable {
            path: path.clone(),
            source,
        };
        make_private(&self.dir)?;
        if !path.exists() {
            let id = uuid::Uuid::new_v4().to_string();
            durable::write_once(&path, id.as_bytes()).map_err(wrap)?;
        }
        durable::read_line(&path).map_err(wrap)
    }

    /// The home's folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder that the build server may open.
    pub(crate) fn builds(&self) -> &Path {
        &self.builds
    }

    /// The folder of all environments.
    pub(crate) fn envs_dir(&self) -> PathBuf {
        self.dir.join("envs")
    }

    /// An environment's folder.
    pub(crate) fn env_dir(&self, env: &EnvName) -> PathBuf {
        self.envs_dir().join(env.as_str())
    }

    /// The folder of the home's certificate authority.
    pub(crate) fn ca_dir(&self) -> PathBuf {
        self.dir.join("ca")
    }

    /// The folder of the front door's nginx, where it has one.
    pub(crate) fn nginx_dir(&self) -> PathBuf {
        self.dir.join("nginx")
    }

    /// The certificate of the authority that signs now, for gateways and services to trust; no file
    /// where nothing is signed.
    pub(crate) fn trusted_file(&self) -> PathBuf {
        self.ca_dir().join("trusted.pem")
    }

    /// The folder of one gateway: its token, and in the local runtime its releases and logs.
    pub(crate) fn gateway_dir(&self, gateway: &GatewayName) -> PathBuf {
        self.env_dir(&gateway.env())
            .join("gateways")
            .join(gateway.number().to_string())
    }

    /// The application's log of a gateway in the local runtime.
    pub(crate) fn gateway_log(&self, gateway: &GatewayName) -> PathBuf {
        self.gateway_dir(gateway).join("gateway.log")
    }

    /// The folder of one service of an environment: its file, its keeper's, and its log.
    pub(crate) fn service_dir(&self, env: &EnvName, name: &ServiceName) -> PathBuf {
        self.services_dir(env).join(name.as_str())
    }

    /// The folder of all services of an environment.
    pub(crate) fn services_dir(&self, env: &EnvName) -> PathBuf {
        self.env_dir(env).join("services")
    }

    /// What a service's keeper is told; it may hold secrets.
    pub(crate) fn service_file(&self, env: &EnvName, name: &ServiceName) -> PathBuf {
        self.service_dir(env, name).join("service.json")
    }

    /// The folder in which a service's keeper works and keeps crashes.
    pub(crate) fn service_state(&self, env: &EnvName, name: &ServiceName) -> PathBuf {
        self.service_dir(env, name).join("agent")
    }

    /// A service's log, where it has no place of its own.
    pub(crate) fn service_log(&self, env: &EnvName, name: &ServiceName) -> PathBuf {
        self.service_dir(env, name).join(format!("{name}.log"))
    }

    /// The lock that lets one process at a time lease ports, whatever its home.
    pub(crate) fn ports_lock(&self) -> PathBuf {
        self.runtime.join("ports.lock")
    }

    /// Leaves word where this home is, so that other homes do not take its ports.
    fn introduce(&self) -> Result<(), HomeError> {
        let path = self.runtime.join(format!("{}.home", self.short));
        let name = self.dir.as_os_str().as_encoded_bytes();
        if fs::read(&path).is_ok_and(|known| known == name) {
            return Ok(());
        }
        durable::write(&path, name).map_err(|source| HomeError::Unusable { path, source })
    }

    /// All other homes that use the same socket folder, known by their folders alone: their
    /// environments can be read, nothing more. Word of a home that is gone is removed.
    pub(crate) fn others(&self) -> Vec<Self> {
        let entries = fs::read_dir(&self.runtime).into_iter().flatten();
        let mut found = Vec::new();
        for path in entries.flatten().map(|entry| entry.path()) {
            let word = path.extension().is_some_and(|end| end == "home");
            let Some(dir) = word.then(|| fs::read(&path).ok()).flatten() else {
                continue;
            };
            let dir = PathBuf::from(OsString::from_vec(dir));
            if !dir.is_dir() {
                // It is found again by its own next command.
                let _ = fs::remove_file(&path);
            } else if dir != self.dir {
                found.push(Self::new(&dir, &dir.join("builds"), &self.runtime));
            }
        }
        found
    }

    /// The lock of the one server of this home.
    pub(crate) fn server_lock(&self) -> PathBuf {
        self.dir.join("server.lock")
    }

    /// The log of a server in the background.
    pub(crate) fn server_log(&self) -> PathBuf {
        self.dir.join("server.log")
    }

    /// The server's control socket.
    pub(crate) fn control_socket(&self) -> PathBuf {
        self.runtime.join(format!("{}.sock", self.short))
    }

    /// The control socket of a gateway's agent in the local runtime.
    pub(crate) fn agent_socket(&self, gateway: &GatewayName) -> PathBuf {
        self.socket_of(&short_name(gateway.as_str().as_bytes()))
    }

    fn socket_of(&self, who: &str) -> PathBuf {
        self.runtime.join(format!("{}-{who}.sock", self.short))
    }
}

/// The path without `.` and doubled or trailing slashes, so that one folder has one name.
fn tidy(path: &Path) -> PathBuf {
    path.components()
        .filter(|part| !matches!(part, Component::CurDir))
        .collect()
}

/// Eight hex digits that stand for a longer name.
fn short_name(bytes: &[u8]) -> String {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    let digest = lockgate_model::Digest::from_bytes(digest);
    digest.hex().chars().take(8).collect()
}

/// Makes a folder and its parents, readable by its owner alone, unless it is there.
pub(crate) fn make_private(path: &Path) -> Result<(), HomeError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| HomeError::Unusable {
            path: path.to_owned(),
            source,
        })
}

/// Refuses a folder that is not `user`'s own or that others may enter; sockets in it are trusted.
fn check_private(path: &Path, user: u32) -> Result<(), HomeError> {
    let found = fs::symlink_metadata(path).map_err(|source| HomeError::Unusable {
        path: path.to_owned(),
        source,
    })?;
    let mode = found.mode() & 0o777;
    if found.is_dir() && found.uid() == user && mode & !0o700 == 0 {
        Ok(())
    } else {
        Err(HomeError::NotPrivate {
            path: path.to_owned(),
            owner: found.uid(),
            mode,
            user,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn home(dir: &str) -> Home {
        let dir = Path::new(dir);
        Home::new(
            dir,
            &dir.join("builds"),
            Path::new("/run/user/1000/lockgate"),
        )
    }

    #[test]
    fn sockets_have_short_names_that_differ_by_home_and_gateway() {
        let gateway = |number| GatewayName::new(&EnvName::parse("dev-001").unwrap(), number);
        let one = home("/data/a");
        assert_eq!(one.control_socket(), home("/data//a/.").control_socket());
        assert_ne!(one.control_socket(), home("/data/b").control_socket());
        assert_ne!(one.agent_socket(&gateway(0)), one.agent_socket(&gateway(1)));
        let name = one.agent_socket(&gateway(0));
        assert_eq!(
            name.file_name().unwrap().len(),
            "01234567-01234567.sock".len()
        );
    }

    #[test]
    fn a_home_keeps_its_id() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("home");
        let home = |dir: &Path| Home::new(dir, &dir.join("builds"), folder.path());
        let id = home(&dir).id().unwrap();
        assert_eq!(id.len(), 36);
        assert_eq!(home(&dir).id().unwrap(), id);
        assert_ne!(home(&folder.path().join("other")).id().unwrap(), id);
    }

    #[test]
    fn a_socket_folder_others_can_enter_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let sockets = folder.path().join("sockets");
        let home = Home::new(folder.path(), &folder.path().join("builds"), &sockets);
        home.prepare().unwrap();
        assert!(home.look_at_sockets().unwrap());
        fs::set_permissions(&sockets, fs::Permissions::from_mode(0o755)).unwrap();
        for error in [
            home.prepare().unwrap_err(),
            home.look_at_sockets().unwrap_err(),
        ] {
            assert!(
                matches!(error, HomeError::NotPrivate { mode: 0o755, .. }),
                "{error}"
            );
        }
    }

    #[test]
    fn a_socket_folder_that_is_a_symlink_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let sockets = folder.path().join("sockets");
        std::os::unix::fs::symlink(folder.path(), &sockets).unwrap();
        let home = Home::new(folder.path(), &folder.path().join("builds"), &sockets);
        assert!(home.prepare().is_err());
    }

    #[test]
    fn a_socket_path_that_does_not_fit_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let sockets = folder.path().join("s".repeat(120));
        let home = Home::new(folder.path(), &folder.path().join("builds"), &sockets);
        let error = home.prepare().unwrap_err();
        assert!(
            error.to_string().contains("too long for a socket"),
            "{error}"
        );
    }
}
