//! An environment: its name, its domain, its workspace and its gateways, kept in `envs/{env}/env.toml`.
//!
//! ```text
//! envs/{env}/env.toml      what this module reads and writes
//!            key           the signing key, 0600           (create)
//!            token-key     the key for GATEWAY_TOKEN, 0600 (tokens)
//!            seq           the last statement's number     (publish)
//!            desired.json  what its gateways shall run     (desired)
//!            variables.json  the application's variables, 0600 (variables)
//!            deploy.lock   who deploys                     (lock)
//!            services/{name}/service.json  what a service's keeper is told, 0600 (services)
//!            gateways/{n}/token  the gateway's token towards the build server, 0600
//! ```

pub(crate) mod admit;
pub(crate) mod adopted;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod desired;
pub(crate) mod docker;
pub(crate) mod front;
pub(crate) mod lock;
pub(crate) mod organizations;
pub(crate) mod pins;
pub(crate) mod ports;
pub(crate) mod publish;
pub(crate) mod registration;
pub(crate) mod scale;
pub(crate) mod services;
pub(crate) mod tokens;
pub(crate) mod variables;
pub(crate) mod vpn;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lockgate_model::{EnvName, GatewayName, OrganizationId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::docker::DockerSettings;
use self::front::FrontSettings;
pub(crate) use self::pins::Pin;
pub(crate) use self::services::Service;
use self::vpn::VpnSettings;
use crate::home::{Home, durable};

/// Everything that is written down about an environment, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Environment {
    /// Its name.
    pub(crate) name: EnvName,
    /// The domain its gateways serve.
    pub(crate) domain: String,
    /// The platform's API, where that is not `ganymede.{domain}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ganymede: Option<String>,
    /// The checkout it is deployed from, absolute.
    pub(crate) workspace: PathBuf,
    /// Where its gateways run.
    pub(crate) runtime: RuntimeKind,
    /// When it was made, UNIX milliseconds.
    pub(crate) created_at: u64,
    /// The public half of its signing key, one base64 line.
    pub(crate) public_key: String,
    /// True while it is being deleted; its gateways are not wanted any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) deleting: bool,
    /// The image that its containers are made from, by the engine's own id, once its name has come to
    /// mean another one: with this in their spec they are made anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) image_id: Option<String>,
    /// What its containers are made from, where its gateways are some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) docker: Option<DockerSettings>,
    /// What it has at the front door beside its organizations.
    #[serde(default, skip_serializing_if = "FrontSettings::is_nothing")]
    pub(crate) front: FrontSettings,
    /// What clients of its gateways' VPNs may reach.
    #[serde(default, skip_serializing_if = "VpnSettings::is_nothing")]
    pub(crate) vpn: VpnSettings,
    /// Its gateways, by number.
    pub(crate) gateways: Vec<Gateway>,
    /// Its services of the host, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) services: Vec<Service>,
}

/// One gateway of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gateway {
    /// Its number, from 0.
    pub(crate) number: u32,
    /// Its identity towards the platform's API.
    pub(crate) id: String,
    /// The HTTP port on the host.
    pub(crate) http_port: u16,
    /// The OpenVPN port on the host, UDP.
    pub(crate) vpn_port: u16,
    /// Whether it shall run; `lockgate stop` clears it.
    pub(crate) enabled: bool,
    /// The organization that it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) organization: Option<OrganizationId>,
    /// The build that is its own, whatever is deployed to the environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pinned: Option<Pin>,
}

/// Where an environment's gateways run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RuntimeKind {
    /// As child processes of the server.
    Local,
    /// In containers.
    Docker,
}

/// An environment that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnvironmentError {
    /// There is none of this name.
    #[error("there is no environment `{env}`")]
    Unknown {
        /// The name asked for.
        env: EnvName,
        /// The names there are.
        known: Vec<EnvName>,
    },
    /// There is no gateway of this number.
    #[error("environment `{env}` has no gateway `{asked}`")]
    UnknownGateway {
        /// The environment.
        env: EnvName,
        /// What was asked for.
        asked: String,
        /// The gateways there are.
        known: Vec<GatewayName>,
    },
    /// A file could not be read or written.
    #[error("`{path}` cannot be read or written")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file does not say what it should.
    #[error("`{path}` is not an environment's file")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The parser's message.
        source: Box<toml::de::Error>,
    },
    /// A file is about another environment.
    #[error("`{path}` is the file of environment `{name}`")]
    Misplaced {
        /// The file.
        path: PathBuf,
        /// The name it holds.
        name: EnvName,
    },
}

