//! What there is of certificates, and how names resolve.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;
use lockgate_model::EnvName;
use tokio::time::timeout;

use super::super::check::{Check, Group};
use super::super::names;
use super::{Facts, apart, late, of_files};
use crate::certificates::{Authority, CertificateError, Seen, first};
use crate::commands::trust::{machine, resolve};
use crate::context::now;
use crate::environment::Environment;
use crate::error::CommandError;
use crate::home::Home;
use crate::trust::{Trusted, stores};

const GROUP: Group = Group::Names;
/// How long a store may take to be looked at: a database may want a password.
const STORE: Duration = Duration::from_secs(5);

pub(super) async fn look(facts: &Facts<'_>) -> Vec<Check> {
    let meant: Vec<Environment> = facts.meant().cloned().collect();
    let home = facts.ctx.config.home.clone();
    let leafs = of_files(GROUP, "certificates", {
        let meant = meant.clone();
        move || {
            meant
                .iter()
                .flat_map(|it| certificates(&home, it))
                .collect()
        }
    });
    let (mut all, leafs, names) = tokio::join!(
        authority(facts),
        leafs,
        join_all(meant.into_iter().map(resolves))
    );
    all.extend(leafs);
    all.extend(names.into_iter().flatten());
    all
}

async fn authority(facts: &Facts<'_>) -> Vec<Check> {
    let home = facts.ctx.config.home.clone();
    let Some(seen) = apart(move || Authority::of_home_if_any(&home)).await else {
        return vec![Check::new(GROUP, "authority", late(super::FILES))];
    };
    let (seen, broken) = match seen {
        Ok(seen) => (seen, None),
        Err(error) => (None, Some(CommandError::from(error))),
    };
    let whole = match &broken {
        Some(error) => Err(error),
        None => Ok(seen.as_ref().map(|it| &it.seen)),
    };
    let finding = names::authority(whole, now());
    let mut all = vec![Check::new(GROUP, "authority", finding)];
    let Some(authority) = &seen else {
        return all;
    };
    let machine = &machine(facts.ctx);
    let stores = stores(machine);
    let each = stores.iter().map(|store| async move {
        let asked = timeout(STORE, store.check(machine, authority)).await;
        let seen = asked.unwrap_or_else(|_| Trusted::Unknown("it does not answer".to_owned()));
        Check::new(GROUP, "trusted", names::trusted(store, &seen))
    });
    all.extend(join_all(each).await);
    all
}

/// The certificates of an environment: one of its own, or those that were signed here.
fn certificates(home: &Home, environment: &Environment) -> Vec<Check> {
    let env = &environment.name;
    let check = |path: &Path, given, seen: Result<Seen, CertificateError>| {
        let ends = seen.map(|it| it.not_after).map_err(CommandError::from);
        let finding = names::certificate(path, given, &ends, now());
        Check::new(GROUP, "certificate", finding).of_env(env)
    };
    if let Some((path, _)) = environment.front.own_certificate() {
        return vec![check(path, true, read(path))];
    }
    let entries = std::fs::read_dir(home.env_dir(env).join("tls"));
    let entries = entries.into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|it| it.path()).collect();
    files.sort();
    let seen = files.iter().map(|path| (path, read(path)));
    // One that cannot be read is made anew by the server.
    let used = seen.filter(|(_, seen)| {
        let seen = seen.as_ref();
        seen.is_ok_and(|seen| names::is_in_use(environment, &seen.names))
    });
    used.map(|(path, seen)| check(path, false, seen)).collect()
}

/// What is written in a file's first certificate.
fn read(path: &Path) -> Result<Seen, CertificateError> {
    let text = std::fs::read_to_string(path).map_err(|source| CertificateError::File {
        path: path.to_owned(),
        source,
    })?;
    first(&text).map_err(|what| CertificateError::Content {
        path: path.to_owned(),
        what,
    })
}

async fn resolves(environment: Environment) -> Vec<Check> {
    let (env, domain): (EnvName, String) = (environment.name.clone(), environment.domain.clone());
    let found = resolve::names(environment).await;
    let resolves = names::resolves(&domain, &found);
    let costs = names::domain(&domain);
    let all = [Some(("resolves", resolves)), costs.map(|it| ("domain", it))];
    let all = all.into_iter().flatten();
    all.map(|(name, finding)| Check::new(GROUP, name, finding).of_env(&env))
        .collect()
}
