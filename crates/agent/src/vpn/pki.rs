//! Keys and certificates of one organization's VPN.
//!
//! The authority's private key signs three certificates and is dropped then: whoever
//! reads a gateway's files finds what its clients have, and can sign nothing more. So
//! nothing is signed anew; all of it is made again once it comes to its end.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

/// How long all of it is valid. Clients are given it once, and are not told of another.
const VALID: Duration = Duration::days(3650);
/// With less left than that it is made anew at the next start.
const RENEWED: Duration = Duration::days(365);
/// How much earlier it begins, for clients whose clock is behind.
const EARLIER: Duration = Duration::hours(24);

/// The name in the server's certificate, which clients compare.
pub(super) const SERVER: &str = "server";
/// The name in the certificate that all clients share.
pub(super) const CLIENTS: &str = "clients";

/// Why none were made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PkiError {
    /// The signing.
    #[error("cannot make the certificate of `{name}`")]
    Sign {
        name: String,
        #[source]
        source: rcgen::Error,
    },
    /// The kernel's random numbers.
    #[error("the kernel gives no random numbers: {0}")]
    Random(getrandom::Error),
}

/// What server and clients know each other by; all PEM. It has no `Debug`: most of it is
/// secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Pki {
    /// The authority's certificate.
    pub(super) ca_crt: String,
    /// The server's certificate.
    pub(super) server_crt: String,
    /// The server's key.
    pub(super) server_key: String,
    /// The certificate that all clients share.
    pub(super) clients_crt: String,
    /// Its key.
    pub(super) clients_key: String,
    /// What signs each packet before anybody looks into it.
    pub(super) ta_key: String,
    /// When it ends, in UNIX seconds.
    pub(super) ends_at: i64,
}

impl Pki {
    /// A new one for this organization.
    pub(super) fn make(organization: &str, now: OffsetDateTime) -> Result<Self, PkiError> {
        let authority = format!("Lockgate VPN {organization}");
        let (ca_crt, issuer) = authority_of(&authority, now).map_err(failed(&authority))?;
        let sign = |name: &str, usage| signed(name, usage, &issuer, now).map_err(failed(name));
        let (server_crt, server_key) = sign(SERVER, ExtendedKeyUsagePurpose::ServerAuth)?;
        let (clients_crt, clients_key) = sign(CLIENTS, ExtendedKeyUsagePurpose::ClientAuth)?;
        let mut random = [0; STATIC_KEY_BYTES];
        getrandom::fill(&mut random).map_err(PkiError::Random)?;
        Ok(Self {
            ca_crt,
            server_crt,
            server_key,
            clients_crt,
            clients_key,
            ta_key: static_key(&random),
            ends_at: (now + VALID).unix_timestamp(),
        })
    }

    /// Whether it is to be made anew.
    pub(super) fn is_about_to_end(&self, now: OffsetDateTime) -> bool {
        self.ends_at < (now + RENEWED).unix_timestamp()
    }
}

fn failed(name: &str) -> impl FnOnce(rcgen::Error) -> PkiError {
    let name = name.to_owned();
    move |source| PkiError::Sign { name, source }
}

fn named(name: &str, now: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = now - EARLIER;
    params.not_after = now + VALID;
    params
}

/// An authority's certificate, and what signs by it.
fn authority_of(
    name: &str,
    now: OffsetDateTime,
) -> Result<(String, Issuer<'static, KeyPair>), rcgen::Error> {
    // An EC key on P-256: rcgen's default.
    let key = KeyPair::generate()?;
    let mut params = named(name, now);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let pem = params.self_signed(&key)?.pem();
    Ok((pem, Issuer::new(params, key)))
}

/// A certificate that is good for one side alone, and its key.
fn signed(
    name: &str,
    usage: ExtendedKeyUsagePurpose,
    issuer: &Issuer<'_, KeyPair>,
    now: OffsetDateTime,
) -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = named(name, now);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key, issuer)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// 2048 bits, as `openvpn --genkey secret` makes them.
const STATIC_KEY_BYTES: usize = 256;

/// OpenVPN's form of a static key: 16 lines of 32 hexadecimal digits.
fn static_key(random: &[u8; STATIC_KEY_BYTES]) -> String {
    let mut text = "#\n# 2048 bit OpenVPN static key\n#\n".to_owned();
    text.push_str("-----BEGIN OpenVPN Static key V1-----\n");
    for line in random.chunks(16) {
        let digits: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        text.push_str(&digits.concat());
        text.push('\n');
    }
    text.push_str("-----END OpenVPN Static key V1-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-01-01 00:00 UTC);

    #[test]
    fn each_is_another_one_and_lasts() {
        let one = Pki::make("0d1b", NOW).unwrap();
        let other = Pki::make("0d1b", NOW).unwrap();
        assert!(one.ca_crt != other.ca_crt && one.ta_key != other.ta_key);
        assert!(one.clients_key != one.server_key);
        assert!(!one.is_about_to_end(NOW + Duration::days(3284)));
        assert!(one.is_about_to_end(NOW + Duration::days(3286)));
    }

    #[test]
    fn a_static_key_has_the_form_of_openvpn() {
        let mut bytes = [0; STATIC_KEY_BYTES];
        bytes[0] = 0xab;
        bytes[255] = 0x01;
        let text = static_key(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 21);
        assert_eq!(lines[4], "ab000000000000000000000000000000");
        assert_eq!(lines[19], "00000000000000000000000000000001");
        assert_eq!(lines[20], "-----END OpenVPN Static key V1-----");
    }
}
