use super::*;
use crate::environment::RuntimeKind;
use crate::environment::create::{Wanted, create};
use crate::environment::docker::DockerSettings;
use crate::environment::tests::{home, sample};
use lockgate_model::VpnAllowance;

fn build(digit: char) -> BuildId {
    BuildId::parse(&digit.to_string().repeat(12)).unwrap()
}

fn statement(asked: &Asked<'_>, last: Option<&Statement>) -> Option<Statement> {
    statement_of(&sample("dev-001"), asked, last)
}

fn statement_of(
    environment: &Environment,
    asked: &Asked<'_>,
    last: Option<&Statement>,
) -> Option<Statement> {
    let stamp = Stamp {
        key_id: &KeyId::parse("0123456789abcdef").unwrap(),
        seq: last.map_or(1, |last| last.seq + 1),
        now_ms: 7,
    };
    let (build, manifest, settings, restart) = asks(asked, last, None)?;
    let what = (build, manifest, restart);
    let gateway = &environment.gateways[0];
    Some(say(
        environment,
        gateway,
        what,
        settings.clone(),
        &stamp,
        last,
    ))
}

fn run(digit: char, restart: bool, last: Option<&Statement>) -> Statement {
    let asked = Asked::Run {
        build: &build(digit),
        manifest: &Digest::from_bytes([0; 32]),
        settings: &AppSettings::default(),
        restart,
    };
    statement(&asked, last).unwrap()
}

#[test]
fn what_clients_may_reach_is_the_environment_s_of_today() {
    let first = run('a', false, None);
    assert_eq!(first.vpn_allow, []);
    let mut environment = sample("dev-001");
    environment.vpn.allow = vec![VpnAllowance::parse("5432/tcp").unwrap()];
    let again = Asked::Again { restart: false };
    let told = statement_of(&environment, &again, Some(&first)).unwrap();
    assert_eq!(told.vpn_allow, environment.vpn.allow);
    assert!(differs(&told, Some(&first)));
}

#[test]
fn the_build_before_is_remembered_over_repeated_deploys() {
    let first = run('a', false, None);
    assert_eq!((first.previous.clone(), first.restart), (None, 0));
    let second = run('b', false, Some(&first));
    assert_eq!(second.previous, Some(build('a')));
    let again = run('b', false, Some(&second));
    assert_eq!(again.previous, Some(build('a')));
    let back = run('a', false, Some(&again));
    assert_eq!(back.previous, Some(build('b')));
}

#[test]
fn the_same_build_again_is_a_new_number_and_no_change() {
    let first = run('a', false, None);
    assert!(differs(&first, None));
    let again = run('a', false, Some(&first));
    assert!(again.seq > first.seq);
    assert!(!differs(&again, Some(&first)));
    assert!(differs(&run('b', false, Some(&first)), Some(&first)));
}

#[test]
fn a_restart_counts_up_and_is_a_change() {
    let first = run('a', false, None);
    let second = run('a', true, Some(&first));
    assert_eq!(second.restart, 1);
    assert!(differs(&second, Some(&first)));
    let third = statement(&Asked::Again { restart: true }, Some(&second)).unwrap();
    assert_eq!((third.restart, &third.build), (2, &build('a')));
}

#[test]
fn a_gateway_that_was_told_nothing_is_told_nothing_again() {
    assert_eq!(statement(&Asked::Again { restart: true }, None), None);
}

fn made(folder: &std::path::Path) -> (Home, Store, Environment) {
    let home = home(folder);
    let store = Store::open(home.builds()).unwrap();
    let wanted = Wanted {
        name: EnvName::parse("dev-001").unwrap(),
        domain: None,
        workspace: folder.to_owned(),
        gateways: 2,
        runtime: RuntimeKind::Local,
        docker: DockerSettings::default(),
    };
    let environment = create(&home, &store, &wanted, 1).unwrap();
    (home, store, environment)
}

/// Signs for real, without a build in the store.
fn say_run(
    parts: &(Home, Store, Environment),
    gateways: &[u32],
    seq: u64,
    now_ms: u64,
) -> Result<Published, PublishError> {
    let (home, store, environment) = parts;
    let asked = Asked::Run {
        build: &build('a'),
        manifest: &Digest::from_bytes([0; 32]),
        settings: &AppSettings::default(),
        restart: false,
    };
    let gateways = selected(environment, gateways)?;
    Publisher::open(home, store, environment)?.say(&gateways, &asked, seq, now_ms)
}

