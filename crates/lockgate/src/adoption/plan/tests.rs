use super::*;
use crate::environment::Gateway;
use crate::environment::tests::sample;
use crate::runtime::docker::found::Open;

const BUILD: &str = "0123456789ab";
const HOME: &str = "this-home";

fn env() -> EnvName {
    EnvName::parse("dev-001").unwrap()
}

fn id(number: u32) -> String {
    uuid::Uuid::from_u128(u128::from(number) + 1).to_string()
}

/// A container as the shell system made it, with the current build.
fn container(number: u32) -> Found {
    let (http, vpn) = (7100 + number, 49100 + number);
    let variables = [
        ("ENV_NAME", "dev-001".to_owned()),
        ("GATEWAY_HTTP_PORT", http.to_string()),
        ("GATEWAY_VPN_PORT", vpn.to_string()),
        ("GATEWAY_ID", id(number)),
        ("GATEWAY_TOKEN", format!("token-{number}")),
        ("GANYMEDE_FQDN", "ganymede.domain.local".to_owned()),
        ("DOMAIN", "domain.local".to_owned()),
        ("BUILD_SERVER_IP", "172.17.0.2".to_owned()),
        ("PATH", "/bin".to_owned()),
    ];
    let open = |port: u32| {
        vec![Open {
            ip: Some([127, 0, 0, 1].into()),
            port: u16::try_from(port).unwrap(),
        }]
    };
    Found {
        id: format!("container-{number}"),
        name: format!("gw-pool-dev-001-{number}"),
        place: Place::Gateway(number),
        image: "seed:1".into(),
        home: None,
        running: true,
        fleeting: false,
        restart: Restart {
            policy: "always".into(),
            retries: None,
        },
        variables: variables
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
        of_image: BTreeSet::new(),
        ports: [
            (format!("{http}/tcp"), open(http)),
            (format!("{vpn}/udp"), open(vpn)),
        ]
        .into(),
        network: "bridge".into(),
        mounts: Vec::new(),
        build_info: Some(format!("Build: {BUILD}\n")),
    }
}

/// A container with something else about it.
fn with(number: u32, change: impl FnOnce(&mut Found)) -> Found {
    let mut one = container(number);
    change(&mut one);
    one
}

fn set(name: &'static str, value: &'static str) -> impl FnOnce(&mut Found) {
    move |one| {
        one.variables.insert(name.to_owned(), value.to_owned());
    }
}

/// What is known beside the containers, with something else about it.
#[derive(Default)]
struct Given {
    only: BTreeSet<u32>,
    domain: Option<&'static str>,
    environment: Option<Environment>,
    taken: Taken,
    kept: AllKept,
    told: BTreeSet<u32>,
    sources: BTreeMap<String, Source>,
    nothing_packed: bool,
    lacks: Vec<String>,
}

impl Given {
    fn plan(&self, found: &[Found]) -> Result<Plan, Vec<String>> {
        let (env, build) = (env(), BuildId::parse(BUILD).unwrap());
        let asked = Asked {
            env: &env,
            only: &self.only,
            domain: self.domain,
        };
        let known = Known {
            environment: self.environment.as_ref(),
            home: HOME,
            taken: &self.taken,
            kept: &self.kept,
            told: &self.told,
            sources: &self.sources,
            build: (!self.nothing_packed).then_some(&build),
            publishes_all: false,
            network: "bridge",
            lacks: &self.lacks,
        };
        plan(asked, &known, found)
    }

    fn good(&self, found: &[Found]) -> Plan {
        self.plan(found).unwrap_or_else(|all| panic!("{all:?}"))
    }

    /// Each of these is among the problems, and there is no other.
    fn bad(&self, found: &[Found], expected: &[&str]) {
        let problems = self.plan(found).map(|_| ()).unwrap_err();
        for part in expected {
            assert!(
                problems.iter().any(|one| one.contains(part)),
                "`{part}` is missing in {problems:#?}"
            );
        }
        assert_eq!(problems.len(), expected.len(), "{problems:#?}");
        assert!(!format!("{problems:?}").contains("token-"), "{problems:?}");
    }
}

