//! Tables that change in any order of events.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const ENVIRONMENTS: [&str; 3] = ["a", "b", "c"];
const DOMAINS: [&str; 3] = ["b.localhost", "a.b.localhost", "d.test"];
const ORGANIZATIONS: [&str; 3] = [ONE, TWO, THREE];

fn names() -> impl Strategy<Value = EnvName> {
    prop::sample::select(&ENVIRONMENTS[..]).prop_map(|name| EnvName::parse(name).unwrap())
}

fn gateways() -> impl Strategy<Value = GatewayName> {
    (names(), 0..2u32).prop_map(|(env, number)| GatewayName::new(&env, number))
}

fn organizations() -> impl Strategy<Value = OrganizationId> {
    prop::sample::select(&ORGANIZATIONS[..]).prop_map(id)
}

fn sites() -> impl Strategy<Value = Option<Site>> {
    prop::option::of(prop::sample::select(&["/srv/one", "/srv/two"][..]))
        .prop_map(|site| site.map(|path| Site::parse(path).unwrap()))
}

fn known() -> impl Strategy<Value = FrontGateway> {
    let standing = prop_oneof![
        (0..3u64).prop_map(|life| Standing::At {
            address: ([127, 0, 0, 1], 7100).into(),
            life,
        }),
        Just(Standing::Starting),
        Just(Standing::Stopped("by hand".to_owned())),
    ];
    standing.prop_map(|standing| FrontGateway {
        standing,
        build: None,
    })
}

fn environments() -> impl Strategy<Value = FrontEnvironment> {
    let served = prop::collection::btree_map(organizations(), gateways(), 0..3);
    let domain = prop::sample::select(&DOMAINS[..]);
    (names(), 0..4u64, domain, sites(), sites(), served).prop_map(
        |(name, created_ms, domain, apex, ganymede, organizations)| FrontEnvironment {
            name,
            created_ms,
            domain: RouteName::parse(domain).unwrap(),
            apex,
            ganymede,
            organizations,
        },
    )
}

fn tables() -> impl Strategy<Value = FrontTable> {
    let known = prop::collection::btree_map(gateways(), known(), 0..4);
    (vec(environments(), 0..4), known)
        .prop_map(|(environments, gateways)| FrontTable::new(environments, gateways))
}

fn changes() -> impl Strategy<Value = FrontChange> {
    prop_oneof![
        environments().prop_map(FrontChange::Environment),
        names().prop_map(FrontChange::EnvironmentGone),
        (names(), organizations(), prop::option::of(gateways())).prop_map(
            |(environment, organization, gateway)| FrontChange::Organization {
                environment,
                organization,
                gateway,
            }
        ),
        (gateways(), prop::option::of(known()))
            .prop_map(|(gateway, known)| FrontChange::Gateway { gateway, known }),
    ]
}

/// Every name that any of these tables may serve, and some that none does.
fn hosts() -> Vec<String> {
    let mut hosts = Vec::new();
    for domain in DOMAINS {
        hosts.push(domain.to_owned());
        hosts.push(format!("ganymede.{domain}"));
        hosts.push(format!("www.{domain}"));
        for organization in ORGANIZATIONS {
            hosts.push(format!("org-{organization}.{domain}"));
            hosts.push(format!("uc-{ONE}--web.org-{organization}.{domain}"));
        }
    }
    hosts.push("localhost".to_owned());
    hosts
}

/// What a table is to do, told in another way: all pairs of environment and host.
fn expected(table: &FrontTable, host: &str) -> String {
    let below = |it: &&FrontEnvironment| {
        let domain = it.domain.as_str();
        host == domain || host.ends_with(&format!(".{domain}"))
    };
    let candidates: Vec<_> = table.environments().iter().filter(below).collect();
    let longest = candidates.iter().map(|it| it.domain.as_str().len()).max();
    let Some(longest) = longest else {
        return "no domain".to_owned();
    };
    let owners = candidates
        .iter()
        .filter(|it| it.domain.as_str().len() == longest);
    let owners: Vec<&&FrontEnvironment> = owners.collect();
    let first = owners
        .iter()
        .min_by_key(|it| (it.created_ms, &it.name))
        .unwrap();
    let domain = &first.domain;
    let shown = |site: &Option<Site>, name: &str| match site {
        Some(site) => site.to_string(),
        None => format!("no {name} of {}", first.name),
    };
    if host == domain.as_str() {
        return shown(&first.apex, "Apex");
    }
    if host == format!("ganymede.{domain}") {
        return shown(&first.ganymede, "Ganymede");
    }
    for organization in ORGANIZATIONS {
        let its = format!("org-{organization}.{domain}");
        if host == its || host == format!("uc-{ONE}--web.{its}") {
            let mut serving: Vec<_> = owners
                .iter()
                .filter(|it| it.organizations.contains_key(&id(organization)))
                .collect();
            serving.sort_by_key(|it| (it.created_ms, &it.name));
            return match serving.first() {
                Some(it) => it.organizations[&id(organization)].to_string(),
                None => format!("no gateway, ask {}", first.name),
            };
        }
    }
    format!("no name of {domain}")
}

proptest! {
    #[test]
    fn what_differs_applied_gives_the_new_table(old in tables(), new in tables()) {
        let changes = old.diff(&new);
        prop_assert_eq!(changes.is_empty(), old == new);
        let mut followed = old;
        for change in changes {
            followed.apply(change);
        }
        prop_assert_eq!(followed, new);
    }

    #[test]
    fn after_any_changes_a_table_is_as_if_made_at_once(
        start in tables(),
        changes in vec(changes(), 0..12),
    ) {
        let mut table = start;
        for change in changes {
            table.apply(change);
        }
        let mut environments = table.environments().to_vec();
        environments.reverse();
        let at_once = FrontTable::new(environments, table.gateways().clone());
        prop_assert_eq!(&table, &at_once);
        for host in hosts() {
            prop_assert_eq!(table.lookup(&host), at_once.lookup(&host));
            prop_assert_eq!(told(&table, &host), expected(&table, &host), "{}", host);
            let shouted = format!("{}.:443", host.to_uppercase());
            prop_assert_eq!(table.lookup(&shouted), table.lookup(&host));
        }
    }

    #[test]
    fn a_change_said_twice_is_made_once(start in tables(), change in changes()) {
        let mut table = start;
        table.apply(change.clone());
        let mut again = table.clone();
        again.apply(change);
        prop_assert_eq!(&again, &table);
    }

    #[test]
    fn any_text_can_be_asked_for_and_only_names_lead_to_gateways(
        table in tables(),
        host in "[-a-z0-9.:]{0,60}|\\PC{0,60}",
    ) {
        prop_assert_eq!(
            matches!(table.lookup(&host), Target::Gateway { .. }),
            false,
            "{}",
            host
        );
    }
}