fn publish_run(parts: &(Home, Store, Environment), now_ms: u64) -> Published {
    let (home, store, environment) = parts;
    let seq = number(home, store, environment, now_ms).unwrap();
    say_run(parts, &[0, 1], seq, now_ms).unwrap()
}

#[test]
fn numbers_grow_when_the_clock_is_set_back() {
    let folder = tempfile::tempdir().unwrap();
    let parts = made(folder.path());
    assert_eq!(publish_run(&parts, 1_000).seq, 1_000);
    assert_eq!(publish_run(&parts, 5).seq, 1_001);
    let (home, _, environment) = &parts;
    fs::remove_file(home.env_dir(&environment.name).join("seq")).unwrap();
    assert_eq!(publish_run(&parts, 5).seq, 1_002);
}

#[test]
fn gateways_of_one_publication_get_its_number_one_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let parts = made(folder.path());
    let (home, store, environment) = &parts;
    publish_run(&parts, 1_000);
    let held = |number| {
        let gateway = GatewayName::new(&environment.name, number);
        store.statement(&gateway).unwrap().unwrap().0
    };
    let seq = number(home, store, environment, 2_000).unwrap();
    say_run(&parts, &[0], seq, 2_000).unwrap();
    assert_eq!((held(0), held(1)), (2_000, 1_000));
    // Much later, and still the publication's own number.
    say_run(&parts, &[1], seq, 9_000).unwrap();
    assert_eq!((held(0), held(1)), (2_000, 2_000));
    // The next one is above all of them, whatever the clock says.
    assert_eq!(number(home, store, environment, 5).unwrap(), 2_001);
}

#[test]
fn a_number_below_a_gateways_own_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let parts = made(folder.path());
    let (home, store, environment) = &parts;
    let early = number(home, store, environment, 1_000).unwrap();
    publish_run(&parts, 2_000);
    let error = say_run(&parts, &[1], early, 3_000).unwrap_err();
    assert!(matches!(error, PublishError::Store { .. }), "{error}");
}

#[test]
fn what_is_stored_opens_with_the_environments_key() {
    let folder = tempfile::tempdir().unwrap();
    let parts = made(folder.path());
    let published = publish_run(&parts, 1_000);
    let (_, store, environment) = &parts;
    assert_eq!(published.gateways.len(), 2);
    let key = lockgate_builds::sign::PublicKey::parse(&environment.public_key).unwrap();
    for said in published.gateways {
        let (seq, signed) = store.statement(&said.gateway).unwrap().unwrap();
        let statement = key.open(&signed).unwrap();
        assert_eq!((seq, statement.seq), (1_000, 1_000));
        assert_eq!(statement.gateway, said.gateway);
        assert!(said.changed && !said.again && said.run && statement.run);
    }
    for said in publish_run(&parts, 2_000).gateways {
        assert!(!said.changed && said.again);
    }
}

#[test]
fn stop_and_start_publish_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let parts = made(folder.path());
    publish_run(&parts, 1_000);
    let (home, store, environment) = &parts;
    let one = GatewayName::new(&environment.name, 1);
    let mut environment = environment.clone();
    let before = store.statement(&one).unwrap();

    assert_eq!(
        environment.enable(home, Some(1), false).unwrap(),
        std::slice::from_ref(&one)
    );
    assert_eq!(environment.enable(home, Some(1), false).unwrap(), []);
    let stopped = Environment::load(home, &environment.name).unwrap();
    let flags: Vec<bool> = stopped.gateways.iter().map(|one| one.enabled).collect();
    assert_eq!(flags, [true, false]);
    assert_eq!(
        environment.enable(home, None, true).unwrap(),
        std::slice::from_ref(&one)
    );
    assert_eq!(store.statement(&one).unwrap(), before);
}

#[test]
fn a_build_that_is_not_stored_is_not_published() {
    let folder = tempfile::tempdir().unwrap();
    let (home, store, environment) = made(folder.path());
    let what = What::Run {
        build: build('a'),
        settings: Box::default(),
        restart: false,
    };
    let error = publish(&home, &store, &environment, &what, &[0], 1, 1).unwrap_err();
    assert!(
        matches!(error, PublishError::UnknownBuild { .. }),
        "{error}"
    );
    assert_eq!(
        store
            .statement(&GatewayName::new(&environment.name, 0))
            .unwrap(),
        None
    );
}
