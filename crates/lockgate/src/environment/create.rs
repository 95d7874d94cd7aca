//! Makes an environment: ports, signing key, a token per gateway. All or nothing.
//!
//! Everything is written into a hidden folder that is renamed to `envs/{env}` at the end, so
//! nobody ever sees half an environment. The lease on ports is held until then.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use lockgate_builds::sign::{SignError, SigningKey};
use lockgate_builds::store::{Store, StoreError};
use lockgate_model::{Digest, EnvName, GatewayName};
use sha2::{Digest as _, Sha256};

use super::ports::{GatewayPorts, PortsError, PortsLease};
use super::{Environment, EnvironmentError, Gateway, RuntimeKind};
use crate::home::{Home, HomeError, durable, make_private};

/// The file with a gateway's token towards the build server, in the gateway's folder.
pub(crate) const TOKEN: &str = "token";
/// The file with the application's token towards the platform's API, in the gateway's folder.
pub(crate) const APP_TOKEN: &str = "app-token";
/// The file with the signing key, in the environment's folder.
pub(crate) const KEY: &str = "key";

/// The most gateways of one environment: as many as there are ports for.
const MAX_GATEWAYS: u32 = 100;

/// What is made.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// The environment's name.
    pub(crate) name: EnvName,
    /// Its domain; `{env}.localhost` where none is given.
    pub(crate) domain: Option<String>,
    /// The checkout it is deployed from.
    pub(crate) workspace: PathBuf,
    /// How many gateways, 1 to 100.
    pub(crate) gateways: u32,
    /// Where they run.
    pub(crate) runtime: RuntimeKind,
}

