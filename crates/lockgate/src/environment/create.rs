//! Makes an environment: ports, keys, tokens for each gateway. All or nothing.
//!
//! Everything is written into a hidden folder that is renamed to `envs/{env}` at the end, so
//! nobody ever sees half an environment. The lease on ports is held until then.

mod error;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use lockgate_builds::sign::SigningKey;
use lockgate_builds::store::Store;
use lockgate_model::{EnvName, ServiceDescription};

pub(crate) use self::error::CreateError;
pub(super) use self::error::not_admitted;
use self::error::{cannot_write, no_key, no_ports};
use super::admit::{Registered, admit};
use super::adopted::{Adopted, refuse_taken};
use super::docker::DockerSettings;
use super::front::FrontSettings;
use super::ports::{GatewayPorts, PortsLease};
use super::tokens::{TOKEN_KEY, TokenKey};
use super::vpn::VpnSettings;
use super::{Environment, EnvironmentError, Gateway, RuntimeKind, services};
use crate::home::{Home, durable};

/// The file with a gateway's token towards the build server, in the gateway's folder.
pub(crate) const TOKEN: &str = "token";
/// The file with the signing key, in the environment's folder.
pub(crate) const KEY: &str = "key";

/// The most gateways of one environment: as many as there are ports for.
pub(crate) const MAX_GATEWAYS: u32 = 100;

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
    /// What their containers are made from, where they are some.
    pub(crate) docker: DockerSettings,
}

/// Makes the environment; a server that runs learns of it by `ControlClient::changed`.
#[cfg(test)]
pub(crate) fn create(
    home: &Home,
    store: &Store,
    wanted: &Wanted,
    now_ms: u64,
) -> Result<Environment, CreateError> {
    Draft::begin(home, wanted, now_ms)?.finish(home, store)
}

/// An environment that is not there yet: its ports are chosen and nobody else gets them.
pub(crate) struct Draft {
    environment: Environment,
    key: SigningKey,
    registered: Vec<Registered>,
    services: Vec<ServiceDescription>,
    lease: PortsLease,
}

impl Draft {
    /// Chooses ports and makes the signing key; writes nothing but folders of the home.
    pub(crate) fn begin(home: &Home, wanted: &Wanted, now_ms: u64) -> Result<Self, CreateError> {
        if !(1..=MAX_GATEWAYS).contains(&wanted.gateways) {
            return Err(CreateError::Gateways {
                asked: wanted.gateways,
            });
        }
        let mut draft = Self::empty(home, wanted, now_ms)?;
        let ports = draft
            .lease
            .choose(wanted.gateways as usize)
            .map_err(|source| no_ports(&wanted.name, source))?;
        draft.environment.gateways = (0..).zip(ports).map(gateway).collect();
        Ok(draft)
    }

    /// Without gateways.
    fn empty(home: &Home, wanted: &Wanted, now_ms: u64) -> Result<Self, CreateError> {
        let domain = domain(wanted)?;
        let workspace = workspace(&wanted.workspace)?;
        home.prepare()?;
        let lease = PortsLease::take(home).map_err(|source| no_ports(&wanted.name, source))?;
        refuse_existing(home, &wanted.name)?;
        sweep(home);
        let key = SigningKey::generate().map_err(|source| no_key(&wanted.name, source))?;
        let environment = Environment {
            name: wanted.name.clone(),
            domain,
            ganymede: None,
            workspace,
            runtime: wanted.runtime,
            created_at: now_ms,
            public_key: key.public().to_line(),
            deleting: false,
            image_id: None,
            docker: (wanted.runtime == RuntimeKind::Docker).then(|| wanted.docker.clone()),
            front: FrontSettings::default(),
            vpn: VpnSettings::default(),
            gateways: Vec::new(),
            services: Vec::new(),
        };
        Ok(Self {
            environment,
            key,
            registered: Vec::new(),
            services: Vec::new(),
            lease,
        })
    }