fn numbers(plan: &Plan) -> Vec<u32> {
    let gateways = plan.gateways.iter();
    gateways.map(|one| one.gateway.number()).collect()
}

#[test]
fn a_pool_is_adopted_with_its_names_ports_ids_and_tokens() {
    let plan = Given::default().good(&[container(0), container(2)]);
    assert_eq!(numbers(&plan), [0, 2]);
    assert_eq!(
        (plan.domain.as_str(), plan.ganymede),
        ("domain.local", None)
    );
    assert_eq!(plan.notes, Vec::<String>::new());
    let last = plan.gateways.last().unwrap();
    assert_eq!(last.name, "gw-pool-dev-001-2");
    assert_eq!(last.container, "container-2");
    assert_eq!(last.restart.policy, "always");
    let identity = &last.identity;
    assert_eq!((identity.http_port, identity.vpn_port), (7102, 49102));
    assert_eq!((&identity.id, identity.token.as_str()), (&id(2), "token-2"));
}

#[test]
fn only_what_is_named_is_read() {
    let broken = with(0, |one| one.variables.clear());
    let given = |only: &[u32]| Given {
        only: only.iter().copied().collect(),
        ..Given::default()
    };
    let plan = given(&[1]).good(&[broken.clone(), container(1)]);
    assert_eq!(numbers(&plan), [1]);
    given(&[7]).bad(
        &[container(1)],
        &["the engine has no container `gw-pool-dev-001-7`"],
    );
}

#[test]
fn every_problem_is_named_at_once() {
    let check = |one: Found, expected: &[&str]| Given::default().bad(&[one], expected);
    check(
        with(0, |one| one.variables.clear()),
        &[
            "has no `ENV_NAME`",
            "has no `GATEWAY_HTTP_PORT`",
            "has no `GATEWAY_VPN_PORT`",
            "has no `GATEWAY_ID`",
            "has no `GATEWAY_TOKEN`",
            "has no `GANYMEDE_FQDN`",
            "has no `DOMAIN`",
        ],
    );
    check(
        with(0, set("ENV_NAME", "dev-002")),
        &["`gw-pool-dev-001-0` has `ENV_NAME=dev-002`, not `dev-001`"],
    );
    check(with(0, set("GATEWAY_ID", "550e8400-x")), &["no UUID"]);
    check(with(0, set("GATEWAY_TOKEN", "a b")), &["white space"]);
    check(with(0, set("DOMAIN", "a_b")), &["no host name"]);
    check(with(0, set("GATEWAY_TOKEN", "")), &["no `GATEWAY_TOKEN`"]);
    for port in ["7200", "80", "x", "70000"] {
        check(with(0, set("GATEWAY_HTTP_PORT", port)), &["7100–7199"]);
    }
    check(with(0, set("GATEWAY_VPN_PORT", "1194")), &["49100–49199"]);
    let elsewhere = |one: &mut Found| {
        let open = one.ports.get_mut("7100/tcp").unwrap();
        open.first_mut().unwrap().port = 8080;
    };
    check(with(0, elsewhere), &["open as 8080 on the host"]);
    check(with(0, |one| one.fleeting = true), &["started with `--rm`"]);
    // Of several containers, and of the home and the engine, too.
    let given = Given {
        nothing_packed: true,
        lacks: vec!["no image `x`".to_owned()],
        taken: Taken {
            http: [(7102, EnvName::parse("dev-002").unwrap())].into(),
            ..Taken::default()
        },
        ..Given::default()
    };
    let found = [
        with(0, set("GATEWAY_ID", "x")),
        with(1, |one| {
            one.variables.remove("DOMAIN");
        }),
        container(2),
    ];
    given.bad(
        &found,
        &[
            "no image `x`",
            "`gw-pool-dev-001-0` has `GATEWAY_ID=x`",
            "`gw-pool-dev-001-1` has no `DOMAIN`",
            "`gw-pool-dev-001-2` has the HTTP port 7102, which is environment `dev-002`'s",
            "`lockgate pack dev-001`",
        ],
    );
}

