//! The table of what an environment gives and what is said of it.

use super::*;
use lockgate_builds::client::Endpoint;
use lockgate_builds::sign::SigningKey;

const HOST: &str = "gw-pool-dev-001-2";

fn good() -> BTreeMap<String, String> {
    let key = SigningKey::generate().unwrap().public().to_line();
    [
        (var::ENV_NAME, "dev-001"),
        (var::GATEWAY_HTTP_PORT, "7100"),
        (var::GATEWAY_VPN_PORT, "49100"),
        (var::GATEWAY_ID, "550e8400-e29b-41d4-a716-446655440000"),
        (var::GATEWAY_TOKEN, "a.b.c"),
        (var::GANYMEDE_FQDN, "ganymede.domain.local"),
        (var::DOMAIN, "domain.local"),
        (var::LOCKGATE_SERVER, "http://127.0.0.1:8090"),
        (var::LOCKGATE_KEY, &key),
        (var::LOCKGATE_TOKEN_FILE, "/run/token"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// A token file that is as it should be, whatever its path.
fn token(path: &Path) -> Result<Token, String> {
    if path.is_absolute() {
        Ok(Token {
            text: "t0ken".to_owned(),
            open_mode: None,
        })
    } else {
        Err("names nothing".to_owned())
    }
}

/// Reads a good environment with these variables changed or (empty) taken away.
fn read_with(changes: &[(&str, &str)]) -> Result<Config, Vec<Problem>> {
    let mut vars = good();
    for (name, value) in changes {
        vars.insert((*name).to_owned(), (*value).to_owned());
    }
    read(&vars, HOST, &token)
}

/// The problems, one line each.
fn check(changes: &[(&str, &str)], expected: &[&str]) {
    let problems = read_with(changes).map_or_else(|problems| problems, |_| Vec::new());
    let said: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), expected.len(), "{said:?}");
    for (said, expected) in said.iter().zip(expected) {
        assert!(said.starts_with(expected), "{said} ≠ {expected}");
    }
}

#[test]
fn the_required_variables_are_enough() {
    let config = read_with(&[]).ok().unwrap();
    assert_eq!(config.gateway.as_str(), HOST);
    assert_eq!(config.door, ([0, 0, 0, 0], 7100).into());
    assert_eq!(config.gateway_root, Path::new("/opt/gateway"));
    assert_eq!(config.releases, Path::new("/opt/lockgate/releases"));
    assert_eq!(config.state(), Path::new("/opt/lockgate"));
    assert_eq!(config.log_file, Path::new("/tmp/gateway.log"));
    assert_eq!(config.socket, Path::new("/run/lockgate/agent.sock"));
    assert_eq!(config.app_address, None);
    assert_eq!(config.driver, Driver::Embedded);
    assert_eq!(config.forwarded, ForwardedHeaders::Append);
    assert_eq!(config.door_in_vpn, Some(([0, 0, 0, 0], 80).into()));
    assert!(config.warnings.is_empty());
}

#[test]
fn everything_that_is_missing_is_said_at_once() {
    let problems = read(&BTreeMap::new(), "box", &token).err().unwrap();
    let names: Vec<_> = problems
        .iter()
        .map(|problem| problem.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            var::ENV_NAME,
            var::LOCKGATE_GATEWAY,
            var::GATEWAY_HTTP_PORT,
            var::GATEWAY_VPN_PORT,
            var::GATEWAY_ID,
            var::GATEWAY_TOKEN,
            var::GANYMEDE_FQDN,
            var::DOMAIN,
            var::LOCKGATE_KEY,
            var::LOCKGATE_TOKEN_FILE,
        ]
    );
}

#[test]
fn malformed_values_are_named() {
    check(
        &[(var::ENV_NAME, "Dev")],
        &["`ENV_NAME` is not usable: `Dev`"],
    );
    check(
        &[(var::GATEWAY_HTTP_PORT, "71OO")],
        &["`GATEWAY_HTTP_PORT` is `71OO`"],
    );
    check(&[(var::DOMAIN, "https://x")], &["`DOMAIN` is `https://x`"]);
    check(
        &[(var::GATEWAY_ROOT, "opt/gateway")],
        &["`GATEWAY_ROOT` is `opt/gateway`"],
    );
    check(
        &[(var::LOCKGATE_KEY, "nokey")],
        &["`LOCKGATE_KEY` is not usable"],
    );
    check(
        &[(var::LOCKGATE_SERVER, "ftp://x")],
        &["`LOCKGATE_SERVER` is not usable"],
    );
    check(
        &[(var::LOCKGATE_DOOR_IP, "localhost")],
        &["`LOCKGATE_DOOR_IP` is `localhost`"],
    );
    check(
        &[(var::LOCKGATE_DOOR, "apache")],
        &["`LOCKGATE_DOOR` is `apache`, not `embedded` or `nginx`"],
    );
    check(
        &[(var::LOCKGATE_DOOR_FORWARDED, "trust")],
        &["`LOCKGATE_DOOR_FORWARDED` is `trust`, not `append` or `replace`"],
    );
    check(
        &[(var::LOCKGATE_APP_ADDRESS, "8888")],
        &["`LOCKGATE_APP_ADDRESS` is `8888`"],
    );
    let long = format!("/{}", "x".repeat(107));
    check(
        &[(var::LOCKGATE_SOCKET, &long)],
        &["`LOCKGATE_SOCKET` has 108 bytes"],
    );
}

