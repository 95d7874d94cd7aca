//! `GATEWAY_TOKEN`: what an application shows the platform's API, signed by its environment's own key.
//!
//! ```text
//! envs/{env}/token-key                         EC key on P-256, PKCS#8 PEM, 0600; never in the store
//!            gateways/{n}/app-token            the token that the gateway was made with
//!                         app-token.renewed    the one that follows it, see `renew`
//!                         registered-token     the platform's own, from `[registration]`, instead of these
//! ```
//!
//! A token is a JWT (ES256, which every library verifies). The platform gets the public half as a
//! JWKS from `lockgate keys`.
//!
//! Left out on purpose: reading other people's tokens. Nothing here trusts a token, so nothing
//! verifies one; what is read of our own is only when it ends and which key signed it.

pub(crate) mod renew;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use lockgate_model::EnvName;
use p256::SecretKey;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, LineEnding};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The file with the environment's key for tokens, in the environment's folder.
pub(crate) const TOKEN_KEY: &str = "token-key";

/// How long a token is valid: a year, as in the shell system.
const VALID_SECS: u64 = 365 * 24 * 60 * 60;
/// A token with less left is made anew when something is published: long enough that an
/// environment that is deployed to once a month never sees one end.
const RENEWED_SECS: u64 = 30 * 24 * 60 * 60;
/// What a token is good for, as the platform's API names it.
const SCOPE: &str = "gateway";

/// An environment's key for tokens. Its secret half never leaves the environment's folder.
pub(crate) struct TokenKey {
    key: SigningKey,
    public: Jwk,
}

/// A public key as RFC 7517 writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Jwk {
    /// The key's type.
    pub(crate) kty: &'static str,
    /// Its curve.
    pub(crate) crv: &'static str,
    /// The point's first coordinate.
    pub(crate) x: String,
    /// The point's second coordinate.
    pub(crate) y: String,
    /// What tokens name it by: its RFC 7638 thumbprint.
    pub(crate) kid: String,
    /// The algorithm it is for.
    pub(crate) alg: &'static str,
    /// What it is for.
    #[serde(rename = "use")]
    pub(crate) usage: &'static str,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokensError {
    /// A file cannot be read or written.
    #[error("`{path}` cannot be read or written")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is no key.
    #[error("`{path}` is not an EC key on P-256 in PKCS#8 PEM")]
    NotAKey {
        /// The file.
        path: PathBuf,
        /// What the library said.
        source: p256::pkcs8::Error,
    },
    /// The system gives no random bytes.
    #[error("no random bytes for a key")]
    Random(#[source] getrandom::Error),
}

impl TokenKey {
    /// Makes a new key.
    pub(crate) fn generate() -> Result<Self, TokensError> {
        loop {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes).map_err(TokensError::Random)?;
            // Zero and numbers above the curve's order are no keys; one in 2^32 is.
            if let Ok(secret) = SecretKey::from_slice(&bytes) {
                return Ok(Self::new(&secret));
            }
        }
    }

    fn new(secret: &SecretKey) -> Self {
        let point = secret.public_key().to_sec1_bytes();
        let part = |range| BASE64URL.encode(point.get(range).unwrap_or_default());
        // After the mark of an uncompressed point: two numbers of 32 bytes.
        let (x, y) = (part(1..33), part(33..65));
        let kid = thumbprint(&x, &y);
        Self {
            key: SigningKey::from(secret),
            public: Jwk {
                kty: "EC",
                crv: "P-256",
                x,
                y,
                kid,
                alg: "ES256",
                usage: "sig",
            },
        }
    }

    /// Writes the key (0600), refusing to overwrite one.
    pub(crate) fn save(&self, path: &Path) -> Result<(), TokensError> {
        self.write_new(path).map_err(|source| TokensError::File {
            path: path.to_owned(),
            source,
        })
    }

    fn write_new(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or(path);
        let secret = SecretKey::from(self.key.as_nonzero_scalar());
        let pem = secret
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(|error| io::Error::other(error.to_string()))?;
        let mut file = tempfile::Builder::new()
            .prefix(".write-")
            .tempfile_in(folder)?;
        file.write_all(pem.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist_noclobber(path).map_err(|error| error.error)?;
        crate::home::durable::sync_folder(folder)
    }

    /// Reads the key; `None` where there is no such file.
    fn load(path: &Path) -> Result<Option<Self>, TokensError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(TokensError::File {
                    path: path.to_owned(),
                    source,
                });
            }
        };
        let secret = SecretKey::from_pkcs8_pem(&text).map_err(|source| TokensError::NotAKey {
            path: path.to_owned(),
            source,
        })?;
        Ok(Some(Self::new(&secret)))
    }

    /// The key in an environment's folder, made where there is none: environments of earlier
    /// versions have none, and removing it is how one is replaced.
    pub(crate) fn of(folder: &Path) -> Result<Self, TokensError> {
        let path = folder.join(TOKEN_KEY);
        if let Some(key) = Self::load(&path)? {
            return Ok(key);
        }
        let made = Self::generate()?;
        match made.save(&path) {
            // Somebody else made one this moment.
            Err(TokensError::File { source, .. })
                if source.kind() == io::ErrorKind::AlreadyExists =>
            {
                Ok(Self::load(&path)?.unwrap_or(made))
            }
            saved => saved.map(|()| made),
        }
    }

    /// The half that the platform gets.
    pub(crate) fn public(&self) -> &Jwk {
        &self.public
    }

    /// A token for the gateway with this id, valid for a year from `now_secs` (UNIX seconds).
    pub(crate) fn token(&self, env: &EnvName, gateway_id: &str, now_secs: u64) -> String {
        let header = Header {
            alg: self.public.alg.to_owned(),
            typ: "JWT".to_owned(),
            kid: self.public.kid.clone(),
        };
        let claims = Claims {
            kind: "gateway_token".to_owned(),
            gateway_id: gateway_id.to_owned(),
            scope: SCOPE.to_owned(),
            iss: issuer(env),
            iat: now_secs,
            exp: now_secs + VALID_SECS,
        };
        let signed = format!("{}.{}", encoded(&header), encoded(&claims));
        let signature: Signature = self.key.sign(signed.as_bytes());
        format!("{signed}.{}", BASE64URL.encode(signature.to_bytes()))
    }

    /// Whether a token of this key is good for long enough. One of another key, or what is no
    /// JWT at all, is not.
    fn is_good(&self, token: &str, now_secs: u64) -> bool {
        let Some((header, claims)) = read(token) else {
            return false;
        };
        header.kid == self.public.kid && claims.exp > now_secs.saturating_add(RENEWED_SECS)
    }
}

