//! What an environment's containers are made from, as lockgate.toml's `[docker]` says it.

use lockgate_model::EnvName;
use serde::{Deserialize, Serialize};

use super::{Environment, EnvironmentError, RuntimeKind};
use crate::home::Home;

/// The image of a gateway where none is named: that of this program's own version.
const IMAGE: &str = concat!("lockgate/gateway:", env!("CARGO_PKG_VERSION"));
/// The engine's own network, which every engine has.
const NETWORK: &str = "bridge";

/// `[docker]` of lockgate.toml, and of `env.toml` once an environment was made or deployed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DockerSettings {
    /// The image; `lockgate/gateway:{version}` where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<String>,
    /// The network; the engine's `bridge` where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) network: Option<String>,
    /// On which of the host's addresses ports are open.
    #[serde(skip_serializing_if = "Publish::is_default")]
    pub(crate) publish: Publish,
}

/// On which of the host's addresses a gateway's ports are open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Publish {
    /// 127.0.0.1, and the network's own address, which only this host and its containers reach.
    #[default]
    Loopback,
    /// All of them: whoever reaches this host reaches the gateways.
    All,
}

impl Publish {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference"
    )]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Why containers are made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewed {
    /// `[docker]` says something else than before.
    Settings,
    /// Its image's name means another image than the one they were made from.
    Image,
}

/// Writes down what lockgate.toml says now, and `other_image`, the id of the image where containers
/// were made from another one; says what of it is new. The caller holds the `DeployLock` and calls
/// `ControlClient::changed` afterwards.
pub(crate) fn renew(
    home: &Home,
    env: &EnvName,
    settings: &DockerSettings,
    other_image: Option<String>,
) -> Result<Option<Renewed>, EnvironmentError> {
    let mut environment = Environment::load(home, env)?;
    if environment.runtime != RuntimeKind::Docker {
        return Ok(None);
    }
    let renewed = if environment.docker.as_ref() != Some(settings) {
        Renewed::Settings
    } else if other_image.is_some() && environment.image_id != other_image {
        Renewed::Image
    } else {
        return Ok(None);
    };
    environment.docker = Some(settings.clone());
    environment.image_id = other_image.or(environment.image_id);
    environment.save(home)?;
    Ok(Some(renewed))
}

impl DockerSettings {
    /// The image that is meant.
    pub(crate) fn image(&self) -> &str {
        self.image.as_deref().unwrap_or(IMAGE)
    }

    /// The network that is meant.
    pub(crate) fn network(&self) -> &str {
        self.network.as_deref().unwrap_or(NETWORK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::tests::{home, sample};

    #[test]
    fn what_lockgate_toml_says_is_written_down_for_containers_alone() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(folder.path());
        let settings = DockerSettings {
            image: Some("mine:1".into()),
            publish: Publish::All,
            ..DockerSettings::default()
        };
        let image = || Some("sha256:1".to_owned());
        for (runtime, changes) in [(RuntimeKind::Local, false), (RuntimeKind::Docker, true)] {
            let environment = Environment {
                runtime,
                ..sample("dev-001")
            };
            let env = &environment.name;
            std::fs::create_dir_all(home.env_dir(env)).unwrap();
            environment.save(&home).unwrap();
            let renew = |image| renew(&home, env, &settings, image).unwrap();
            assert_eq!(renew(None), changes.then_some(Renewed::Settings));
            let found = Environment::load(&home, env).unwrap().docker;
            assert_eq!(found, changes.then(|| settings.clone()));
            assert_eq!(renew(None), None);
            assert_eq!(renew(image()), changes.then_some(Renewed::Image));
            assert_eq!(renew(image()), None);
            assert_eq!(renew(None), None);
            let found = Environment::load(&home, env).unwrap().image_id;
            assert_eq!(found, image().filter(|_| changes));
        }
    }
}
