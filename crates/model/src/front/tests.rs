use super::*;

mod changes;

const ONE: &str = "550e8400-e29b-41d4-a716-446655440000";
const TWO: &str = "650e8400-e29b-41d4-a716-446655440000";
const THREE: &str = "750e8400-e29b-41d4-a716-446655440000";

fn id(text: &str) -> OrganizationId {
    OrganizationId::parse(text).unwrap()
}

fn gateway(text: &str) -> GatewayName {
    GatewayName::parse(text).unwrap()
}

fn environment(
    name: &str,
    created_ms: u64,
    domain: &str,
    served: &[(&str, &str)],
) -> FrontEnvironment {
    FrontEnvironment {
        name: EnvName::parse(name).unwrap(),
        created_ms,
        domain: RouteName::parse(domain).unwrap(),
        apex: None,
        ganymede: None,
        organizations: served
            .iter()
            .map(|(organization, name)| (id(organization), gateway(name)))
            .collect(),
    }
}

/// Where a host leads, in a few words.
fn told(table: &FrontTable, host: &str) -> String {
    match table.lookup(host) {
        Target::Gateway { gateway, .. } => gateway.to_string(),
        Target::Site(site) => site.to_string(),
        Target::Nobody(Nobody::Domain) => "no domain".to_owned(),
        Target::Nobody(Nobody::Name(domain)) => format!("no name of {domain}"),
        Target::Nobody(Nobody::Organization { environment, .. }) => {
            format!("no gateway, ask {environment}")
        }
        Target::Nobody(Nobody::Site { site, environment }) => {
            format!("no {site:?} of {environment}")
        }
    }
}

fn check(table: &FrontTable, host: &str, expected: &str) {
    assert_eq!(told(table, host), expected, "{host}");
}

#[test]
fn names_of_an_organization_lead_to_its_gateway() {
    let one = environment("dev", 1, "dev.localhost", &[(ONE, "gw-pool-dev-0")]);
    let table = FrontTable::new([one], []);
    let loud = ONE.to_uppercase();
    for host in [
        format!("org-{ONE}.dev.localhost"),
        format!("ORG-{loud}.Dev.LocalHost"),
        format!("org-{ONE}.dev.localhost:8443"),
        format!("org-{ONE}.dev.localhost."),
        format!("org-{ONE}.dev.localhost.:443"),
        format!("uc-{TWO}.org-{ONE}.dev.localhost"),
        format!("uc-{TWO}--web.org-{ONE}.dev.localhost"),
        format!("UC-{TWO}--Web.Org-{loud}.dev.localhost.:1"),
    ] {
        check(&table, &host, "gw-pool-dev-0");
    }
    for (host, expected) in [
        (format!("org-{TWO}.dev.localhost"), "no gateway, ask dev"),
        (
            format!("uc-{ONE}.org-{TWO}.dev.localhost"),
            "no gateway, ask dev",
        ),
        (format!("org-{ONE}.localhost"), "no domain"),
        (format!("org-{ONE}.devv.localhost"), "no domain"),
        (format!("org-{ONE}.xdev.localhost"), "no domain"),
        (
            format!("x.org-{ONE}.dev.localhost"),
            "no name of dev.localhost",
        ),
        (format!("org-{ONE}-dev.localhost"), "no domain"),
        ("www.dev.localhost".into(), "no name of dev.localhost"),
        (".dev.localhost".into(), "no name of dev.localhost"),
        ("dev.localhost..".into(), "no domain"),
        ("dev.localhost".into(), "no Apex of dev"),
        ("ganymede.dev.localhost".into(), "no Ganymede of dev"),
        (String::new(), "no domain"),
        (".".into(), "no domain"),
        ("[::1]:80".into(), "no domain"),
        ("127.0.0.1".into(), "no domain"),
        ("dev.localhost:80:80".into(), "no domain"),
    ] {
        check(&table, &host, expected);
    }
}

#[test]
fn a_gateway_comes_with_what_is_known_of_it() {
    let name = gateway("gw-pool-dev-0");
    let known = FrontGateway {
        standing: Standing::At {
            address: ([127, 0, 0, 1], 7100).into(),
            life: 3,
        },
        build: Some(BuildId::parse("0123456789ab").unwrap()),
    };
    let served = [(ONE, "gw-pool-dev-0"), (TWO, "gw-pool-dev-1")];
    let table = FrontTable::new(
        [environment("dev", 1, "d.test", &served)],
        [(name.clone(), known.clone())],
    );
    assert_eq!(
        table.lookup(&format!("org-{ONE}.d.test")),
        Target::Gateway {
            gateway: &name,
            known: Some(&known),
        }
    );
    assert_eq!(
        table.lookup(&format!("org-{TWO}.d.test")),
        Target::Gateway {
            gateway: &gateway("gw-pool-dev-1"),
            known: None,
        }
    );
}

#[test]
fn two_environments_on_a_domain_share_organizations_and_the_first_has_the_sites() {
    let mut second = environment("a", 2, "dev.test", &[(TWO, "gw-pool-a-0")]);
    second.apex = Some(Site::parse("http://127.0.0.1:2").unwrap());
    let both = [(ONE, "gw-pool-b-0"), (TWO, "gw-pool-b-1")];
    let mut first = environment("b", 1, "dev.test", &both);
    first.ganymede = Some(Site::parse("http://127.0.0.1:1").unwrap());
    second
        .organizations
        .insert(id(THREE), gateway("gw-pool-a-1"));
    for order in [
        [first.clone(), second.clone()],
        [second.clone(), first.clone()],
    ] {
        let table = FrontTable::new(order, []);
        check(&table, &format!("org-{ONE}.dev.test"), "gw-pool-b-0");
        // Where both serve one organization, the first does.
        check(&table, &format!("org-{TWO}.dev.test"), "gw-pool-b-1");
        check(&table, &format!("org-{THREE}.dev.test"), "gw-pool-a-1");
        check(&table, "ganymede.dev.test", "http://127.0.0.1:1");
        check(&table, "dev.test", "no Apex of b");
        let domain = RouteName::parse("dev.test").unwrap();
        assert_eq!(table.first_on(&domain).unwrap().name.as_str(), "b");
    }
}

#[test]
fn of_two_domains_the_longer_one_counts() {
    let mut outer = environment("outer", 1, "b.localhost", &[(ONE, "gw-pool-outer-0")]);
    outer.apex = Some(Site::parse("/srv/outer").unwrap());
    outer.ganymede = Some(Site::parse("/srv/platform").unwrap());
    let mut inner = environment("inner", 2, "a.b.localhost", &[(ONE, "gw-pool-inner-0")]);
    inner.apex = Some(Site::parse("/srv/inner").unwrap());
    let table = FrontTable::new([outer, inner], []);
    for (host, expected) in [
        (format!("org-{ONE}.b.localhost"), "gw-pool-outer-0"),
        (format!("org-{ONE}.a.b.localhost"), "gw-pool-inner-0"),
        ("b.localhost".into(), "/srv/outer"),
        ("a.b.localhost".into(), "/srv/inner"),
        ("ganymede.b.localhost".into(), "/srv/platform"),
        ("ganymede.a.b.localhost".into(), "no Ganymede of inner"),
        ("x.a.b.localhost".into(), "no name of a.b.localhost"),
        ("aa.b.localhost".into(), "no name of b.localhost"),
    ] {
        check(&table, &host, expected);
    }
}
