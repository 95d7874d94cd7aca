//! What an environment has at the front door, as lockgate.toml's `[front]` says it.

use std::path::{Path, PathBuf};

use lockgate_model::Site;
use serde::{Deserialize, Serialize};

use super::Environment;

/// `[front]` of `env.toml` once an environment was made or deployed: all paths are absolute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct FrontSettings {
    /// What answers for the domain itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) apex: Option<Site>,
    /// What answers for `ganymede.` of the domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ganymede: Option<Site>,
    /// The file of a certificate of its own, with the chain that leads to its authority, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<PathBuf>,
    /// The file of the certificate's key, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<PathBuf>,
}

impl FrontSettings {
    /// Whether the environment has nothing there but its organizations.
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// The files of a certificate of its own, and of the key.
    pub(crate) fn own_certificate(&self) -> Option<(&Path, &Path)> {
        self.certificate.as_deref().zip(self.key.as_deref())
    }
}

/// The environment that has the domain itself and `ganymede.` of it instead of this one: another on
/// the same domain that was created before.
pub(crate) fn before<'a>(
    environment: &Environment,
    all: &'a [Environment],
) -> Option<&'a Environment> {
    let order = |one: &Environment| (one.created_at, one.name.clone());
    let same = all
        .iter()
        .filter(|one| one.domain == environment.domain && !one.deleting);
    same.filter(|one| order(one) < order(environment))
        .min_by_key(|one| order(one))
}

/// What is said of that.
pub(crate) fn shares(environment: &Environment, first: &Environment) -> String {
    let (domain, first) = (&environment.domain, &first.name);
    format!(
        "`{domain}` is {first}'s, too, which was there first: organizations of both are served,          `https://{domain}` and `ganymede.{domain}` stay with {first}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::tests::{home, sample};

    #[test]
    fn the_sites_of_a_domain_are_those_of_the_environment_that_was_first() {
        let environment = |name: &str, created_at, deleting| Environment {
            domain: "shared.test".to_owned(),
            created_at,
            deleting,
            ..sample(name)
        };
        let all = [
            environment("c", 1, true),
            environment("b", 2, false),
            environment("a", 2, false),
            environment("d", 3, false),
            sample("e"),
        ];
        let check = |at: usize, expected: Option<&str>| {
            let found = before(&all[at], &all).map(|it| it.name.as_str());
            assert_eq!(found, expected, "{}", all[at].name);
        };
        check(1, Some("a"));
        check(2, None);
        check(3, Some("a"));
        check(4, None);
    }

    #[test]
    fn what_lockgate_toml_says_is_written_down_once() {
        let folder = tempfile::tempdir().unwrap();
        let home = home(folder.path());
        let environment = sample("dev-001");
        let env = &environment.name;
        std::fs::create_dir_all(home.env_dir(env)).unwrap();
        environment.save(&home).unwrap();
        let settings = FrontSettings {
            apex: Some(Site::parse("/work/space/site").unwrap()),
            ganymede: Some(Site::parse("http://127.0.0.1:3000").unwrap()),
            certificate: Some("/work/space/tls/dev.pem".into()),
            key: Some("/work/space/tls/dev.key".into()),
        };
        for (given, changes) in [
            (&FrontSettings::default(), false),
            (&settings, true),
            (&settings, false),
            (&FrontSettings::default(), true),
        ] {
            let renew = |environment: &mut Environment| environment.front = given.clone();
            let renewed = Environment::rewrite(&home, env, renew).unwrap();
            assert_eq!(renewed, changes);
            assert_eq!(Environment::load(&home, env).unwrap().front, *given);
        }
    }
}
