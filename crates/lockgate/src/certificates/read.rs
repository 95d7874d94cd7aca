//! What is written in a certificate.

use lockgate_model::Digest;
use rcgen::{KeyPair, PublicKeyData as _};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;

/// What is of interest in a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Its common name; what else it is called where it has none.
    pub(crate) subject: String,
    /// Who signed it.
    pub(crate) issuer: String,
    /// The names it is for.
    pub(crate) names: Vec<String>,
    /// When it ends.
    pub(crate) not_after: OffsetDateTime,
    /// Whether it may sign others.
    pub(crate) is_authority: bool,
    /// Its whole content, as stores compare certificates.
    pub(crate) der: Vec<u8>,
    /// The SHA-256 of its content, in hex.
    pub(crate) fingerprint: String,
    key: Vec<u8>,
}

impl Seen {
    /// What is written in a certificate, DER.
    pub(crate) fn of_der(der: &[u8]) -> Result<Self, String> {
        seen(der)
    }

    /// One for these names, signed by nobody.
    #[cfg(test)]
    pub(crate) fn sample(names: &[String], not_after: OffsetDateTime) -> Self {
        Self {
            subject: String::new(),
            issuer: String::new(),
            names: names.to_vec(),
            not_after,
            is_authority: false,
            der: Vec::new(),
            fingerprint: String::new(),
            key: Vec::new(),
        }
    }

    /// Whether this is its key.
    pub(super) fn is_of(&self, pair: &KeyPair) -> bool {
        pair.subject_public_key_info() == self.key
    }
}

/// The first certificate of a PEM text; says what is wrong where there is none.
pub(crate) fn first(pem: &str) -> Result<Seen, String> {
    let found = Pem::iter_from_buffer(pem.as_bytes())
        .filter_map(Result::ok)
        .find(|it| it.label == "CERTIFICATE");
    let found = found.ok_or("holds no certificate in PEM")?;
    Seen::of_der(&found.contents)
}

fn seen(der: &[u8]) -> Result<Seen, String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(der)
        .map_err(|error| format!("holds a certificate that cannot be read: {error}"))?;
    let common = |name: &x509_parser::x509::X509Name<'_>| {
        let mut all = name.iter_common_name().filter_map(|it| it.as_str().ok());
        all.next().map_or_else(|| name.to_string(), str::to_owned)
    };
    let names = parsed.subject_alternative_name().ok().flatten();
    let names = names.map(|it| it.value.general_names.as_slice());
    let names = names.unwrap_or_default().iter().filter_map(|it| match it {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    let digest = Digest::from_bytes(Sha256::digest(der).into());
    Ok(Seen {
        subject: common(parsed.subject()),
        issuer: common(parsed.issuer()),
        names: names.collect(),
        not_after: parsed.validity().not_after.to_datetime(),
        is_authority: parsed.is_ca(),
        fingerprint: digest.hex().to_owned(),
        key: parsed.public_key().raw.to_vec(),
        der: der.to_vec(),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use time::macros::datetime;

    use super::*;

    /// A time for tests.
    pub(in super::super) const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

    #[test]
    fn what_is_no_certificate_is_said_to_be_none() {
        assert_eq!(first("").unwrap_err(), "holds no certificate in PEM");
        let wrong = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let said = first(wrong).unwrap_err();
        assert!(said.contains("cannot be read"), "{said}");
    }
}