impl Environment {
    /// Reads `envs/{env}/env.toml`.
    pub(crate) fn load(home: &Home, env: &EnvName) -> Result<Self, EnvironmentError> {
        let path = file(home, env);
        match fs::read_to_string(&path) {
            Ok(text) => parse(&text, env, &path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(EnvironmentError::Unknown {
                    env: env.clone(),
                    known: Self::names(home)?,
                })
            }
            Err(source) => Err(EnvironmentError::File { path, source }),
        }
    }

    /// All environments of a home, by name.
    pub(crate) fn list(home: &Home) -> Result<Vec<Self>, EnvironmentError> {
        let mut all = Vec::new();
        for env in Self::names(home)? {
            match Self::load(home, &env) {
                // Deleted since its name was read.
                Err(EnvironmentError::Unknown { .. }) => {}
                found => all.push(found?),
            }
        }
        Ok(all)
    }

    /// The names of all environments, sorted. A folder without `env.toml` is not one.
    pub(crate) fn names(home: &Home) -> Result<Vec<EnvName>, EnvironmentError> {
        let folder = home.envs_dir();
        let wrap = |source| EnvironmentError::File {
            path: folder.clone(),
            source,
        };
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(wrap(source)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(wrap)?;
            // Hidden folders are being made or removed; their names do not parse.
            if let Some(Ok(name)) = entry.file_name().to_str().map(EnvName::parse)
                && file(home, &name).is_file()
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Changes the one that is written down; whether it is another one then. The caller holds the
    /// `DeployLock` and calls `ControlClient::changed` afterwards.
    pub(crate) fn rewrite(
        home: &Home,
        env: &EnvName,
        change: impl FnOnce(&mut Self),
    ) -> Result<bool, EnvironmentError> {
        let before = Self::load(home, env)?;
        let mut after = before.clone();
        change(&mut after);
        if after == before {
            return Ok(false);
        }
        after.save(home)?;
        Ok(true)
    }

    /// Writes `env.toml`, whole or not at all.
    pub(crate) fn save(&self, home: &Home) -> Result<(), EnvironmentError> {
        self.write(&file(home, &self.name))
    }

    fn write(&self, path: &Path) -> Result<(), EnvironmentError> {
        toml::to_string(self)
            .map_err(io::Error::other)
            .and_then(|text| durable::write(path, text.as_bytes()))
            .map_err(|source| EnvironmentError::File {
                path: path.to_owned(),
                source,
            })
    }

    /// The name of one of its gateways.
    pub(crate) fn gateway_name(&self, gateway: &Gateway) -> GatewayName {
        GatewayName::new(&self.name, gateway.number)
    }

    /// The gateway with this number.
    pub(crate) fn gateway(&self, number: u32) -> Result<&Gateway, EnvironmentError> {
        let found = self.gateways.iter().find(|one| one.number == number);
        found.ok_or_else(|| self.no_gateway(&number.to_string()))
    }

    /// Sets `enabled` of one gateway or all, and writes it down. Returns those that changed.
    ///
    /// No statement is published: what a gateway shall run when it runs stays as it is,
    /// so a build that was refused is not tried again by a mere start. The caller holds
    /// the `DeployLock` and calls `ControlClient::changed` afterwards.
    pub(crate) fn enable(
        &mut self,
        home: &Home,
        number: Option<u32>,
        enabled: bool,
    ) -> Result<Vec<GatewayName>, EnvironmentError> {
        if let Some(number) = number {
            self.gateway(number)?;
        }
        let mut changed = Vec::new();
        for one in &mut self.gateways {
            if number.is_none_or(|number| number == one.number) && one.enabled != enabled {
                one.enabled = enabled;
                changed.push(GatewayName::new(&self.name, one.number));
            }
        }
        if !changed.is_empty() {
            self.save(home)?;
        }
        Ok(changed)
    }

    /// The gateway that a person means: its number (`0`) or its name (`gw-pool-dev-001-0`).
    pub(crate) fn find_gateway(&self, text: &str) -> Result<&Gateway, EnvironmentError> {
        let meant = |one: &&Gateway| {
            self.gateway_name(one).as_str() == text || one.number.to_string() == text
        };
        let found = self.gateways.iter().find(meant);
        found.ok_or_else(|| self.no_gateway(text))
    }

    fn no_gateway(&self, asked: &str) -> EnvironmentError {
        EnvironmentError::UnknownGateway {
            env: self.name.clone(),
            asked: asked.to_owned(),
            known: self
                .gateways
                .iter()
                .map(|one| self.gateway_name(one))
                .collect(),
        }
    }

    /// The platform's API: `ganymede.{domain}`, unless it was adopted with another name.
    pub(crate) fn ganymede_fqdn(&self) -> String {
        let given = self.ganymede.clone();
        given.unwrap_or_else(|| format!("ganymede.{}", self.domain))
    }

    /// Whether this is the checkout the environment remembers, symlinks resolved.
    pub(crate) fn is_workspace(&self, workspace: &Path) -> bool {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        real(&self.workspace) == real(workspace)
    }
}

fn file(home: &Home, env: &EnvName) -> PathBuf {
    home.env_dir(env).join("env.toml")
}

fn parse(text: &str, env: &EnvName, path: &Path) -> Result<Environment, EnvironmentError> {
    let found: Environment =
        toml::from_str(text).map_err(|source| EnvironmentError::Malformed {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
    if found.name == *env {
        Ok(found)
    } else {
        Err(EnvironmentError::Misplaced {
            path: path.to_owned(),
            name: found.name,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A home below a folder that is removed after the test.
    pub(crate) fn home(folder: &Path) -> Home {
        let home = Home::new(folder, &folder.join("builds"), &folder.join("run"));
        home.prepare().unwrap();
        home
    }

    pub(crate) fn sample(name: &str) -> Environment {
        Environment {
            name: EnvName::parse(name).unwrap(),
            domain: format!("{name}.localhost"),
            ganymede: None,
            workspace: "/work/space".into(),
            runtime: RuntimeKind::Local,
            created_at: 1_700_000_000_000,
            public_key: "key".into(),
            deleting: false,
            image_id: None,
            docker: None,
            front: FrontSettings::default(),
            vpn: VpnSettings::default(),
            gateways: vec![Gateway {
                number: 0,
                id: "id".into(),
                http_port: 7100,
                vpn_port: 49100,
                enabled: true,
                organization: None,
                pinned: None,
            }],
            services: Vec::new(),
        }
    }

    fn saved(home: &Home, name: &str) -> Environment {
        let environment = sample(name);
        fs::create_dir_all(home.env_dir(&environment.name)).unwrap();
        environment.save(home).unwrap();
        environment
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(folder.path());
        let environment = saved(&home, "dev-001");
        assert_eq!(
            Environment::load(&home, &environment.name).unwrap(),
            environment
        );
        let text = fs::read_to_string(file(&home, &environment.name)).unwrap();
        assert!(
            !["deleting", "front", "pinned", "services"]
                .iter()
                .any(|it| text.contains(it)),
            "{text}"
        );
    }

    #[test]
    fn environments_are_listed_by_name_and_other_folders_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(folder.path());
        assert_eq!(Environment::list(&home).unwrap(), []);
        let (two, one) = (saved(&home, "b"), saved(&home, "a"));
        fs::create_dir(home.envs_dir().join("empty")).unwrap();
        fs::create_dir(home.envs_dir().join(".new-x")).unwrap();
        assert_eq!(Environment::list(&home).unwrap(), [one, two]);
    }

    #[test]
    fn an_unknown_name_comes_with_the_known_ones() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(folder.path());
        saved(&home, "dev-001");
        let error = Environment::load(&home, &EnvName::parse("dev-002").unwrap()).unwrap_err();
        let EnvironmentError::Unknown { known, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(known, [EnvName::parse("dev-001").unwrap()]);
    }

    #[test]
    fn a_broken_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(folder.path());
        let environment = saved(&home, "dev-001");
        fs::write(file(&home, &environment.name), "name = 1").unwrap();
        let error = Environment::load(&home, &environment.name).unwrap_err();
        assert!(error.to_string().contains("dev-001/env.toml"), "{error}");
        fs::rename(home.env_dir(&environment.name), home.envs_dir().join("x")).unwrap();
        sample("dev-001")
            .write(&home.envs_dir().join("x/env.toml"))
            .unwrap();
        let error = Environment::load(&home, &EnvName::parse("x").unwrap()).unwrap_err();
        assert!(error.to_string().contains("`dev-001`"), "{error}");
    }

    #[test]
    fn a_gateway_is_found_by_number_or_name() {
        let environment = sample("dev-001");
        for text in ["0", "gw-pool-dev-001-0"] {
            assert_eq!(environment.find_gateway(text).unwrap().number, 0);
        }
        for text in ["1", "00", "gw-pool-dev-001-1", "gw-pool-dev-002-0", ""] {
            let error = environment.find_gateway(text).unwrap_err();
            assert!(error.to_string().contains("no gateway"), "{error}");
        }
    }
}
