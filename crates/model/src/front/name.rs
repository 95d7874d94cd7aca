//! What a name below an environment's domain means.
//!
//! ```text
//! {domain}                                   apex
//! ganymede.{domain}                          the platform's API
//! org-{uuid}.{domain}                        an organization
//! uc-{uuid}.org-{uuid}.{domain}              a user container of one
//! uc-{uuid}--{service}.org-{uuid}.{domain}   a service of that container
//! ```

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::NameError;
use crate::routes::CONTAINER_PREFIX;

/// How organizations' names begin: `org-{uuid}.{domain}`.
pub const ORGANIZATION_PREFIX: &str = "org-";

/// The name of the platform's API: `ganymede.{domain}`.
pub const GANYMEDE: &str = "ganymede";

/// What stands between a user container's UUID and its service.
const SERVICE_MARK: &str = "--";

/// The lengths of a UUID's five groups.
const UUID_GROUPS: [usize; 5] = [8, 4, 4, 4, 12];

/// An organization of the platform: a UUID, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct OrganizationId(String);

impl OrganizationId {
    /// Reads a UUID in any case: five groups of 8, 4, 4, 4 and 12 hex digits.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if is_uuid(text) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(NameError {
                text: text.to_owned(),
                what: "an organization",
                rule: "a UUID, five groups of 8, 4, 4, 4 and 12 hex digits",
            })
        }
    }

    /// The UUID as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OrganizationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for OrganizationId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for OrganizationId {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<OrganizationId> for String {
    fn from(id: OrganizationId) -> Self {
        id.0
    }
}

/// What a name means, its domain left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    Apex,
    Ganymede,
    /// An organization, or one of its user containers.
    Organization(OrganizationId),
}

/// What that means which stands before a domain: nothing, or labels with a dot behind each.
/// `None` where it is no name that is served.
pub(super) fn meaning(before: &str) -> Option<Meaning> {
    if before.is_empty() {
        return Some(Meaning::Apex);
    }
    let before = before.strip_suffix('.')?;
    if before == GANYMEDE {
        return Some(Meaning::Ganymede);
    }
    let (container, organization) = match before.split_once('.') {
        Some((container, organization)) => (Some(container), organization),
        None => (None, before),
    };
    if !container.is_none_or(is_container) {
        return None;
    }
    let id = organization.strip_prefix(ORGANIZATION_PREFIX)?;
    OrganizationId::parse(id).ok().map(Meaning::Organization)
}

/// Whether a label is `uc-{uuid}` or `uc-{uuid}--{service}`.
fn is_container(label: &str) -> bool {
    let Some(rest) = label.strip_prefix(CONTAINER_PREFIX) else {
        return false;
    };
    match rest.split_once(SERVICE_MARK) {
        Some((id, service)) => is_uuid(id) && is_service(service),
        None => is_uuid(rest),
    }
}

fn is_service(text: &str) -> bool {
    !text.is_empty()
        && !text.ends_with('-')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn is_uuid(text: &str) -> bool {
    let mut groups = text.split('-');
    let all_fit = UUID_GROUPS.iter().all(|length| {
        groups.next().is_some_and(|group| {
            group.len() == *length && group.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    });
    all_fit && groups.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "550e8400-e29b-41d4-a716-446655440000";

    fn check(before: &str, expected: bool) {
        let found = meaning(&format!("{before}."));
        let is_organization =
            matches!(&found, Some(Meaning::Organization(id)) if id.as_str() == ID);
        assert_eq!(is_organization, expected, "{before}: {found:?}");
    }

    #[test]
    fn names_of_organizations_and_their_containers_are_told_by_their_uuids() {
        for good in [
            format!("org-{ID}"),
            format!("uc-{ID}.org-{ID}"),
            format!("uc-{ID}--web.org-{ID}"),
            format!("uc-{ID}--a-b_c--1.org-{ID}"),
        ] {
            check(&good, true);
        }
        for bad in [
            "org-".to_owned(),
            "org-1".to_owned(),
            ID.to_owned(),
            format!("org-{ID}0"),
            format!("org-{}", ID.replace('-', "")),
            format!("org-{}", ID.replace('5', "g")),
            format!("org-{ID}-"),
            format!("x.org-{ID}"),
            format!("uc-1.org-{ID}"),
            format!("uc-{ID}--.org-{ID}"),
            format!("uc-{ID}-web.org-{ID}"),
            format!("uc-{ID}.uc-{ID}.org-{ID}"),
            format!("uc-{ID}"),
            format!("org-{ID}.uc-{ID}"),
            format!(".org-{ID}"),
        ] {
            check(&bad, false);
        }
    }

    #[test]
    fn the_two_sites_have_names_of_their_own() {
        assert_eq!(meaning(""), Some(Meaning::Apex));
        assert_eq!(meaning("ganymede."), Some(Meaning::Ganymede));
        for bad in [".", "..", "www.", "x.ganymede.", "ganymede.x.", "ganymede"] {
            assert_eq!(meaning(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_organization_has_one_spelling() {
        let shouted = OrganizationId::parse(&ID.to_uppercase()).unwrap();
        assert_eq!(shouted.as_str(), ID);
        let error = OrganizationId::parse("org-1").unwrap_err().to_string();
        assert!(
            error.starts_with("`org-1` is not an organization: a UUID"),
            "{error}"
        );
    }
}
