//! The tokens of a gateway as files, and what follows one that ends soon.
//!
//! A gateway is started with the token that it was made with, and keeps that in its environment:
//! changing it would be a new container. A later token travels in the gateway's statement, among
//! the application's variables, and takes effect with the restart that the statement asks for
//! anyway. So a token is renewed when something is published, and never by itself.

use std::path::{Path, PathBuf};

use lockgate_model::EnvName;

use super::{TokenKey, TokensError};
use crate::environment::Gateway;
use crate::home::durable;

/// The token towards the platform's API that a gateway was made with.
const APP_TOKEN: &str = "app-token";
/// The token that follows it.
const RENEWED: &str = "app-token.renewed";
/// The platform's own token, instead of both.
const REGISTERED: &str = "registered-token";

/// Writes the token that a gateway is made with; the platform's own where it gave one.
pub(crate) fn give(
    key: &TokenKey,
    env: &EnvName,
    gateway: &Gateway,
    registered: Option<&str>,
    folder: &Path,
    now_ms: u64,
) -> Result<(), TokensError> {
    let Some(token) = registered else {
        let token = key.token(env, &gateway.id, now_ms / 1000);
        return write(&folder.join(APP_TOKEN), &token);
    };
    write(&folder.join(REGISTERED), token)
}

/// The token that a gateway is started with.
pub(crate) fn first(folder: &Path) -> Result<String, TokensError> {
    if let Some(token) = read(&folder.join(REGISTERED))? {
        return Ok(token);
    }
    let path = folder.join(APP_TOKEN);
    durable::read_line(&path).map_err(|source| TokensError::File { path, source })
}

/// The token that a gateway has by now: the first, or the one that followed it.
pub(crate) fn current(folder: &Path) -> Result<String, TokensError> {
    match read(&folder.join(RENEWED))? {
        Some(token) => Ok(token),
        None => first(folder),
    }
}

/// What is to be said to a gateway about its token.
#[derive(Default)]
pub(crate) struct Renewed {
    /// The token that replaces the first one, if one does. A secret, so this has no `Debug`.
    pub(crate) token: Option<String>,
    /// Whether it was made now.
    pub(crate) now: bool,
}

/// Sees to it that a gateway's token is good for a month at least. A token of the platform is
/// the platform's affair.
pub(crate) fn renew(
    key: &TokenKey,
    env: &EnvName,
    gateway: &Gateway,
    folder: &Path,
    now_ms: u64,
) -> Result<Renewed, TokensError> {
    if read(&folder.join(REGISTERED))?.is_some() {
        return Ok(Renewed::default());
    }
    let path = folder.join(RENEWED);
    let renewed = read(&path)?;
    let has = match &renewed {
        Some(token) => Some(token.clone()),
        None => read(&folder.join(APP_TOKEN))?,
    };
    let now_secs = now_ms / 1000;
    if has.is_some_and(|token| key.is_good(&token, now_secs)) {
        return Ok(Renewed {
            token: renewed,
            now: false,
        });
    }
    let token = key.token(env, &gateway.id, now_secs);
    write(&path, &token)?;
    Ok(Renewed {
        token: Some(token),
        now: true,
    })
}

fn read(path: &Path) -> Result<Option<String>, TokensError> {
    match durable::read_line(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(TokensError::File {
            path: path.to_owned(),
            source,
        }),
    }
}

fn write(path: &Path, token: &str) -> Result<(), TokensError> {
    durable::write(path, token.as_bytes()).map_err(|source| TokensError::File {
        path: PathBuf::from(path),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::tests::sample;
    use crate::environment::tokens::expires;

    const DAY_MS: u64 = 24 * 60 * 60 * 1000;

    struct Place {
        folder: tempfile::TempDir,
        key: TokenKey,
    }

    impl Place {
        fn new(registered: Option<&str>) -> Self {
            let place = Self {
                folder: tempfile::tempdir().unwrap(),
                key: TokenKey::generate().unwrap(),
            };
            let environment = sample("dev-001");
            let (env, gateway) = (&environment.name, &environment.gateways[0]);
            give(&place.key, env, gateway, registered, place.folder.path(), 0).unwrap();
            place
        }

        fn renew(&self, now_ms: u64) -> Renewed {
            let environment = sample("dev-001");
            let (env, gateway) = (&environment.name, &environment.gateways[0]);
            renew(&self.key, env, gateway, self.folder.path(), now_ms).unwrap()
        }
    }

    #[test]
    fn a_token_is_made_anew_a_month_before_its_end_and_the_first_one_stays() {
        let place = Place::new(None);
        let first_token = first(place.folder.path()).unwrap();
        let early = place.renew(300 * DAY_MS);
        assert!(early.token.is_none() && !early.now);

        let late = place.renew(340 * DAY_MS);
        let token = late.token.unwrap();
        assert!(late.now);
        assert_eq!(expires(&token), Some((340 + 365) * DAY_MS / 1000));
        assert_eq!(first(place.folder.path()).unwrap(), first_token);
        assert_eq!(current(place.folder.path()).unwrap(), token);
        // From now on it is said with everything that is published.
        let again = place.renew(400 * DAY_MS);
        assert!(!again.now);
        assert_eq!(again.token.unwrap(), token);
    }

    #[test]
    fn a_gateway_of_an_earlier_version_gets_a_token_at_the_next_publication() {
        let place = Place::new(None);
        durable::write(
            &place.folder.path().join(APP_TOKEN),
            "ab".repeat(32).as_bytes(),
        )
        .unwrap();
        let renewed = place.renew(0);
        assert!(renewed.now);
        assert!(renewed.token.unwrap().starts_with("eyJ"));
    }

    #[test]
    fn the_platforms_own_token_is_never_replaced() {
        let place = Place::new(Some("opaque"));
        let much_later = place.renew(4_000 * DAY_MS);
        assert!(much_later.token.is_none() && !much_later.now);
        assert_eq!(first(place.folder.path()).unwrap(), "opaque");
        assert_eq!(current(place.folder.path()).unwrap(), "opaque");
    }
}