/// Who signs: the environment's name after the scheme, so that it is a URI.
pub(crate) fn issuer(env: &EnvName) -> String {
    format!("lockgate:{env}")
}

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    #[serde(rename = "type")]
    kind: String,
    gateway_id: String,
    scope: String,
    iss: String,
    iat: u64,
    exp: u64,
}

fn encoded(part: &impl Serialize) -> String {
    // Texts and numbers: there is nothing that could fail.
    BASE64URL.encode(serde_json::to_vec(part).unwrap_or_default())
}

/// What one of our own tokens says, unverified.
fn read(token: &str) -> Option<(Header, Claims)> {
    let mut parts = token.trim().split('.');
    let mut part = || BASE64URL.decode(parts.next()?).ok();
    let (header, claims) = (part()?, part()?);
    Some((
        serde_json::from_slice(&header).ok()?,
        serde_json::from_slice(&claims).ok()?,
    ))
}

/// When a token ends, UNIX seconds, where it says so.
pub(crate) fn expires(token: &str) -> Option<u64> {
    read(token).map(|(_, claims)| claims.exp)
}

/// The thumbprint of RFC 7638: the digest of the key's required members in their order.
fn thumbprint(x: &str, y: &str) -> String {
    let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    BASE64URL.encode(Sha256::digest(members.as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use p256::ecdsa::VerifyingKey;
    use p256::ecdsa::signature::Verifier as _;

    use super::*;

    const DAY: u64 = 24 * 60 * 60;

    fn env() -> EnvName {
        EnvName::parse("dev-001").unwrap()
    }

    #[test]
    fn a_token_says_what_the_platform_asks_for_and_verifies_with_the_public_half() {
        let key = TokenKey::generate().unwrap();
        let token = key.token(&env(), "an-id", 1_000);
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let point = [
            vec![4],
            BASE64URL.decode(&key.public.x).unwrap(),
            BASE64URL.decode(&key.public.y).unwrap(),
        ];
        let public = VerifyingKey::from_sec1_bytes(&point.concat()).unwrap();
        let signature = Signature::from_slice(&BASE64URL.decode(signature).unwrap()).unwrap();
        public.verify(signed.as_bytes(), &signature).unwrap();

        let (header, claims) = signed.split_once('.').unwrap();
        let json = |part: &str| -> serde_json::Value {
            serde_json::from_slice(&BASE64URL.decode(part).unwrap()).unwrap()
        };
        assert_eq!(
            json(claims),
            serde_json::json!({
                "type": "gateway_token", "gateway_id": "an-id", "scope": "gateway",
                "iss": "lockgate:dev-001", "iat": 1_000, "exp": 1_000 + 365 * DAY,
            })
        );
        let header = json(header);
        assert_eq!(
            (&header["alg"], &header["typ"]),
            (&"ES256".into(), &"JWT".into())
        );
        assert_eq!(header["kid"], key.public.kid.as_str());
    }

    #[test]
    fn a_thumbprint_is_that_of_the_standard() {
        // The key on P-256 of RFC 7517, appendix A.1; its thumbprint by another program.
        let (x, y) = (
            "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
        );
        assert_eq!(
            thumbprint(x, y),
            "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s"
        );
    }

    #[test]
    fn a_key_is_kept_private_and_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let first = TokenKey::of(folder.path()).unwrap();
        let again = TokenKey::of(folder.path()).unwrap();
        assert_eq!(first.public, again.public);
        let path = folder.path().join(TOKEN_KEY);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let error = TokenKey::generate().unwrap().save(&path).unwrap_err();
        assert!(matches!(error, TokensError::File { .. }), "{error}");

        std::fs::write(&path, "no key").unwrap();
        let error = TokenKey::of(folder.path()).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("token-key` is not"), "{error}");
    }

    #[test]
    fn a_token_is_good_until_a_month_before_its_end() {
        let (key, other) = (TokenKey::generate().unwrap(), TokenKey::generate().unwrap());
        let token = key.token(&env(), "id", 0);
        for (token, now, expected) in [
            (&*token, 0, true),
            (&*token, 335 * DAY - 1, true),
            (&*token, 335 * DAY, false),
            (&*other.token(&env(), "id", 0), 0, false),
            (&*"ab".repeat(32), 0, false),
            ("a.b.c", 0, false),
            ("", 0, false),
        ] {
            assert_eq!(key.is_good(token, now), expected, "{token} {now}");
        }
        assert_eq!(expires(&token), Some(365 * DAY));
        assert_eq!(expires("opaque"), None);
    }
}