    /// An environment of gateways that are there already, with ports, ids and tokens of their own.
    pub(crate) fn of(
        home: &Home,
        wanted: &Wanted,
        ganymede: Option<String>,
        gateways: Vec<Adopted>,
        now_ms: u64,
    ) -> Result<Self, CreateError> {
        let mut draft = Self::empty(home, wanted, now_ms)?;
        draft.environment.ganymede = ganymede;
        refuse_taken(&draft.lease, &wanted.name, &gateways)?;
        for one in gateways {
            draft.environment.gateways.push(one.gateway);
            draft.registered.push(one.registered);
        }
        Ok(draft)
    }

    /// What is going to be made.
    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The platform's own ids and tokens, for all gateways in their order.
    pub(crate) fn registered(&mut self, all: Vec<Registered>) {
        for (gateway, one) in self.environment.gateways.iter_mut().zip(&all) {
            gateway.id.clone_from(&one.gateway_id);
        }
        self.registered = all;
    }

    /// What it has at the front door.
    pub(crate) fn front(&mut self, settings: FrontSettings) {
        self.environment.front = settings;
    }

    /// What clients of its VPNs may reach.
    pub(crate) fn vpn(&mut self, settings: VpnSettings) {
        self.environment.vpn = settings;
    }

    /// Its services; they shall run.
    pub(crate) fn services(&mut self, all: Vec<ServiceDescription>) {
        let wanted = all.iter().map(|one| services::wanted(&one.name));
        self.environment.services = wanted.collect();
        self.services = all;
    }

    /// Makes it.
    pub(crate) fn finish(self, home: &Home, store: &Store) -> Result<Environment, CreateError> {
        build(home, store, &self)?;
        drop(self.lease);
        Ok(self.environment)
    }
}

fn domain(wanted: &Wanted) -> Result<String, CreateError> {
    match &wanted.domain {
        None => Ok(format!("{}.localhost", wanted.name)),
        Some(domain) if is_domain(domain) => Ok(domain.clone()),
        Some(domain) => Err(CreateError::Domain {
            domain: domain.clone(),
        }),
    }
}

/// Whether this can be part of a host name.
pub(crate) fn is_domain(text: &str) -> bool {
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

/// A gateway with a fresh id.
pub(super) fn gateway((number, ports): (u32, GatewayPorts)) -> Gateway {
    Gateway {
        number,
        id: uuid::Uuid::new_v4().to_string(),
        http_port: ports.http,
        vpn_port: ports.vpn,
        enabled: true,
        organization: None,
        pinned: None,
    }
}

fn build(home: &Home, store: &Store, draft: &Draft) -> Result<(), CreateError> {
    let environment = &draft.environment;
    let env = &environment.name;
    let envs = home.envs_dir();
    let stage = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir_in(&envs)
        .map_err(|source| cannot_write(&envs, source))?;
    let key = stage.path().join(KEY);
    (draft.key.save(&key)).map_err(|source| no_key(env, source))?;
    let token_key = token_key(env, stage.path())?;
    for (index, gateway) in environment.gateways.iter().enumerate() {
        let number = gateway.number;
        let folder = stage.path().join("gateways").join(number.to_string());
        let registered = draft.registered.get(index);
        let made_at = environment.created_at;
        admit(
            store,
            environment,
            gateway,
            registered,
            &token_key,
            &folder,
            made_at,
        )
        .map_err(|source| not_admitted(environment, gateway, source))?;
    }
    for service in &draft.services {
        let folder = stage.path().join("services").join(service.name.as_str());
        services::write(&folder, service).map_err(|source| cannot_write(&folder, source))?;
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

fn token_key(env: &EnvName, folder: &Path) -> Result<TokenKey, CreateError> {
    let made = TokenKey::generate();
    made.and_then(|key| key.save(&folder.join(TOKEN_KEY)).map(|()| key))
        .map_err(|source| CreateError::Tokens {
            env: env.clone(),
            source,
        })
}

#[cfg(test)]
mod tests;
