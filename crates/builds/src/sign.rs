//! Says who said it: statements are signed with an environment's minisign key.
//!
//! The secret half stays on the host; a gateway is created with the public half and
//! believes nothing else. The exact bytes travel beside the signature, so a reader
//! verifies before it parses.
//!
//! Left out on purpose: passwords on keys (deploys run unattended; the file is 0600)
//! and expiry (a laptop sleeps; numbers, not dates, tell new from old).

use std::io::{self, Cursor};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use lockgate_model::{KeyId, SignedStatement, Statement};
use minisign::{KeyPair, PError, SecretKeyBox, SignatureBox};

use crate::store::write;

/// The algorithm's mark at the start of a minisign public key.
const ED25519: &[u8] = b"Ed";
/// The length of an Ed25519 signature.
const SIGNATURE_BYTES: usize = 64;

/// An environment's signing key (minisign). Its secret half never leaves the host.
pub struct SigningKey {
    pair: KeyPair,
    public: PublicKey,
}

/// An environment's public key, one base64 line.
#[derive(Clone)]
pub struct PublicKey {
    key: minisign::PublicKey,
    id: KeyId,
}

/// Why something could not be signed or is not believed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// No random numbers, or the algorithm failed.
    #[error("cannot {act}")]
    Algorithm {
        /// What was tried.
        act: &'static str,
        /// What the library said.
        source: PError,
    },
    /// The key's file cannot be read or written.
    #[error("cannot {act} the key file `{path}`")]
    File {
        /// What was tried.
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others than the owner may read the secret key.
    #[error("the key file `{path}` can be read by others (mode {mode:o}, must be 600)")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file is not a minisign secret key without a password.
    #[error("`{path}` is not a minisign secret key without a password")]
    NotASecretKey {
        /// The file.
        path: PathBuf,
        /// What the library said.
        source: PError,
    },
    /// The text is not a minisign public key.
    #[error(
        "`{text}` is not a minisign public key: one line of 56 base64 characters that begins with `RW`"
    )]
    NotAPublicKey {
        /// The text.
        text: String,
    },
    /// The signed statement is not even shaped like one.
    #[error("the {part} of a signed statement is malformed: {why}")]
    Malformed {
        /// `statement` or `signature`.
        part: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Another key signed it, or the statement names another key.
    #[error("the statement is of key `{found}`, not of this environment's key `{wanted}`")]
    ForeignKey {
        /// The key that is believed.
        wanted: KeyId,
        /// The key that was found.
        found: KeyId,
    },
    /// The bytes are not those that were signed.
    #[error("the signature of key `{key}` does not fit the statement")]
    Forged {
        /// The key it was checked with.
        key: KeyId,
        /// What the library said.
        source: PError,
    },
}

impl SigningKey {
    /// Makes a new key.
    pub fn generate() -> Result<Self, SignError> {
        let pair =
            KeyPair::generate_unencrypted_keypair().map_err(algorithm("make a signing key"))?;
        Ok(Self::from_pair(pair))
    }

    /// Writes the key, 0600, refusing to overwrite.
    pub fn save(&self, path: &Path) -> Result<(), SignError> {
        let comment = format!("lockgate signing key {}", self.public.id);
        let text = (self.pair.sk.to_box(Some(&comment))).map_err(algorithm("write down a key"))?;
        write::create(path, 0o600, &text.to_bytes()).map_err(file("write", path))
    }