#[test]
fn the_table_of_names_and_what_was_put_aside() {
    let ours = |number| with(number, |one| one.home = Some(HOME.to_owned()));
    let other = with(0, |one| one.home = Some("other-home".to_owned()));
    let aside = |number: u32| {
        with(number, |one| {
            one.name += ".before-lockgate";
            one.place = Place::Aside(number);
            one.running = false;
            one.restart = Restart::never();
        })
    };
    let given = Given::default();
    // A foreign one and none put aside.
    assert_eq!(numbers(&given.good(&[container(0)])), [0]);
    // One put aside alone: an adoption was interrupted, and its end is known from what was written.
    let mut kept = AllKept::default();
    kept.keep(
        0,
        crate::adoption::kept::Kept {
            id: "container-0".into(),
            image: "seed:1".into(),
            restart: container(0).restart,
            running: true,
            since: 0,
        },
    );
    let interrupted = Given {
        kept,
        ..Given::default()
    };
    // So is what was made in its place and never heard what to run, until it has.
    for found in [vec![aside(0)], vec![ours(0), aside(0)]] {
        let plan = interrupted.good(&found);
        let one = &plan.gateways[0];
        assert_eq!(one.container, "container-0");
        assert_eq!((one.running, one.restart.policy.as_str()), (true, "always"));
    }
    let told = Given {
        told: BTreeSet::from([0]),
        ..interrupted
    };
    assert_eq!(numbers(&told.good(&[ours(0), aside(0)])), [0; 0]);
    // Both.
    given.bad(
        &[container(0), aside(0)],
        &["`gw-pool-dev-001-0.before-lockgate` is in the way"],
    );
    // One of this home, whatever is put aside.
    for found in [vec![ours(0)], vec![ours(0), aside(0)]] {
        let plan = given.good(&found);
        assert_eq!(numbers(&plan), [0; 0]);
        assert_eq!(plan.notes, ["`gw-pool-dev-001-0` is Lockgate's already"]);
    }
    // One of another home.
    given.bad(&[other], &["belongs to the Lockgate home other-home"]);
    // None at all.
    given.bad(&[], &["none is named `gw-pool-dev-001-N`"]);
    // One with the label alone is nobody's gateway.
    let database = with(1, |one| {
        one.name = "postgres".into();
        one.place = Place::Other;
    });
    let plan = given.good(&[container(0), database]);
    assert_eq!(numbers(&plan), [0]);
    assert!(plan.notes[0].contains("`postgres` has the label"));
}

#[test]
fn a_build_that_a_container_never_had_is_not_tried_by_an_adoption() {
    let given = Given::default();
    let older = |one: &mut Found| one.build_info = Some("Build: ba9876543210\n".to_owned());
    given.bad(
        &[with(0, older)],
        &["has build `ba9876543210`, not `0123456789ab`, which it would get: `docker exec gw-pool"],
    );
    let own = |one: &mut Found| one.build_info = Some("Environment: dev-001\n".to_owned());
    given.bad(&[with(0, own)], &["that Lockgate did not pack"]);
    // One that does not run fetches it when it starts.
    given.good(&[with(0, |one| {
        one.running = false;
        one.build_info = None;
    })]);
}

#[test]
fn a_container_that_could_not_be_started_again_is_left_alone() {
    let with_source = |source| Given {
        sources: [("container-0".to_owned(), source)].into(),
        ..Given::default()
    };
    let url = || "http://172.17.0.2:8090/gateway-dev-001.tar.gz".to_owned();
    with_source(Source::Refuses(url(), 401)).bad(
        &[container(0)],
        &["answers 401: it could not be started again; `lockgate serve --allow-plain dev-001`"],
    );
    let notes = with_source(Source::Silent(url()))
        .good(&[container(0)])
        .notes;
    assert!(notes[0].contains("does not answer here"), "{notes:?}");
    let plan = with_source(Source::Gives).good(&[container(0)]);
    assert_eq!(plan.notes, Vec::<String>::new());
}

