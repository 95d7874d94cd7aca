//! Whose token is it?

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use lockgate_model::{Digest, EnvName, GatewayName};
use sha2::{Digest as _, Sha256};

use crate::store::{Store, StoreError};

/// Finds the gateway of a token. What it remembers only says where to look: the store
/// is asked each time, so a gateway that was dismissed is out at once.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    known: Mutex<HashMap<Digest, GatewayName>>,
}

impl Tokens {
    /// The gateway that was admitted with this token. Blocks for small files.
    pub(super) fn owner(
        &self,
        store: &Store,
        token: &str,
    ) -> Result<Option<GatewayName>, StoreError> {
        let digest = Digest::from_bytes(Sha256::digest(token).into());
        if let Some(gateway) = self.remembered(&digest)
            && admitted(store, &gateway, &digest)?
        {
            return Ok(Some(gateway));
        }
        self.search(store, &digest)
    }

    fn remembered(&self, digest: &Digest) -> Option<GatewayName> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(digest).cloned()
    }

    /// Looks through all environments and remembers what is there now. What is broken
    /// in one environment shuts nobody out of another.
    fn search(&self, store: &Store, digest: &Digest) -> Result<Option<GatewayName>, StoreError> {
        let mut found = HashMap::new();
        for env in environments(store)? {
            let gateways = store.gateways(&env).unwrap_or_else(|error| {
                pass_over(&error);
                Vec::new()
            });
            for gateway in gateways {
                match store.token_digest(&gateway) {
                    Ok(Some(token)) => {
                        found.insert(token, gateway);
                    }
                    Ok(None) => {}
                    Err(error) => pass_over(&error),
                }
            }
        }
        let owner = found
            .iter()
            .find(|(token, _)| same(token, digest))
            .map(|(_, gateway)| gateway.clone());
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = found;
        Ok(owner)
    }
}

fn pass_over(error: &StoreError) {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::warn!(%error, cause, "tokens were looked for and this was passed over");
}

fn admitted(store: &Store, gateway: &GatewayName, digest: &Digest) -> Result<bool, StoreError> {
    let held = store.token_digest(gateway)?;
    Ok(held.is_some_and(|held| same(&held, digest)))
}

/// Compares in a time that does not depend on where the two differ.
fn same(one: &Digest, other: &Digest) -> bool {
    let pairs = one.hex().bytes().zip(other.hex().bytes());
    pairs.fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

fn environments(store: &Store) -> Result<Vec<EnvName>, StoreError> {
    let failed = |source| StoreError::Io {
        act: "list",
        path: store.dir().to_owned(),
        source,
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(store.dir()).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        names.extend(name.to_str().and_then(|name| EnvName::parse(name).ok()));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dismissed_gateways_token_is_nobodys_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let tokens = Tokens::default();
        let digest = |token: &str| Digest::from_bytes(Sha256::digest(token).into());
        let gateway = |name| GatewayName::parse(name).unwrap();
        let (one, two) = (gateway("gw-pool-a-0"), gateway("gw-pool-b-7"));
        assert_eq!(tokens.owner(&store, "1").unwrap(), None);
        store.admit(&one, &digest("1")).unwrap();
        store.admit(&two, &digest("2")).unwrap();
        assert_eq!(tokens.owner(&store, "1").unwrap(), Some(one.clone()));
        assert_eq!(tokens.owner(&store, "2").unwrap(), Some(two.clone()));
        assert_eq!(tokens.owner(&store, "3").unwrap(), None);
        store.dismiss(&one).unwrap();
        assert_eq!(tokens.owner(&store, "1").unwrap(), None);
        store.admit(&one, &digest("3")).unwrap();
        assert_eq!(tokens.owner(&store, "3").unwrap(), Some(one));
        store.remove_env(&two.env()).unwrap();
        assert_eq!(tokens.owner(&store, "2").unwrap(), None);
    }

    #[test]
    fn what_is_broken_elsewhere_shuts_nobody_out() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let good = GatewayName::parse("gw-pool-b-0").unwrap();
        let digest = |token: &str| Digest::from_bytes(Sha256::digest(token).into());
        store.admit(&good, &digest("1")).unwrap();
        std::fs::write(dir.path().join("a-file"), "").unwrap();
        for env in ["a", "c"] {
            let folder = dir.path().join(env).join("gateways");
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(format!("gw-pool-{env}-0.json")), "{").unwrap();
        }
        assert_eq!(Tokens::default().owner(&store, "1").unwrap(), Some(good));
        assert_eq!(Tokens::default().owner(&store, "2").unwrap(), None);
    }
}
