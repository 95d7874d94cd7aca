//! What the build server knows of a gateway: its token's digest and its statement.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use lockgate_model::{Digest, EnvName, GatewayName, SignedStatement};
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, read_json, write, write_json};

/// Statements carry the application's settings, its environment among them.
const PRIVATE: u32 = 0o600;

#[derive(Serialize, Deserialize)]
struct Admitted {
    token: Digest,
}

#[derive(PartialEq, Serialize, Deserialize)]
struct Held {
    seq: u64,
    signed: SignedStatement,
}

impl Store {
    /// Lets a gateway in with the token that has this digest, instead of any before.
    pub fn admit(&self, gateway: &GatewayName, token: &Digest) -> Result<(), StoreError> {
        let _lock = self.lock(&gateway.env())?;
        let path = self.gateway_path(gateway);
        make_private_parent(&path)?;
        let admitted = Admitted {
            token: token.clone(),
        };
        write_json(&path, PRIVATE, &admitted)
    }

    /// The digest of a gateway's token, `None` when the gateway was not admitted.
    pub fn token_digest(&self, gateway: &GatewayName) -> Result<Option<Digest>, StoreError> {
        let admitted: Option<Admitted> = read_json(&self.gateway_path(gateway))?;
        Ok(admitted.map(|one| one.token))
    }

    /// The gateways that were admitted to an environment, by number.
    pub fn gateways(&self, env: &EnvName) -> Result<Vec<GatewayName>, StoreError> {
        let folder = self.env_dir(env).join("gateways");
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(StoreError::io("list", &folder)(source)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(StoreError::io("list", &folder))?.file_name();
            let stem = name.to_str().and_then(|name| name.strip_suffix(".json"));
            let gateway = stem.and_then(|stem| GatewayName::parse(stem).ok());
            names.extend(gateway.filter(|gateway| gateway.env() == *env));
        }
        names.sort_by_key(GatewayName::number);
        Ok(names)
    }

    /// Shuts a gateway out and forgets its statement. One unknown is no error.
    pub fn dismiss(&self, gateway: &GatewayName) -> Result<(), StoreError> {
        let _lock = self.lock(&gateway.env())?;
        for path in [self.gateway_path(gateway), self.statement_path(gateway)] {
            write::remove_file(&path).map_err(StoreError::io("remove", &path))?;
        }
        Ok(())
    }

    /// Replaces what a gateway shall run. The number must be higher than the one held;
    /// the same statement once more is no error.
    pub fn put_statement(
        &self,
        gateway: &GatewayName,
        seq: u64,
        signed: &SignedStatement,
    ) -> Result<(), StoreError> {
        let _lock = self.lock(&gateway.env())?;
        let path = self.statement_path(gateway);
        let wanted = Held {
            seq,
            signed: signed.clone(),
        };
        match read_json::<Held>(&path)? {
            Some(held) if held == wanted => return Ok(()),
            Some(held) if held.seq >= seq => {
                return Err(StoreError::NotNewer {
                    gateway: gateway.clone(),
                    seq,
                    held: held.seq,
                });
            }
            Some(_) | None => {}
        }
        make_private_parent(&path)?;
        write_json(&path, PRIVATE, &wanted)
    }

    /// What a gateway shall run, with its number; `None` when nothing was said yet.
    pub fn statement(
        &self,
        gateway: &GatewayName,
    ) -> Result<Option<(u64, SignedStatement)>, StoreError> {
        let held: Option<Held> = read_json(&self.statement_path(gateway))?;
        Ok(held.map(|held| (held.seq, held.signed)))
    }

    fn gateway_path(&self, gateway: &GatewayName) -> PathBuf {
        let folder = self.env_dir(&gateway.env()).join("gateways");
        folder.join(format!("{gateway}.json"))
    }

    fn statement_path(&self, gateway: &GatewayName) -> PathBuf {
        let folder = self.env_dir(&gateway.env()).join("statements");
        folder.join(format!("{gateway}.json"))
    }
}

fn make_private_parent(path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().unwrap_or(path);
    if let Some(env) = folder.parent() {
        std::fs::create_dir_all(env).map_err(StoreError::io("create", env))?;
    }
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map_err(StoreError::io("create", folder)),
    }
}
