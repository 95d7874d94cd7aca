//! A server's certificate, signed by the authority.

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use time::{Duration, OffsetDateTime};

use super::{Authority, CertificateError};

/// How long a server's certificate is valid: browsers refuse more than 398 days, and ours are made
/// anew by themselves.
const VALID: Duration = Duration::days(90);
/// One with less left is made anew: a server that runs for a month without a look at it is rare.
pub(super) const RENEWED: Duration = Duration::days(30);
/// How much earlier it begins, for clocks of containers and clients that are behind.
const EARLIER: Duration = Duration::hours(24);

/// A certificate with its chain and its key, both PEM. It has no `Debug`: the key is a secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// The certificate, then those that lead to the authority.
    pub(crate) chain: String,
    /// Its private key.
    pub(crate) key: String,
    /// The names it is for.
    pub(crate) names: Vec<String>,
    /// When it ends.
    pub(crate) not_after: OffsetDateTime,
}

/// When what is made now begins.
pub(super) fn since(now: OffsetDateTime) -> OffsetDateTime {
    now - EARLIER
}

/// Signs a certificate for these names, the first of which is its title.
pub(super) fn issue(
    authority: &Authority,
    names: &[String],
    now: OffsetDateTime,
) -> Result<Leaf, CertificateError> {
    let failed = |source| CertificateError::Make {
        names: names.join(", "),
        source,
    };
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::new(names.to_vec()).map_err(failed)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    // 64 characters are the most that a common name may have; who looks reads the names.
    params
        .distinguished_name
        .push(DnType::CommonName, "Lockgate front door");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = since(now);
    // Never longer than the authority: what it signed is worth nothing afterwards.
    params.not_after = (now + VALID).min(authority.seen.not_after);
    let not_after = params.not_after;
    let certificate = params.signed_by(&key, &authority.issuer).map_err(failed)?;
    Ok(Leaf {
        chain: certificate.pem(),
        key: key.serialize_pem(),
        names: names.to_vec(),
        not_after,
    })
}
