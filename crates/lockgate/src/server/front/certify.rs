//! The certificates of all names that are served.

use std::collections::BTreeSet;
use std::sync::Arc;

use lockgate_model::{FrontTable, ORGANIZATION_PREFIX};
use lockgate_route::{Certificate, Certificates};
use time::OffsetDateTime;

use crate::certificates::{Authority, CertificateError, keep};
use crate::home::Home;

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub(super) enum CertifyError {
    /// One cannot be made or kept.
    #[error(transparent)]
    Make(#[from] CertificateError),
    /// One cannot be shown.
    #[error(transparent)]
    Show(#[from] lockgate_route::CertificateError),
}

impl CertifyError {
    /// The error and its causes on one line.
    pub(super) fn in_one_line(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }
}

/// The names of each certificate, with the environment that keeps it: a wildcard stands for one
/// label, so user containers' names need one below each organization.
fn names(table: &FrontTable) -> Vec<(lockgate_model::EnvName, Vec<String>)> {
    let mut domains = BTreeSet::new();
    let mut all = Vec::new();
    for environment in table.environments() {
        let domain = &environment.domain;
        if domains.insert(domain) {
            let names = vec![domain.to_string(), format!("*.{domain}")];
            all.push((environment.name.clone(), names));
        }
        for organization in environment.organizations.keys() {
            let below = format!("*.{ORGANIZATION_PREFIX}{organization}.{domain}");
            all.push((environment.name.clone(), vec![below]));
        }
    }
    all
}

/// Reads them from their files, and signs anew what is missing or about to end.
pub(super) fn of(
    home: &Home,
    caller: &str,
    table: &FrontTable,
    now: OffsetDateTime,
) -> Result<Certificates, CertifyError> {
    let wanted = names(table);
    // A home that serves no names has no authority that somebody could be asked to trust.
    if wanted.is_empty() {
        return Ok(Certificates::default());
    }
    let authority = Authority::of_home(home, caller, now)?;
    let mut certificates = Vec::new();
    for (env, names) in wanted {
        let leaf = keep(&home.env_dir(&env).join("tls"), &authority, &names, now)?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (chain, key) = (leaf.chain.as_bytes(), leaf.key.as_bytes());
        certificates.push(Arc::new(Certificate::from_pem(&names, chain, key)?));
    }
    Ok(Certificates::new(certificates))
}

#[cfg(test)]
mod tests {
    use lockgate_model::{EnvName, FrontEnvironment, OrganizationId, RouteName};

    use super::*;

    #[test]
    fn each_level_below_a_domain_has_a_certificate_and_a_domain_has_one() {
        let environment = |name: &str, organization: Option<&str>| FrontEnvironment {
            name: EnvName::parse(name).unwrap(),
            created_ms: 1,
            domain: RouteName::parse("dev.localhost").unwrap(),
            apex: None,
            ganymede: None,
            organizations: organization
                .map(|uuid| {
                    let gateway =
                        lockgate_model::GatewayName::new(&EnvName::parse(name).unwrap(), 0);
                    (OrganizationId::parse(uuid).unwrap(), gateway)
                })
                .into_iter()
                .collect(),
        };
        let uuid = "0d1b3c5e-0000-4000-8000-00000000000a";
        let table = FrontTable::new([environment("a", None), environment("b", Some(uuid))], []);
        let found: Vec<_> = names(&table).into_iter().map(|(_, names)| names).collect();
        assert_eq!(
            found,
            [
                vec!["dev.localhost".to_owned(), "*.dev.localhost".to_owned()],
                vec![format!("*.org-{uuid}.dev.localhost")],
            ]
        );
    }
}