/// Why an environment was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CreateError {
    /// There is one of this name.
    #[error("there is an environment `{env}` already")]
    Exists {
        /// The name.
        env: EnvName,
    },
    /// One of this name was not deleted to the end.
    #[error("environment `{env}` was not deleted to the end")]
    Deleting {
        /// The name.
        env: EnvName,
    },
    /// Too many or too few.
    #[error("an environment has 1 to {MAX_GATEWAYS} gateways, not {asked}")]
    Gateways {
        /// The number asked for.
        asked: u32,
    },
    /// The domain cannot be part of a host name.
    #[error(
        "`{domain}` is not a domain: letters, digits and hyphens in parts of 1 to 63, separated by dots"
    )]
    Domain {
        /// The text.
        domain: String,
    },
    /// There is no such folder.
    #[error("the workspace `{path}` cannot be used")]
    Workspace {
        /// The folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The runtime is none that this version has.
    #[error("the runtime `docker` is not part of this version")]
    Runtime,
    /// The home cannot be used.
    #[error("the home cannot be used")]
    Home(#[from] HomeError),
    /// No ports.
    #[error("environment `{env}` gets no ports")]
    Ports {
        /// The environment.
        env: EnvName,
        /// The cause.
        source: PortsError,
    },
    /// No signing key.
    #[error("environment `{env}` gets no signing key")]
    Key {
        /// The environment.
        env: EnvName,
        /// The cause.
        source: SignError,
    },
    /// The store refuses its gateways.
    #[error("the store does not admit the gateways of `{env}`")]
    Store {
        /// The environment.
        env: EnvName,
        /// The cause.
        source: StoreError,
    },
    /// The environment's file cannot be written.
    #[error("environment `{env}` cannot be written down")]
    Environment {
        /// The environment.
        env: EnvName,
        /// The cause.
        source: EnvironmentError,
    },
    /// A file cannot be written.
    #[error("`{path}` cannot be written")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The system gives no random bytes.
    #[error("no random bytes for a token")]
    Random(#[source] getrandom::Error),
}

/// Makes the environment; a server that runs learns of it by `ControlClient::changed`.
pub(crate) fn create(
    home: &Home,
    store: &Store,
    wanted: &Wanted,
    now_ms: u64,
) -> Result<Environment, CreateError> {
    let domain = check(wanted)?;
    let workspace = workspace(&wanted.workspace)?;
    home.prepare()?;
    let lease = PortsLease::take(home).map_err(|source| no_ports(&wanted.name, source))?;
    refuse_existing(home, &wanted.name)?;
    sweep(home);
    let ports = lease
        .choose(wanted.gateways as usize)
        .map_err(|source| no_ports(&wanted.name, source))?;
    let key = SigningKey::generate().map_err(|source| no_key(&wanted.name, source))?;
    let environment = Environment {
        name: wanted.name.clone(),
        domain,
        workspace,
        runtime: wanted.runtime,
        created_at: now_ms,
        public_key: key.public().to_line(),
        deleting: false,
        gateways: (0..).zip(ports).map(gateway).collect(),
    };
    build(home, store, &environment, &key)?;
    drop(lease);
    Ok(environment)
}

/// What can be told without looking at anything; gives the domain.
fn check(wanted: &Wanted) -> Result<String, CreateError> {
    if !(1..=MAX_GATEWAYS).contains(&wanted.gateways) {
        return Err(CreateError::Gateways {
            asked: wanted.gateways,
        });
    }
    if wanted.runtime == RuntimeKind::Docker {
        return Err(CreateError::Runtime);
    }
    match &wanted.domain {
        None => Ok(format!("{}.localhost", wanted.name)),
        Some(domain) if is_domain(domain) => Ok(domain.clone()),
        Some(domain) => Err(CreateError::Domain {
            domain: domain.clone(),
        }),
    }
}

fn is_domain(text: &str) -> bool {
    let part = |part: &str| {
        (1..=63).contains(&part.len())
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    // 253 is DNS's limit; names of organizations and containers come before it.
    text.len() <= 253 && text.split('.').all(part)
}

fn workspace(path: &Path) -> Result<PathBuf, CreateError> {
    let wrap = |source| CreateError::Workspace {
        path: path.to_owned(),
        source,
    };
    let real = path.canonicalize().map_err(wrap)?;
    if real.is_dir() {
        Ok(real)
    } else {
        Err(wrap(io::ErrorKind::NotADirectory.into()))
    }
}

fn refuse_existing(home: &Home, env: &EnvName) -> Result<(), CreateError> {
    match Environment::load(home, env) {
        Ok(found) if found.deleting => Err(CreateError::Deleting { env: env.clone() }),
        Ok(_) => Err(CreateError::Exists { env: env.clone() }),
        Err(EnvironmentError::Unknown { .. }) if !home.env_dir(env).exists() => Ok(()),
        Err(EnvironmentError::Unknown { .. }) => Err(CreateError::Deleting { env: env.clone() }),
        Err(source) => Err(CreateError::Environment {
            env: env.clone(),
            source,
        }),
    }
}

/// Removes what a `create` left behind that did not come to its end; the lease says that none runs.
fn sweep(home: &Home) {
    let entries = fs::read_dir(home.envs_dir()).into_iter().flatten();
    for entry in entries.flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(b".new-")
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::warn!(path = %entry.path().display(), %error, "left-over folder stays");
        }
    }
}

fn gateway((number, ports): (u32, GatewayPorts)) -> Gateway {
    Gateway {
        number,
        id: uuid::Uuid::new_v4().to_string(),
        http_port: ports.http,
        vpn_port: ports.vpn,
        enabled: true,
    }
}

fn build(
    home: &Home,
    store: &Store,
    environment: &Environment,
    key: &SigningKey,
) -> Result<(), CreateError> {
    let env = &environment.name;
    let envs = home.envs_dir();
    let stage = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir_in(&envs)
        .map_err(|source| cannot_write(&envs, source))?;
    key.save(&stage.path().join(KEY))
        .map_err(|source| no_key(env, source))?;
    for gateway in &environment.gateways {
        let folder = stage
            .path()
            .join("gateways")
            .join(gateway.number.to_string());
        make_private(&folder)?;
        admit(store, &environment.gateway_name(gateway), &folder)?;
    }
    environment
        .write(&stage.path().join("env.toml"))
        .map_err(|source| CreateError::Environment {
            env: env.clone(),
            source,
        })?;
    let path = home.env_dir(env);
    fs::rename(stage.path(), &path)
        .and_then(|()| durable::sync_folder(&envs))
        .map_err(|source| cannot_write(&path, source))?;
    // The folder has its lasting name; there is nothing left to remove.
    let _ = stage.keep();
    Ok(())
}

/// Gives a gateway its tokens. Whatever the store knew of an earlier gateway of this name is forgotten.
fn admit(store: &Store, gateway: &GatewayName, folder: &Path) -> Result<(), CreateError> {
    let token = random_token()?;
    for (name, text) in [(TOKEN, &token), (APP_TOKEN, &random_token()?)] {
        let path = folder.join(name);
        durable::write(&path, text.as_bytes()).map_err(|source| cannot_write(&path, source))?;
    }
    let digest = Digest::from_bytes(Sha256::digest(token.as_bytes()).into());
    store
        .dismiss(gateway)
        .and_then(|()| store.admit(gateway, &digest))
        .map_err(|source| CreateError::Store {
            env: gateway.env(),
            source,
        })
}

/// 256 random bits as hex digits.
fn random_token() -> Result<String, CreateError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(CreateError::Random)?;
    Ok(Digest::from_bytes(bytes).hex().to_owned())
}