#[test]
fn what_two_of_them_have_is_told() {
    let found = [container(0), with(1, set("GATEWAY_HTTP_PORT", "7100"))];
    Given::default().bad(
        &found,
        &["`gw-pool-dev-001-0` and `gw-pool-dev-001-1` both have the HTTP port 7100"],
    );
}

#[test]
fn domain_and_api_are_those_of_all() {
    let found = [container(0), with(1, set("DOMAIN", "other.local"))];
    Given::default().bad(&found, &["DOMAIN: domain.local, other.local; `--domain`"]);
    let given = Given {
        domain: Some("third.local"),
        ..Given::default()
    };
    let plan = given.good(&found);
    assert_eq!(plan.domain, "third.local");
    assert_eq!(plan.ganymede.as_deref(), Some("ganymede.domain.local"));
    let found = [container(0), with(1, set("GANYMEDE_FQDN", "api.local"))];
    Given::default().bad(&found, &["do not agree on GANYMEDE_FQDN"]);
}

#[test]
fn an_environment_that_is_there_has_to_agree() {
    let there = |change: fn(&mut Environment)| {
        let mut environment = Environment {
            domain: "domain.local".to_owned(),
            runtime: RuntimeKind::Docker,
            gateways: vec![Gateway {
                number: 0,
                id: id(0),
                http_port: 7100,
                vpn_port: 49100,
                enabled: false,
                organization: None,
                pinned: None,
            }],
            ..sample("dev-001")
        };
        change(&mut environment);
        Given {
            environment: Some(environment),
            ..Given::default()
        }
    };
    let found = [container(0), container(1)];
    assert_eq!(numbers(&there(|_| {}).good(&found)), [0, 1]);
    there(|it| it.gateways[0].http_port = 7109).bad(&found, &["another id or other ports"]);
    there(|it| it.domain = "x.local".into()).bad(&found, &["the domain `x.local`"]);
    there(|it| it.deleting = true).bad(&found, &["not deleted to the end"]);
    there(|it| it.runtime = RuntimeKind::Local).bad(&found, &["not containers"]);
}

#[test]
fn what_will_be_otherwise_is_said_without_values() {
    let changed = |one: &mut Found| {
        let more = [
            ("NODE_ENV", "secret-1"),
            ("LANG", "C"),
            ("WORKSPACE", "/w"),
            ("LOG_FILE", "/tmp/gateway.log"),
            ("GATEWAY_ROOT", "/srv/gateway"),
        ];
        for (name, value) in more {
            one.variables.insert(name.to_owned(), value.to_owned());
        }
        one.of_image.insert("LANG".to_owned());
        one.mounts.push("/root/workspace".to_owned());
        one.network = "pool".to_owned();
        one.ports.get_mut("7100/tcp").unwrap()[0].ip = None;
        one.ports.insert("9229/tcp".to_owned(), Vec::new());
    };
    let found = [with(0, changed), with(1, set("NODE_ENV", "secret-2"))];
    let notes = Given::default().good(&found).notes;
    for expected in [
        "`gw-pool-dev-001-0`, `gw-pool-dev-001-1`: variables that are not taken over: NODE_ENV;",
        "`gw-pool-dev-001-0`: folders that a gateway will not have: /root/workspace",
        "`gw-pool-dev-001-0`: ports that a gateway does not open: 9229/tcp",
        "`gw-pool-dev-001-0`: variables that are always the same in a gateway: GATEWAY_ROOT",
        "open on all of this host's addresses",
        "in the network `pool` will be in `bridge`",
    ] {
        assert!(notes.iter().any(|one| one.contains(expected)), "{notes:#?}");
    }
    assert_eq!(notes.len(), 6);
    assert!(!format!("{notes:?}").contains("secret-"));
}
