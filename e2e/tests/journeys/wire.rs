//! What the build server hands out, and to whom.

use std::fs;
use std::process::Command;

use lockgate_e2e::{World, request};

#[test]
fn curl_and_tar_still_work() {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    world.running("dev-001", &workspace);
    let script = format!(
        "curl -fsS http://127.0.0.1:{}/gateway-dev-001.tar.gz | tar tz",
        world.port
    );
    let output = Command::new("bash")
        .args(["-o", "pipefail", "-c", &script])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let list = String::from_utf8(output.stdout).unwrap();
    for path in [
        "gateway/BUILD_INFO.txt",
        "gateway/app-gateway/main.js",
        "gateway/app-gateway/main.js.map",
        "gateway/app/main.sh",
    ] {
        assert!(
            list.lines().any(|line| line == path),
            "{path} is missing in\n{list}"
        );
    }
}

#[test]
fn without_a_token_there_is_one_file_for_local_programs() {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    world.running("dev-001", &workspace);
    let tarball = "/gateway-dev-001.tar.gz";
    let check = |status: u16, method: &str, path: &str, header: Option<(&str, &str)>| {
        let headers: Vec<_> = header.into_iter().collect();
        let answer = request(world.port, method, path, None, &headers).expect("an answer");
        assert_eq!(
            answer.status,
            status,
            "{method} {path} {header:?}: {}",
            answer.text()
        );
        answer
    };

    assert!(
        check(200, "GET", tarball, None)
            .headers
            .contains_key("etag")
    );
    check(200, "HEAD", tarball, None);
    check(206, "GET", tarball, Some(("range", "bytes=0-99")));
    check(200, "GET", "/healthz", None);
    let elsewhere = [
        "/",
        "/builds/",
        "/dev-001/",
        "/dev-001/publications.jsonl",
        "/../key",
        "/%2e%2e/envs/dev-001/key",
        "/gateway-nope.tar.gz",
        "/.env",
    ];
    for path in elsewhere {
        check(404, "GET", path, None);
    }
    for method in ["POST", "PUT", "DELETE"] {
        check(405, method, tarball, None);
    }
    check(
        403,
        "GET",
        tarball,
        Some(("origin", "http://localhost:3000")),
    );
    check(403, "GET", tarball, Some(("sec-fetch-site", "same-site")));
    // As a rebound DNS name would ask.
    assert_eq!(
        curl_status(world.port, tarball, &["-H", "Host: builds.example.org"]),
        "403"
    );
}

#[test]
fn a_token_opens_its_own_gateway_and_environment_only() {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    world.running("dev-001", &workspace);
    world.create("dev-002", &workspace);
    let token = |env: &str, number: u32| {
        let path = world
            .home()
            .join(format!("envs/{env}/gateways/{number}/token"));
        fs::read_to_string(path).unwrap().trim().to_owned()
    };
    let (own, sibling, foreign) = (
        token("dev-001", 0),
        token("dev-001", 1),
        token("dev-002", 0),
    );
    let build = world.gateways("dev-001")[0]["running_build"]
        .as_str()
        .unwrap()
        .to_owned();
    let desired = "/v1/gateways/gw-pool-dev-001-0/desired?after=0&wait=0".to_owned();
    let manifest = format!("/v1/builds/dev-001/{build}/manifest.json");
    let archive = format!("/v1/builds/dev-001/{build}.tar");

    let cases = [
        (
            &desired,
            [None, Some(&own), Some(&sibling), Some(&foreign)],
            [401, 200, 403, 403],
        ),
        (
            &manifest,
            [None, Some(&own), Some(&sibling), Some(&foreign)],
            [401, 200, 200, 403],
        ),
        (
            &archive,
            [None, Some(&own), Some(&sibling), Some(&foreign)],
            [401, 200, 200, 403],
        ),
    ];
    for (path, tokens, statuses) in cases {
        for (token, status) in tokens.into_iter().zip(statuses) {
            let answer = request(world.port, "GET", path, token.map(String::as_str), &[]).unwrap();
            assert_eq!(answer.status, status, "{path}: {}", answer.text());
        }
    }
    let unknown = request(world.port, "GET", &desired, Some("not-a-token"), &[]).unwrap();
    assert_eq!(unknown.status, 401);
    let bearer = format!("Authorization: Bearer {own}");
    let too_new = ["-H", "Lockgate-Protocol: 99", "-H", &bearer];
    assert_eq!(curl_status(world.port, &desired, &too_new), "426");
}

/// Asks a server with a bridge address, in a network of its own, for two archives there and
/// for one on loopback.
const ON_A_BRIDGE: &str = r#"
ip link set lo up
ip link add bridge type veth peer name peer
ip addr add 10.77.0.1/24 dev bridge
ip link set bridge up
ip link set peer up
"$LOCKGATE" serve --detach --port 8090 --listen 10.77.0.1:8090 --allow-plain dev-001 >&2
code() { curl -s -o /dev/null -w '%{http_code} ' "http://$1:8090/gateway-$2.tar.gz"; }
code 10.77.0.1 dev-001
code 10.77.0.1 dev-002
code 127.0.0.1 dev-002
"$LOCKGATE" serve stop >&2
"#;

#[test]
fn a_bridge_hands_out_what_was_opened_and_nothing_else() {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    for env in ["dev-001", "dev-002"] {
        world.create(env, &workspace);
        world.lockgate(&["pack", env]).expect(0);
    }
    let program = world.program("lockgate");
    let mut inside = Command::new("unshare");
    inside.args([
        "--user",
        "--map-root-user",
        "--net",
        "bash",
        "-euc",
        ON_A_BRIDGE,
    ]);
    inside.env("LOCKGATE", program.get_program());
    inside.envs(
        program
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let output = inside.output().expect("`unshare` is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "200 401 200 ",
        "{said}"
    );
}

/// What `curl` with these arguments is answered, for headers that our own client sets itself.
fn curl_status(port: u16, path: &str, args: &[&str]) -> String {
    let url = format!("http://127.0.0.1:{port}{path}");
    let mut curl = Command::new("curl");
    curl.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", &url])
        .args(args);
    String::from_utf8(curl.output().unwrap().stdout).unwrap()
}