fn no_ports(env: &EnvName, source: PortsError) -> CreateError {
    CreateError::Ports {
        env: env.clone(),
        source,
    }
}

fn no_key(env: &EnvName, source: SignError) -> CreateError {
    CreateError::Key {
        env: env.clone(),
        source,
    }
}

fn cannot_write(path: &Path, source: io::Error) -> CreateError {
    CreateError::File {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::tests::home;

    fn wanted(name: &str, workspace: &Path) -> Wanted {
        Wanted {
            name: EnvName::parse(name).unwrap(),
            domain: None,
            workspace: workspace.to_owned(),
            gateways: 2,
            runtime: RuntimeKind::Local,
        }
    }

    #[test]
    fn an_environment_has_key_tokens_and_ports_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(folder.path());
        let store = Store::open(home.builds()).unwrap();
        let one = create(&home, &store, &wanted("dev-001", folder.path()), 1).unwrap();
        let two = create(&home, &store, &wanted("dev-002", folder.path()), 1).unwrap();
        assert_eq!(one.domain, "dev-001.localhost");
        assert_eq!(Environment::load(&home, &one.name).unwrap(), one);
        let all = || one.gateways.iter().chain(&two.gateways);
        let ports: std::collections::BTreeSet<_> =
            all().flat_map(|g| [g.http_port, g.vpn_port]).collect();
        assert_eq!(ports.len(), 8);

        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&home.env_dir(&one.name)), 0o700);
        for gateway in &one.gateways {
            let name = one.gateway_name(gateway);
            let path = home.gateway_dir(&name).join(TOKEN);
            let token = fs::read(&path).unwrap();
            assert_eq!(token.len(), 64);
            assert_eq!(mode(&path), 0o600);
            let digest = Digest::from_bytes(Sha256::digest(&token).into());
            assert_eq!(store.token_digest(&name).unwrap(), Some(digest));
        }
        let key = SigningKey::load(&home.env_dir(&one.name).join(KEY)).unwrap();
        assert_eq!(key.public().to_line(), one.public_key);
    }

    #[test]
    fn a_name_is_given_once() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(folder.path());
        let store = Store::open(home.builds()).unwrap();
        let wanted = wanted("dev-001", folder.path());
        let first = create(&home, &store, &wanted, 1).unwrap();
        let error = create(&home, &store, &wanted, 2).unwrap_err();
        assert!(matches!(error, CreateError::Exists { .. }), "{error}");
        assert_eq!(Environment::load(&home, &first.name).unwrap(), first);
    }

    #[test]
    fn what_cannot_be_made_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(folder.path());
        let store = Store::open(home.builds()).unwrap();
        let good = wanted("dev-001", folder.path());
        let check = |wanted: Wanted, part: &str| {
            let error = create(&home, &store, &wanted, 1).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
            assert_eq!(fs::read_dir(home.envs_dir()).unwrap().count(), 0);
        };
        let base = || good.clone();
        check(
            Wanted {
                gateways: 0,
                ..base()
            },
            "not 0",
        );
        check(
            Wanted {
                gateways: 101,
                ..base()
            },
            "not 101",
        );
        check(
            Wanted {
                domain: Some("a b".into()),
                ..base()
            },
            "`a b`",
        );
        check(
            Wanted {
                workspace: "/no/where".into(),
                ..base()
            },
            "/no/where",
        );
        check(
            Wanted {
                runtime: RuntimeKind::Docker,
                ..base()
            },
            "docker",
        );
    }

    #[test]
    fn domains_are_host_names() {
        for good in ["domain.local", "localhost", "a-b.c1"] {
            assert!(is_domain(good), "{good}");
        }
        for bad in [
            "",
            ".",
            "a.",
            ".a",
            "A",
            "a_b",
            "-a",
            "a-",
            "a b",
            &"x".repeat(64),
        ] {
            assert!(!is_domain(bad), "{bad}");
        }
    }
}
