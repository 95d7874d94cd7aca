//! Lets one gateway in: its folder, its tokens, its entry in the store. All or nothing.
//!
//! A gateway has two tokens. The one towards the build server is 256 random bits, of which the
//! store keeps the digest; the one towards the platform's API is a JWT of the environment's
//! (`tokens`), or the platform's own, where a command registers gateways.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lockgate_builds::store::{Store, StoreError};
use lockgate_model::Digest;
use sha2::{Digest as _, Sha256};

use super::create::TOKEN;
use super::tokens::{TokenKey, TokensError, renew};
use super::{Environment, Gateway};
use crate::home::{HomeError, durable, make_private};

/// What the platform gave a gateway. The token is a secret, so this has no `Debug`.
pub(crate) struct Registered {
    /// Its id.
    pub(crate) gateway_id: String,
    /// Its token.
    pub(crate) token: String,
}

/// Why a gateway is not let in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdmitError {
    /// Its folder cannot be made.
    #[error("its folder cannot be made")]
    Folder(#[from] HomeError),
    /// A file cannot be written.
    #[error("`{path}` cannot be written")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// No token towards the platform.
    #[error("it gets no token towards the platform")]
    Tokens(#[from] TokensError),
    /// The store refuses it.
    #[error("the store does not admit it")]
    Store(#[from] StoreError),
    /// The system gives no random bytes.
    #[error("no random bytes for a token")]
    Random(#[source] getrandom::Error),
}

/// Makes `folder` with the gateway's tokens and lets it in. Whatever the store knew of an earlier
/// gateway of this name is forgotten.
pub(crate) fn admit(
    store: &Store,
    environment: &Environment,
    gateway: &Gateway,
    registered: Option<&Registered>,
    key: &TokenKey,
    folder: &Path,
    now_ms: u64,
) -> Result<(), AdmitError> {
    let admitted = try_admit(store, environment, gateway, registered, key, folder, now_ms);
    if admitted.is_err() {
        // What cannot be taken back is swept with the folder that it lies in, or refused as a
        // gateway that env.toml does not name.
        let _ = fs::remove_dir_all(folder);
        let _ = store.dismiss(&environment.gateway_name(gateway));
    }
    admitted
}

fn try_admit(
    store: &Store,
    environment: &Environment,
    gateway: &Gateway,
    registered: Option<&Registered>,
    key: &TokenKey,
    folder: &Path,
    now_ms: u64,
) -> Result<(), AdmitError> {
    make_private(folder)?;
    let registered = registered.map(|one| one.token.as_str());
    renew::give(key, &environment.name, gateway, registered, folder, now_ms)?;
    let token = random_token()?;
    let path = folder.join(TOKEN);
    durable::write(&path, token.as_bytes()).map_err(|source| AdmitError::File { path, source })?;
    let digest = Digest::from_bytes(Sha256::digest(token.as_bytes()).into());
    let name = environment.gateway_name(gateway);
    store.dismiss(&name)?;
    store.admit(&name, &digest)?;
    Ok(())
}

/// 256 random bits as hex digits.
fn random_token() -> Result<String, AdmitError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(AdmitError::Random)?;
    Ok(Digest::from_bytes(bytes).hex().to_owned())
}