    /// Reads a key. A file that others can read is refused, as `ssh` does.
    pub fn load(path: &Path) -> Result<Self, SignError> {
        let found = std::fs::metadata(path).map_err(file("read", path))?;
        let mode = found.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(SignError::Exposed {
                path: path.to_owned(),
                mode,
            });
        }
        let text = std::fs::read_to_string(path).map_err(file("read", path))?;
        let not_a_key = |source| SignError::NotASecretKey {
            path: path.to_owned(),
            source,
        };
        let sk = SecretKeyBox::from(text)
            .into_unencrypted_secret_key()
            .map_err(not_a_key)?;
        let pk = minisign::PublicKey::from_secret_key(&sk).map_err(not_a_key)?;
        Ok(Self::from_pair(KeyPair { pk, sk }))
    }

    /// The half that gateways are given.
    pub fn public(&self) -> PublicKey {
        self.public.clone()
    }

    /// Signs a statement, which must name this key.
    pub fn sign(&self, statement: &Statement) -> Result<SignedStatement, SignError> {
        self.public.expect_own(&statement.key_id)?;
        let bytes = serde_json::to_vec(statement).map_err(|error| malformed("statement", error))?;
        let comment = format!("gateway:{}\tseq:{}", statement.gateway, statement.seq);
        let signature = minisign::sign(
            Some(&self.pair.pk),
            &self.pair.sk,
            Cursor::new(&bytes),
            Some(&comment),
            Some("lockgate statement"),
        )
        .map_err(algorithm("sign a statement"))?;
        Ok(SignedStatement {
            statement: BASE64.encode(&bytes),
            signature: BASE64.encode(signature.into_string()),
        })
    }

    fn from_pair(pair: KeyPair) -> Self {
        let public = PublicKey::from_key(pair.pk.clone());
        Self { pair, public }
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.public.id)
    }
}

impl PublicKey {
    /// Reads the base64 line of a minisign `.pub` file.
    pub fn parse(line: &str) -> Result<Self, SignError> {
        let not_a_key = || SignError::NotAPublicKey {
            text: line.trim().chars().take(80).collect(),
        };
        let key = minisign::PublicKey::from_base64(line.trim()).map_err(|_| not_a_key())?;
        if !key.to_bytes().starts_with(ED25519) {
            return Err(not_a_key());
        }
        Ok(Self::from_key(key))
    }

    /// The line that [`PublicKey::parse`] reads.
    pub fn to_line(&self) -> String {
        self.key.to_base64()
    }

    /// The key's number.
    pub fn id(&self) -> KeyId {
        self.id.clone()
    }

    /// Verifies the raw bytes first, then parses them.
    pub fn open(&self, signed: &SignedStatement) -> Result<Statement, SignError> {
        let bytes = decode("statement", &signed.statement)?;
        let signature = read_signature(&signed.signature)?;
        self.expect_own(&key_id(signature.keynum()))?;
        minisign::verify(
            &self.key,
            &signature,
            Cursor::new(&bytes),
            true,
            false,
            false,
        )
        .map_err(|source| SignError::Forged {
            key: self.id(),
            source,
        })?;
        let statement: Statement =
            serde_json::from_slice(&bytes).map_err(|error| malformed("statement", error))?;
        self.expect_own(&statement.key_id)?;
        Ok(statement)
    }

    fn expect_own(&self, found: &KeyId) -> Result<(), SignError> {
        if *found == self.id {
            Ok(())
        } else {
            Err(SignError::ForeignKey {
                wanted: self.id(),
                found: found.clone(),
            })
        }
    }

    fn from_key(key: minisign::PublicKey) -> Self {
        let id = key_id(key.keynum());
        Self { key, id }
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.key.to_bytes() == other.key.to_bytes()
    }
}

impl Eq for PublicKey {}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PublicKey({})", self.to_line())
    }
}

/// Reads a signature. The half over the comment is measured here: the library takes it
/// for granted that it is long enough.
fn read_signature(encoded: &str) -> Result<SignatureBox, SignError> {
    let text = String::from_utf8(decode("signature", encoded)?)
        .map_err(|error| malformed("signature", error))?;
    let over_comment = text.lines().nth(3).unwrap_or_default();
    if decode("signature", over_comment.trim())?.len() != SIGNATURE_BYTES {
        let why = "the comment's signature has a wrong length";
        return Err(malformed("signature", why));
    }
    SignatureBox::from_string(&text).map_err(|error| malformed("signature", error))
}

/// The number minisign prints for a key: its eight bytes, the lowest first.
fn key_id(number: &[u8]) -> KeyId {
    let number = number
        .iter()
        .rev()
        .fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    KeyId::from_number(number)
}

fn decode(part: &'static str, text: &str) -> Result<Vec<u8>, SignError> {
    BASE64.decode(text).map_err(|error| malformed(part, error))
}

fn malformed(part: &'static str, why: impl std::fmt::Display) -> SignError {
    SignError::Malformed {
        part,
        why: why.to_string(),
    }
}

fn algorithm(act: &'static str) -> impl FnOnce(PError) -> SignError {
    move |source| SignError::Algorithm { act, source }
}

fn file(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SignError {
    move |source| SignError::File {
        act,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
