use lockgate_model::Digest;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::environment::tests::home;

fn wanted(name: &str, workspace: &Path) -> Wanted {
    Wanted {
        name: EnvName::parse(name).unwrap(),
        domain: None,
        workspace: workspace.to_owned(),
        gateways: 2,
        runtime: RuntimeKind::Local,
        docker: DockerSettings::default(),
    }
}

#[test]
fn an_environment_has_key_tokens_and_ports_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(folder.path());
    let store = Store::open(home.builds()).unwrap();
    let one = create(&home, &store, &wanted("dev-001", folder.path()), 1).unwrap();
    let two = create(&home, &store, &wanted("dev-002", folder.path()), 1).unwrap();
    assert_eq!(one.domain, "dev-001.localhost");
    assert_eq!(Environment::load(&home, &one.name).unwrap(), one);
    let all = || one.gateways.iter().chain(&two.gateways);
    let ports: std::collections::BTreeSet<_> =
        all().flat_map(|g| [g.http_port, g.vpn_port]).collect();
    assert_eq!(ports.len(), 8);

    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&home.env_dir(&one.name)), 0o700);
    for gateway in &one.gateways {
        let name = one.gateway_name(gateway);
        let path = home.gateway_dir(&name).join(TOKEN);
        let token = fs::read(&path).unwrap();
        assert_eq!(token.len(), 64);
        assert_eq!(mode(&path), 0o600);
        let app_token = home.gateway_dir(&name).join("app-token");
        assert!(fs::read(&app_token).unwrap().starts_with(b"eyJ"));
        assert_eq!(mode(&app_token), 0o600);
        let digest = Digest::from_bytes(Sha256::digest(&token).into());
        assert_eq!(store.token_digest(&name).unwrap(), Some(digest));
    }
    assert_eq!(mode(&home.env_dir(&one.name).join(TOKEN_KEY)), 0o600);
    let key = SigningKey::load(&home.env_dir(&one.name).join(KEY)).unwrap();
    assert_eq!(key.public().to_line(), one.public_key);
}

#[test]
fn a_name_is_given_once() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(folder.path());
    let store = Store::open(home.builds()).unwrap();
    let wanted = wanted("dev-001", folder.path());
    let first = create(&home, &store, &wanted, 1).unwrap();
    let error = create(&home, &store, &wanted, 2).unwrap_err();
    assert!(matches!(error, CreateError::Exists { .. }), "{error}");
    assert_eq!(Environment::load(&home, &first.name).unwrap(), first);
}

#[test]
fn what_cannot_be_made_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(folder.path());
    let store = Store::open(home.builds()).unwrap();
    let good = wanted("dev-001", folder.path());
    let check = |wanted: Wanted, part: &str| {
        let error = create(&home, &store, &wanted, 1).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
        assert_eq!(fs::read_dir(home.envs_dir()).unwrap().count(), 0);
    };
    let base = || good.clone();
    check(
        Wanted {
            gateways: 0,
            ..base()
        },
        "not 0",
    );
    check(
        Wanted {
            gateways: 101,
            ..base()
        },
        "not 101",
    );
    check(
        Wanted {
            domain: Some("a b".into()),
            ..base()
        },
        "`a b`",
    );
    check(
        Wanted {
            workspace: "/no/where".into(),
            ..base()
        },
        "/no/where",
    );
}

#[test]
fn domains_are_host_names() {
    for good in ["domain.local", "localhost", "a-b.c1"] {
        assert!(is_domain(good), "{good}");
    }
    for bad in [
        "",
        ".",
        "a.",
        ".a",
        "A",
        "a_b",
        "-a",
        "a-",
        "a b",
        &"x".repeat(64),
    ] {
        assert!(!is_domain(bad), "{bad}");
    }
}
