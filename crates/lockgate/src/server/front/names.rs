//! Which names a certificate is needed for, and who has it.

use std::collections::BTreeSet;

use lockgate_model::{EnvName, FrontEnvironment, FrontTable, ORGANIZATION_PREFIX};

/// How a name for a whole level begins.
const LEVEL: &str = "*.";

/// The names of one certificate, with the environment that keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) env: EnvName,
    pub(super) names: Vec<String>,
}

/// What is needed: a wildcard stands for one label, so user containers' names need one below each
/// organization.
pub(super) fn wanted(table: &FrontTable) -> Vec<Wanted> {
    let mut domains = BTreeSet::new();
    let mut all = Vec::new();
    for environment in table.environments() {
        let env = &environment.name;
        if domains.insert(&environment.domain) {
            all.push(Wanted {
                env: env.clone(),
                names: of_domain(environment),
            });
        }
        all.extend(of_organizations(environment).map(|name| Wanted {
            env: env.clone(),
            names: vec![name],
        }));
    }
    all
}

fn of_domain(environment: &FrontEnvironment) -> Vec<String> {
    let domain = &environment.domain;
    vec![domain.to_string(), format!("{LEVEL}{domain}")]
}

fn of_organizations(environment: &FrontEnvironment) -> impl Iterator<Item = String> {
    let domain = &environment.domain;
    let ids = environment.organizations.keys();
    ids.map(move |id| format!("{LEVEL}{ORGANIZATION_PREFIX}{id}.{domain}"))
}

/// The names for which an environment's own certificate is shown: those of its domain that it is
/// for, word for word, and those that are needed and one of its wildcards stands for.
pub(super) fn shown(environment: &FrontEnvironment, certificate: &[String]) -> Vec<String> {
    let domain = environment.domain.as_str();
    let below = format!(".{domain}");
    let is_its = |name: &&String| {
        let plain = name.strip_prefix(LEVEL).unwrap_or(name);
        (plain == domain || plain.ends_with(&below)) && !plain.contains('*')
    };
    let certificate: Vec<String> = certificate
        .iter()
        .map(|it| it.to_ascii_lowercase())
        .collect();
    let mut names: BTreeSet<String> = certificate.iter().filter(is_its).cloned().collect();
    let needed = of_domain(environment).into_iter();
    let needed = needed.chain(of_organizations(environment));
    names.extend(needed.filter(|name| covers(&certificate, name)));
    names.into_iter().collect()
}

/// Whether a certificate for these names is one for this name.
pub(super) fn covers(names: &[String], name: &str) -> bool {
    let level = name
        .split_once('.')
        .filter(|(label, _)| *label != "*")
        .map(|(_, above)| format!("{LEVEL}{above}"));
    names
        .iter()
        .any(|it| it == name || level.as_ref() == Some(it))
}

#[cfg(test)]
mod tests {
    use lockgate_model::{GatewayName, OrganizationId, RouteName};

    use super::*;

    const ID: &str = "0d1b3c5e-0000-4000-8000-00000000000a";

    fn environment(name: &str, organization: Option<&str>) -> FrontEnvironment {
        let env = EnvName::parse(name).unwrap();
        let serves = |uuid| {
            let gateway = GatewayName::new(&env, 0);
            (OrganizationId::parse(uuid).unwrap(), gateway)
        };
        FrontEnvironment {
            created_ms: 1,
            domain: RouteName::parse("dev.localhost").unwrap(),
            apex: None,
            ganymede: None,
            organizations: organization.map(serves).into_iter().collect(),
            name: env,
        }
    }

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_level_below_a_domain_has_a_certificate_and_a_domain_has_one() {
        let table = FrontTable::new([environment("a", None), environment("b", Some(ID))], []);
        let found: Vec<_> = wanted(&table)
            .into_iter()
            .map(|it| (it.env.to_string(), it.names))
            .collect();
        let below = format!("*.org-{ID}.dev.localhost");
        assert_eq!(
            found,
            [
                ("a".into(), owned(&["dev.localhost", "*.dev.localhost"])),
                ("b".into(), vec![below]),
            ]
        );
    }

    #[test]
    fn a_given_certificate_is_shown_for_names_of_its_domain_alone() {
        let check = |given: &[&str], expected: &[&str]| {
            let found = shown(&environment("a", Some(ID)), &owned(given));
            assert_eq!(found, expected, "{given:?}");
        };
        let both = ["*.dev.localhost", "dev.localhost"];
        check(&both, &both);
        check(&["*.Dev.localhost"], &["*.dev.localhost"]);
        check(&["*.localhost"], &["dev.localhost"]);
        check(&["x.dev.localhost"], &["x.dev.localhost"]);
        let containers = format!("*.org-{ID}.dev.localhost");
        check(&[&containers], &[&containers]);
        check(&["other.test", "xdev.localhost", "*.xdev.localhost"], &[]);
        check(&["f*.dev.localhost", "*"], &[]);
        check(&[], &[]);
    }

    #[test]
    fn a_wildcard_stands_for_one_label() {
        let check = |names: &[&str], name, expected| {
            assert_eq!(covers(&owned(names), name), expected, "{names:?} {name}");
        };
        check(&["*.a.test"], "b.a.test", true);
        check(&["*.a.test"], "*.a.test", true);
        check(&["*.a.test"], "a.test", false);
        check(&["*.a.test"], "c.b.a.test", false);
        check(&["*.a.test"], "*.b.a.test", false);
        check(&["*.test"], "*.a.test", false);
        check(&["a.test"], "*.a.test", false);
    }
}