#[test]
fn json_with_lost_quotes_is_found_and_not_shown() {
    check(
        &[("OIDC_CLIENT", "{client: s3cret}"), ("LIST", "[1,")],
        &["`LIST` starts like JSON", "`OIDC_CLIENT` starts like JSON"],
    );
    let problems = read_with(&[("OIDC_CLIENT", "{client: s3cret}")])
        .err()
        .unwrap();
    assert!(!problems[0].to_string().contains("s3cret"));
    check(
        &[
            ("PS1", "[\\u@\\h]"),
            ("LISTEN", "[::1]:80"),
            ("OIDC_CLIENT", r#"{"client": 1}"#),
        ],
        &[],
    );
}

#[test]
fn a_gateway_of_another_environment_is_refused() {
    check(
        &[(var::LOCKGATE_GATEWAY, "gw-pool-dev-002-0")],
        &["`LOCKGATE_GATEWAY` or the host name says `gw-pool-dev-002-0`"],
    );
    let config = read_with(&[(var::LOCKGATE_GATEWAY, "gw-pool-dev-001-7")])
        .ok()
        .unwrap();
    assert_eq!(config.gateway.number(), 7);
}

#[test]
fn a_door_of_its_own_address_has_no_second_port() {
    for changes in [
        [
            (var::LOCKGATE_DOOR_IP, "127.0.0.1"),
            (var::LOCKGATE_DOOR, "nginx"),
        ],
        [
            (var::GATEWAY_HTTP_PORT, "80"),
            (var::LOCKGATE_DOOR, "nginx"),
        ],
    ] {
        let config = read_with(&changes).ok().unwrap();
        assert_eq!(config.door_in_vpn, None, "{changes:?}");
        assert_eq!(config.driver, Driver::Nginx);
    }
}

#[test]
fn a_door_that_everybody_reaches_can_be_told_to_believe_nobody() {
    for (text, expected) in [
        ("", ForwardedHeaders::Append),
        ("append", ForwardedHeaders::Append),
        ("replace", ForwardedHeaders::Replace),
    ] {
        let config = read_with(&[(var::LOCKGATE_DOOR_FORWARDED, text)])
            .ok()
            .unwrap();
        assert_eq!(config.forwarded, expected, "{text}");
    }
}

#[test]
fn servers_are_tried_in_the_order_given() {
    let servers = |changes: &[_]| read_with(changes).ok().unwrap().servers;
    let tcp = |host: &str, port| Endpoint::Tcp {
        host: host.to_owned(),
        port,
    };
    assert_eq!(
        servers(&[
            (var::LOCKGATE_SERVER, "http://a:1, http://b:2"),
            (var::BUILD_SERVER_IP, "172.17.0.2"),
        ])
        .endpoints(),
        [tcp("a", 1), tcp("b", 2), tcp("172.17.0.2", 8090)]
    );
    assert_eq!(
        servers(&[
            (var::LOCKGATE_SERVER, ""),
            (var::LOCKGATE_SERVERS_FILE, "/etc/lockgate/servers"),
            (var::BUILD_SERVER_PORT, "9"),
        ]),
        Servers {
            file: Some("/etc/lockgate/servers".into()),
            given: Vec::new(),
            port: 9,
        }
    );
}

#[test]
fn what_is_no_longer_used_is_a_warning() {
    let config = read_with(&[("SERVER_BIND", "0.0.0.0"), ("WORKSPACE", "/w")])
        .ok()
        .unwrap();
    assert_eq!(config.warnings.len(), 2);
    assert!(config.warnings[0].starts_with("`SERVER_BIND` is set but no longer used"));
}

#[test]
fn a_token_that_others_can_read_is_a_warning_and_a_missing_one_a_problem() {
    let open = |_: &Path| {
        Ok(Token {
            text: "t0ken".to_owned(),
            open_mode: Some(0o644),
        })
    };
    let config = read(&good(), HOST, &open).ok().unwrap();
    assert!(
        config.warnings[0].contains("mode 0644"),
        "{:?}",
        config.warnings
    );
    assert!(!config.warnings[0].contains("t0ken"));

    let gone = |path: &Path| read_token(&path.join("nowhere"));
    let problems = read(&good(), HOST, &gone).err().unwrap();
    assert!(
        problems[0]
            .to_string()
            .starts_with("`LOCKGATE_TOKEN_FILE` names `/run/token/nowhere`")
    );
}

#[test]
fn nothing_of_the_agent_lies_below_the_root_that_it_moves() {
    let said = "`GATEWAY_ROOT` is `/opt/lockgate`, and ";
    check(
        &[(var::GATEWAY_ROOT, "/opt/lockgate")],
        &[&format!("{said}`/opt/lockgate/releases` lies there")],
    );
    let log = (var::LOG_FILE, "/opt/gateway/app/gateway.log");
    check(&[log], &["`GATEWAY_ROOT` is `/opt/gateway`, and"]);
    let beside = (var::LOG_FILE, "/opt/gateway.log");
    check(&[beside], &[]);
}
