//! What the build server hands out, and to whom.

use std::fs;
use std::process::Command;

use lockgate_e2e::{World, get, request};

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
fn everything_else_is_refused() {
    let world = World::new();
    let workspace = world.workspace("monorepo");
    world.running("dev-001", &workspace);
    let other = world.workspace("other");
    world.create("dev-002", &other);
    world.deploy("dev-002").expect(0);

    let tarball = "/gateway-dev-001.tar.gz";
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
    let desired = "/v1/gateways/gw-pool-dev-001-0/desired?after=0&wait=0";
    let build = world.gateways("dev-001")[0]["running_build"]
        .as_str()
        .unwrap()
        .to_owned();
    let manifest = format!("/v1/builds/dev-001/{build}/manifest.json");
    let archive = format!("/v1/builds/dev-001/{build}.tar");
    let v1 = ("lockgate-protocol", "1");
    let check =
        |status: u16, method: &str, path: &str, token: Option<&str>, headers: &[(&str, &str)]| {
            let answer = request(world.port, method, path, token, headers).expect("an answer");
            let said =
                String::from_utf8_lossy(&answer.body[..answer.body.len().min(200)]).into_owned();
            assert_eq!(answer.status, status, "{method} {path} {headers:?}: {said}");
        };

    check(200, "GET", tarball, None, &[]);
    check(200, "HEAD", tarball, None, &[]);
    check(206, "GET", tarball, None, &[("range", "bytes=0-99")]);
    check(200, "GET", "/healthz", None, &[]);
    for path in [
        "/",
        "/builds/",
        "/dev-001/",
        "/dev-001/publications.jsonl",
        "/../key",
        "/%2e%2e/envs/dev-001/key",
        "/gateway-nope.tar.gz",
        "/.env",
    ] {
        check(404, "GET", path, None, &[]);
    }
    for method in ["POST", "PUT", "DELETE"] {
        check(405, method, tarball, None, &[]);
    }
    assert_eq!(
        status_with_host(world.port, tarball, "builds.example.org"),
        "403"
    );
    check(
        403,
        "GET",
        tarball,
        None,
        &[("origin", "http://localhost:3000")],
    );
    check(
        403,
        "GET",
        tarball,
        None,
        &[("sec-fetch-site", "same-site")],
    );

    check(401, "GET", desired, None, &[v1]);
    check(200, "GET", desired, Some(&own), &[v1]);
    check(403, "GET", desired, Some(&sibling), &[v1]);
    check(403, "GET", desired, Some(&foreign), &[v1]);
    for path in [&manifest, &archive] {
        check(401, "GET", path, None, &[v1]);
        check(200, "GET", path, Some(&own), &[v1]);
        check(403, "GET", path, Some(&foreign), &[v1]);
    }
    check(401, "GET", desired, Some("not-a-token"), &[v1]);
    check(
        426,
        "GET",
        desired,
        Some(&own),
        &[("lockgate-protocol", "99")],
    );
    assert!(
        get(world.port, "/gateway-dev-001.tar.gz")
            .unwrap()
            .headers
            .contains_key("etag")
    );
}

/// What `curl` is answered when it asks under another name, as a rebound DNS name would.
fn status_with_host(port: u16, path: &str, host: &str) -> String {
    let url = format!("http://127.0.0.1:{port}{path}");
    let header = format!("Host: {host}");
    let args = [
        "-s",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "-H",
        &header,
        &url,
    ];
    let output = Command::new("curl").args(args).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}
