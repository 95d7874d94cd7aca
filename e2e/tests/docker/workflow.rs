//! The shell system's document line by line: its development workflow, its diagnostic commands, its
//! troubleshooting. What is said to `docker` and `curl` is said as it stands there; a script of the
//! host has its command.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use lockgate_e2e::{Ran, World};

use crate::{settings, small, until_version};

/// A line as somebody types it, in a shell of the host.
#[expect(
    clippy::disallowed_methods,
    reason = "journeys start programs; these are a person's own"
)]
fn typed(line: &str) -> Ran {
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Types it, and fails unless it shows all of these.
#[track_caller]
fn shows(line: &str, expected: &[&str]) {
    let ran = typed(line);
    assert_eq!(ran.code, 0, "{line}\n{}{}", ran.stdout, ran.stderr);
    for part in expected {
        assert!(
            ran.stdout.contains(part) || ran.stderr.contains(part),
            "`{line}` does not show `{part}`:\n{}{}",
            ran.stdout,
            ran.stderr
        );
    }
}

/// An environment whose build command sets the version, as an edit and a build do.
fn edited(world: &World) -> lockgate_e2e::Workspace {
    let workspace = small(world, "monorepo");
    settings(
        &workspace,
        "trial = '1s'\n[build]\ncommand = './build.sh'\n",
    );
    let script = workspace.path.join("build.sh");
    let text =
        "#!/bin/sh\nexec sed -i 's/\"1.0.0\"/\"2.0.0\"/' dist/packages/app-gateway/main.js\n";
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    workspace
}

#[test]
fn the_development_workflow_is_one_command() {
    let world = World::with_engine();
    let workspace = edited(&world);
    world.running("dev-001", &workspace);
    world.expect_version("dev-001", "1.0.0");
    // npx nx build app-gateway
    // ./scripts/local-dev/envctl.sh restart dev-001 gateway
    let restarted = world.lockgate(&["restart", "dev-001", "gateway"]);
    restarted
        .expect(0)
        .says("building: ./build.sh")
        .says("validated 1 bundle")
        .says("packed build")
        .says("published to 3 gateways")
        .says("ready on all 3");
    world.expect_version("dev-001", "2.0.0");
    // Again, with nothing changed: every application is a new process all the same.
    let pids = || -> Vec<_> {
        (world.answers("dev-001").iter())
            .map(|it| it["pid"].clone())
            .collect()
    };
    let before = pids();
    world.lockgate(&["restart", "dev-001", "gateway"]).expect(0);
    for (before, now) in before.iter().zip(pids()) {
        assert_ne!(*before, now);
    }

    // ./scripts/local-dev/pack-gateway-build.sh dev-001, and the manual ways to reload.
    workspace.set_version("3.0.0");
    let packed = world.lockgate(&["pack", "dev-001"]);
    packed
        .expect(0)
        .says("✅ Build packed: gateway-dev-001.tar.gz (")
        .says("Location: ")
        .says("📦 Package contents:")
        .says("app-gateway/main.js (")
        .says("app/bin/ (")
        .says("app/lib/ (")
        .says("app/main.sh (")
        .says("app/config.conf (")
        .says("📊 Served at:")
        .says("/gateway-dev-001.tar.gz");
    // A gateway follows what was published to it, and that is still the build before.
    shows(
        "docker exec gw-pool-dev-001-0 /opt/gateway/app/lib/reload-gateway.sh",
        &[],
    );
    world.expect_version("dev-001", "2.0.0");
    world.deploy("dev-001").expect(0);
    shows(
        r#"for container in $(docker ps -q --filter "label=environment=dev-001"); do
docker exec $container /opt/gateway/app/lib/reload-gateway.sh
done"#,
        &[],
    );
    until_version(&world, "dev-001", "3.0.0");
}

#[test]
fn every_diagnostic_command_shows_what_it_showed() {
    let world = World::with_engine();
    let workspace = small(&world, "monorepo");
    world.running("dev-001", &workspace);
    let port = world.ports("dev-001")[0];
    assert_eq!(port, 7100, "somebody else has 7100");

    shows(
        "docker exec gw-pool-dev-001-0 cat /etc/nginx/conf.d/reverse-proxy.conf",
        &["listen 0.0.0.0:7100", "listen 0.0.0.0:80", "proxy_pass"],
    );
    shows(
        "docker exec gw-pool-dev-001-0 ss -tlnp | grep LISTEN",
        &["0.0.0.0:7100", "0.0.0.0:80", "127.0.0.1:8888"],
    );
    shows(
        "docker exec gw-pool-dev-001-0 cat /tmp/gateway.log",
        &["gateway listens on 8888"],
    );
    shows(
        r#"docker exec gw-pool-dev-001-0 ps aux | grep -E "nginx|openvpn|node""#,
        &["nginx: master process", "node", "main.js"],
    );
    shows(
        r#"docker ps --filter "label=environment=dev-001""#,
        &[
            "gw-pool-dev-001-0",
            "gw-pool-dev-001-1",
            "gw-pool-dev-001-2",
        ],
    );
    shows(
        "docker logs gw-pool-dev-001-0",
        &["agent starts", "gateway listens on 8888"],
    );
    shows(
        "docker exec gw-pool-dev-001-0 cat /opt/gateway/BUILD_INFO.txt",
        &[
            "Environment: dev-001",
            "Built: ",
            "Workspace: ",
            "Node Version: ",
        ],
    );
    shows(
        "docker exec gw-pool-dev-001-0 ls /opt/gateway/app-gateway /opt/gateway/app",
        &[
            "main.js",
            "main.js.map",
            "bin",
            "lib",
            "main.sh",
            "config.conf",
        ],
    );
    shows(
        "docker exec gw-pool-dev-001-0 printenv GATEWAY_HTTP_PORT GATEWAY_VPN_PORT",
        &["7100", "49100"],
    );
}

#[test]
fn every_question_to_the_host_has_its_command() {
    let world = World::with_engine();
    let workspace = small(&world, "monorepo");
    world.running("dev-001", &workspace);
    // curl -I http://172.17.0.2:8090/gateway-dev-001.tar.gz
    shows(
        &format!(
            "curl -sS -I http://127.0.0.1:{}/gateway-dev-001.tar.gz",
            world.port
        ),
        &["200 OK", "application/gzip", "etag"],
    );
    // ls -lh /root/.local-dev-builds/gateway-dev-001.tar.gz
    let builds = world.home().join("builds");
    shows(
        &format!("ls -lh {}/gateway-dev-001.tar.gz", builds.display()),
        &["gateway-dev-001.tar.gz"],
    );
    // ps aux | grep "python.*http.server.*8090"
    let status = world.lockgate(&["serve", "status"]);
    status
        .expect(0)
        .says(&format!("http://127.0.0.1:{}", world.port));
    // ./scripts/validate-node-bundles.sh, node scripts/analyze-bundle.js FILE
    let validate = |args: &[&str]| {
        let mut lockgate = world.program("lockgate");
        let output = lockgate
            .current_dir(&workspace.path)
            .arg("validate")
            .args(args);
        let output = output.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.code(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    };
    let (code, said) = validate(&[]);
    assert_eq!(code, Some(0), "{said}");
    workspace.prepend("var react = require(\"react\");");
    let bundle = "dist/packages/app-gateway/main.js";
    let (code, said) = validate(&[bundle]);
    assert_eq!(code, Some(1), "{said}");
    for part in [bundle, "react", "require(\"react\")"] {
        assert!(said.contains(part), "{said}");
    }
}
