//! Builds that fail in every way a build can: the one before serves, the deploy says why.

use std::fs;
use std::path::PathBuf;

use lockgate_e2e::World;
use serde_json::Value;

/// An application that answers with its version.
const GOOD: &str = "
const server = require('http').createServer((request, response) => {
  response.end(JSON.stringify({ version: '1.0.0' }));
});
server.listen(8888, '127.0.0.1');
";

/// Limits that let every case fail soon, and one that exits after ten seconds fail at all.
const LIMITS: &str = "[app.limits]\nready = '3s'\ntrial = '15s'\n";

/// A way to fail.
struct Case {
    env: &'static str,
    bundle: String,
    /// Why the agent refuses it.
    reason: &'static str,
    /// What is among the last lines.
    says: &'static str,
    /// Whether the old process never noticed anything.
    untouched: bool,
}

fn cases() -> Vec<Case> {
    let exits = |ms: u32| {
        format!(
            "{GOOD} server.on('listening', () => setTimeout(() => {{
               console.error('lost the database'); process.exit(7);
             }}, {ms}));"
        )
    };
    let case = |env, bundle: &str, reason, says, untouched| Case {
        env,
        bundle: bundle.to_owned(),
        reason,
        says,
        untouched,
    };
    vec![
        case(
            "throws",
            "throw new Error('no such table: rooms');",
            "exited with code 1 before it listened, 3 times",
            "no such table: rooms",
            true,
        ),
        case(
            "hangs",
            "console.log('loading for ever'); for (;;) {}",
            "did not listen within 3s",
            "loading for ever",
            true,
        ),
        case(
            "two",
            &exits(2_000),
            "exited with code 7, 3 times",
            "lost the database",
            false,
        ),
        case(
            "five",
            &exits(5_000),
            "exited with code 7, 3 times",
            "lost the database",
            false,
        ),
        case(
            "ten",
            &exits(10_000),
            "exited with code 7, 3 times",
            "lost the database",
            false,
        ),
        case(
            "answers-500",
            &GOOD.replace(
                "response.end",
                "console.log('it is broken'); response.statusCode = 500; response.end",
            ),
            "was not ready within 3s: `GET /` was answered 500 Internal Server Error",
            "it is broken",
            false,
        ),
        case(
            "never-ready",
            "require('http').createServer(() => console.log('somebody asks')).listen(8888);",
            "was not ready within 3s: `GET /` was not answered within 2s",
            "somebody asks",
            false,
        ),
    ]
}

struct Environment {
    case: Case,
    bundle: PathBuf,
    port: u16,
    good: Value,
}

impl Environment {
    /// One gateway that runs the good build.
    fn new(world: &World, case: Case) -> Self {
        let root = world.dir().join(case.env);
        let bundle = root.join("dist/packages/app-gateway/main.js");
        fs::create_dir_all(bundle.parent().unwrap()).unwrap();
        fs::write(root.join("lockgate.toml"), LIMITS).unwrap();
        fs::write(&bundle, GOOD).unwrap();
        let (domain, root) = (
            format!("{}.localhost", case.env),
            root.display().to_string(),
        );
        world
            .lockgate(&["create", case.env, &domain, &root, "--gateways", "1"])
            .expect(0);
        world.deploy(case.env).expect(0);
        let good = world.gateways(case.env).remove(0);
        Self {
            bundle,
            port: world.ports(case.env).remove(0),
            good,
            case,
        }
    }

    fn expect_good(&self, world: &World) {
        let answer = lockgate_e2e::get(self.port, "/").expect("an answer");
        assert!(answer.text().contains("1.0.0"), "{}", answer.text());
        let now = world.gateways(self.case.env).remove(0);
        assert_eq!(now.get("state"), Some(&"refused".into()), "{now}");
        let same = |name| assert_eq!(now.get(name), self.good.get(name), "{now}");
        same("running_build");
        if self.case.untouched {
            same("pid");
        }
    }
}

#[test]
fn every_way_to_fail_leaves_the_build_before_serving() {
    let world = World::new();
    world.serve();
    let environments: Vec<Environment> = cases()
        .into_iter()
        .map(|case| Environment::new(&world, case))
        .collect();
    let deploying: Vec<_> = environments
        .iter()
        .map(|it| {
            fs::write(&it.bundle, &it.case.bundle).unwrap();
            world.start(it.case.env, &["deploy", it.case.env])
        })
        .collect();
    for (environment, mut deploy) in environments.iter().zip(deploying) {
        let Case {
            env, reason, says, ..
        } = environment.case;
        let code = deploy.wait().unwrap().code();
        let written = world.written(env);
        assert_eq!(code, Some(1), "{env}:\n{written}");
        for text in [reason, says, "kept its old build"] {
            assert!(written.contains(text), "{env}, `{text}`:\n{written}");
        }
        assert_eq!(
            written.contains("nothing answered for"),
            !environment.case.untouched,
            "{env}:\n{written}"
        );
        environment.expect_good(&world);
        let because = format!("because it {reason}, runs ");
        world
            .lockgate(&["status", env])
            .expect(0)
            .says("refused ")
            .says(&because);
    }
    // New agents know what was refused, and try nothing again.
    for environment in &environments {
        let env = environment.case.env;
        world.lockgate(&["stop", env]).expect(0);
        world.lockgate(&["start", env]).expect(0);
    }
    for environment in &environments {
        let env = environment.case.env;
        let ready = ["wait", env, "--for", "ready", "--timeout", "30s"];
        world.lockgate(&ready).expect(0);
        let now = world.gateways(env).remove(0);
        assert_eq!(now["running_build"], environment.good["running_build"]);
        assert_eq!(now["state"], "refused", "{now}");
        let reason = now["refused"]["reason"].as_str();
        assert_eq!(reason, Some(environment.case.reason));
    }
}
