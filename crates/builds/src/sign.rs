//! stub
#![allow(missing_docs, reason = "stub")]
use lockgate_model::{KeyId, SignedStatement, Statement};
use std::path::Path;

/// An environment's signing key (minisign). Its secret half never leaves the host.
pub struct SigningKey {}
/// An environment's public key, one base64 line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {}

#[derive(Debug, thiserror::Error)]
pub enum SignError { #[error("stub")] Stub }

impl SigningKey {
    pub fn generate() -> Result<Self, SignError> { todo!() }
    /// Writes the key, 0600, refusing to overwrite.
    pub fn save(&self, _path: &Path) -> Result<(), SignError> { todo!() }
    pub fn load(_path: &Path) -> Result<Self, SignError> { todo!() }
    pub fn public(&self) -> PublicKey { todo!() }
    pub fn sign(&self, _statement: &Statement) -> Result<SignedStatement, SignError> { todo!() }
}
impl PublicKey {
    pub fn parse(_line: &str) -> Result<Self, SignError> { todo!() }
    pub fn to_line(&self) -> String { todo!() }
    pub fn id(&self) -> KeyId { todo!() }
    /// Verifies the raw bytes first, then parses them.
    pub fn open(&self, _signed: &SignedStatement) -> Result<Statement, SignError> { todo!() }
}
