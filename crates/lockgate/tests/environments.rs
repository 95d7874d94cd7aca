//! Environments as a user makes, sizes and ends them, before any gateway runs: ports, keys,
//! tokens, variables, registration. `SNAPSHOTS=overwrite` writes what is seen now.

#![expect(
    clippy::disallowed_methods,
    clippy::needless_raw_string_hashes,
    clippy::unwrap_used,
    reason = "a test starts the program it is about, and snapshots are written by a tool"
)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use snapbox::{assert_data_eq, str};
use tempfile::TempDir;

/// How a call ended.
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Homes and workspaces that share a folder for sockets.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("work")).unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path("work").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// The program with a home, in a workspace.
    fn program(&self, home: &str, workspace: &str) -> Command {
        let root = self.dir.path();
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockgate"));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LOCKGATE_HOME", root.join(home))
            .env("XDG_RUNTIME_DIR", root)
            .current_dir(root.join(workspace));
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with_input(arguments, "")
    }

    fn run_with_input(&self, arguments: &[&str], input: &str) -> Ran {
        let mut child = self
            .program("home", "work")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that reads nothing may have ended already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let root = self.dir.path().display().to_string();
        let plain = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&root, "[ROOT]");
        Ran {
            code: output.status.code(),
            stdout: plain(&output.stdout),
            stderr: plain(&output.stderr),
        }
    }

    /// A command that ends well, its output as JSON.
    fn json(&self, arguments: &[&str]) -> Value {
        let ran = self.run(&[arguments, &["--format", "json"]].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        serde_json::from_str(&ran.stdout).unwrap()
    }

    fn env_dir(&self) -> PathBuf {
        self.path("home/envs/dev-001")
    }
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn ten_environments_made_at_once_from_two_workspaces_share_no_port() {
    let place = Place::new();
    fs::create_dir(place.path("feature")).unwrap();
    let make = |number: u32| {
        // Of two homes, too: ports are one host's.
        let (home, workspace) = match number % 3 {
            0 => ("home", "work"),
            1 => ("home", "feature"),
            _ => ("other", "feature"),
        };
        place
            .program(home, workspace)
            .args(["create", &format!("dev-{number:03}"), "--format", "json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let children: Vec<_> = (0..10).map(make).collect();
    let mut seen: [Vec<Value>; 3] = Default::default();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let made: Value = serde_json::from_slice(&output.stdout).unwrap();
        for gateway in made["environment"]["gateways"].as_array().unwrap() {
            for (all, field) in seen.iter_mut().zip(["http_port", "vpn_port", "name"]) {
                all.push(gateway[field].clone());
            }
        }
    }
    for all in seen {
        let different: BTreeSet<String> = all.iter().map(ToString::to_string).collect();
        assert_eq!((all.len(), different.len()), (30, 30), "{all:?}");
    }
}

#[test]
fn the_keys_of_an_environment_are_its_own_and_stay() {
    let place = Place::new();
    place.json(&["create", "dev-001", "--gateways", "1"]);
    place.json(&["create", "dev-002", "--gateways", "1"]);
    let first = place.run(&["keys", "dev-001"]).stdout;
    assert_eq!(first, place.run(&["keys", "dev-001"]).stdout);
    let keys: Value = serde_json::from_str(&first).unwrap();
    let key = &keys["keys"][0];
    for (field, expected) in [
        ("kty", "EC"),
        ("crv", "P-256"),
        ("alg", "ES256"),
        ("use", "sig"),
    ] {
        assert_eq!(key[field], expected);
    }
    let told = place.json(&["keys", "dev-001"]);
    assert_eq!(told["issuer"], "lockgate:dev-001");
    assert_eq!(&told["keys"], &keys["keys"]);
    assert_ne!(place.json(&["keys", "dev-002"])["keys"], keys["keys"]);
    // What signs lies beside the environment, not in what the build server may open.
    assert_eq!(mode(&place.env_dir().join("token-key")), 0o600);
    let store = place.path("home/builds");
    let found = Command::new("/bin/grep")
        .args(["-rl", "PRIVATE KEY"])
        .arg(&store)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
}

#[test]
fn bundles_that_are_built_are_validated_and_the_environment_is_made_all_the_same() {
    let place = Place::new();
    let created = place.json(&["create", "dev-000", "--gateways", "1"]);
    assert_eq!(created["validation"], Value::Null);
    place.write(
        "dist/packages/app-gateway/main.js",
        "var e4 = require(\"react\");\n",
    );
    let ran = place.run(&["create", "dev-001", "--gateways", "1"]);
    assert_eq!(ran.code, Some(0));
    for part in [
        "dist/packages/app-gateway/main.js: Found 1 issue(s)",
        "a deploy of these bundles is refused",
        "Next: `lockgate serve --detach`",
    ] {
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
    let created = place.json(&["create", "dev-002", "--gateways", "1"]);
    assert_eq!(created["validation"]["clean"], false);
}

const REGISTER: &str = r#"#!/bin/sh
echo "registering $GATEWAY_NAME of $ENV_NAME at $GANYMEDE_FQDN"
[ "$GATEWAY_NAME" = "$REFUSED" ] && { echo "the platform is full" >&2; exit 7; }
echo "gateway_id: 550e8400-e29b-41d4-a716-44665544$GATEWAY_HTTP_PORT"
echo "token: platform.$GATEWAY_NAME.$GATEWAY_VPN_PORT"
"#;

#[test]
fn gateways_are_registered_by_the_workspaces_command_all_or_none() {
    let place = Place::new();
    let script = place.write("register.sh", REGISTER);
    fs::set_permissions(script, fs::Permissions::from_mode(0o755)).unwrap();
    place.write(
        "lockgate.toml",
        "[registration]\ncommand = ['./register.sh']\n",
    );
    let refused = place
        .program("home", "work")
        .args(["create", "dev-001", "dev.example", "--gateways", "2"])
        .env("REFUSED", "gw-pool-dev-001-1")
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let told = String::from_utf8_lossy(&refused.stderr);
    let id = told.split("nobody uses: ").nth(1).unwrap().trim();
    assert_data_eq!(
        told.replace(id, "[ID]"),
        str![[r#"
error: gateway `gw-pool-dev-001-1` was not registered
  caused by: `./register.sh` ended with exit status: 7; its last lines:
    registering gw-pool-dev-001-1 of dev-001 at ganymede.dev.example
    the platform is full
  hint: nothing was made
  hint: the platform knows gateways by now that nobody uses: [ID]

"#]]
    );
    assert_eq!(names(&place.path("home/envs")), BTreeSet::new());

    let made = place.json(&["create", "dev-001", "dev.example", "--gateways", "2"]);
    let ports = made["environment"]["gateways"].as_array().unwrap();
    for (number, ports) in ports.iter().enumerate() {
        let folder = place.env_dir().join(format!("gateways/{number}"));
        let path = folder.join("registered-token");
        let expected = format!("platform.gw-pool-dev-001-{number}.{}", ports["vpn_port"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        assert_eq!(mode(&path), 0o600);
        assert!(!folder.join("app-token").exists());
        let id = format!("-44665544{}", ports["http_port"]);
        let file = fs::read_to_string(place.env_dir().join("env.toml")).unwrap();
        assert!(file.contains(&id), "{file}");
    }
}

#[test]
fn an_environment_is_scaled_also_while_nothing_runs() {
    let place = Place::new();
    place.json(&["create", "dev-001", "--gateways", "2"]);
    let ran = place.run(&["scale", "dev-001", "4"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_data_eq!(
        ran.stderr,
        str![[r#"
✓ dev-001 has 4 gateways: gw-pool-dev-001-2, gw-pool-dev-001-3 are new

"#]]
    );
    let folders = || names(&place.env_dir().join("gateways")).len();
    let admitted = || names(&place.path("home/builds/dev-001/gateways")).len();
    assert_eq!((folders(), admitted()), (4, 4));
    let ran = place.run(&["scale", "dev-001", "1", "--format", "json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_data_eq!(
        ran.stdout,
        str![[r#"
{"event":"scaled","env":"dev-001","gateways":1,"added":[],"removed":["gw-pool-dev-001-3","gw-pool-dev-001-2","gw-pool-dev-001-1"],"left_behind":[]}
{"env":"dev-001","event":"result","gateways":[],"ok":true,"published":[]}

"#]]
    );
    assert_eq!((folders(), admitted()), (1, 1));
    let ran = place.run(&["scale", "dev-001", "0"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert_eq!(place.run(&["scale", "dev-009", "2"]).code, Some(1));
}

#[test]
fn variables_are_shown_by_name_and_digest_and_never_by_value() {
    let place = Place::new();
    place.json(&["create", "dev-001", "--gateways", "2"]);
    let ran = place.run_with_input(&["set", "dev-001", "A=hunter2", "B=-"], "hunter3\n");
    assert_eq!(ran.code, Some(0));
    assert_data_eq!(
        ran.stderr,
        str![[r#"
kept; nothing was deployed yet, so they take effect with `lockgate deploy dev-001`

"#]]
    );
    let file = place.write("secrets.env", "# some\nexport C='hunter 4'\n");
    let file = file.display().to_string();
    let ran = place.run(&[
        "set",
        "A=hunter2",
        "-e",
        "dev-001",
        "-g",
        "1",
        "--file",
        &file,
    ]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);

    let listed = place.run(&["set", "dev-001", "--list"]);
    let json = place.json(&["set", "dev-001", "--list"]);
    let shown: Vec<(&str, &str)> = (json["variables"].as_array().unwrap().iter())
        .map(|one| {
            let gateway = one["gateway"].as_str().unwrap_or("all");
            (one["name"].as_str().unwrap(), gateway)
        })
        .collect();
    let one = "gw-pool-dev-001-1";
    assert_eq!(shown, [("A", "all"), ("B", "all"), ("A", one), ("C", one)]);
    let digest = |number: usize| json["variables"][number]["digest"].as_str().unwrap();
    assert_eq!(digest(0), digest(2));
    assert_ne!(digest(0), digest(1));
    assert!(listed.stdout.contains(digest(1)), "{}", listed.stdout);
    let status = place.json(&["status", "dev-001"]);
    assert_eq!(status["environments"][0]["variables"], json["variables"]);

    let path = place.env_dir().join("variables.json");
    assert_eq!(mode(&path), 0o600);
    assert!(fs::read_to_string(&path).unwrap().contains("hunter 4"));
    for ran in [listed, place.run(&["status", "--format", "json"])] {
        assert!(!ran.stdout.contains("hunter") && !ran.stderr.contains("hunter"));
    }
    let ran = place.run(&["set", "dev-001", "--unset", "A", "--unset", "X"]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.stderr.contains("`X` was not set"), "{}", ran.stderr);
    let left = place.json(&["set", "dev-001", "--list"]);
    assert_eq!(left["variables"].as_array().unwrap().len(), 3);
}

#[test]
fn the_gateways_own_variables_are_not_to_be_set() {
    let place = Place::new();
    place.json(&["create", "dev-001", "--gateways", "1"]);
    let ran = place.run(&["set", "dev-001", "GATEWAY_TOKEN=hunter2"]);
    assert_eq!(ran.code, Some(2));
    assert_data_eq!(
        ran.stderr,
        str![[r#"
error: `GATEWAY_TOKEN` cannot be set
  caused by: it is part of what a gateway is made with, so Lockgate sets it

"#]]
    );
    let ran = place.run(&["set", "dev-001", "PATH=/opt/bin"]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.stderr.contains("warning: `PATH`: "), "{}", ran.stderr);
    let ran = place.run(&["set", "dev-001"]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.contains("nothing is to be set"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_deleted_environment_leaves_no_file_and_no_port() {
    let place = Place::new();
    let first = place.json(&["create", "dev-001", "--gateways", "2"]);
    place.run(&["set", "dev-001", "A=1"]);
    place.json(&["delete", "dev-001", "--yes"]);
    for folder in ["home/envs", "home/builds"] {
        let left = names(&place.path(folder));
        let ours = left.iter().filter(|name| name.contains("dev-001"));
        assert_eq!(ours.collect::<Vec<_>>(), Vec::<&String>::new(), "{folder}");
    }
    let again = place.json(&["create", "dev-001", "--gateways", "2"]);
    let ports = |made: &Value| made["environment"]["gateways"].clone();
    assert_eq!(ports(&first), ports(&again));
    let listed = place.json(&["set", "dev-001", "--list"]);
    assert_eq!(listed["variables"], Value::Array(Vec::new()));
}

#[test]
fn ctrl_c_during_a_registration_ends_its_command_and_makes_nothing() {
    let place = Place::new();
    let script = "echo $$ > started.new; mv started.new started; exec sleep 600";
    let settings = format!("[registration]\ncommand = ['sh', '-c', '{script}']\n");
    place.write("lockgate.toml", &settings);
    let mut create = place
        .program("home", "work")
        .args(["create", "dev-001"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let started = place.path("work/started");
    let command = until("the command runs", || fs::read_to_string(&started).ok());
    let pid = nix::unistd::Pid::from_raw(i32::try_from(create.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let ended = until("`create` ends", || create.try_wait().unwrap());
    assert_eq!(ended.code(), Some(130));
    assert_eq!(names(&place.path("home/envs")), BTreeSet::new());
    let stat = PathBuf::from(format!("/proc/{}/stat", command.trim()));
    until("the command has ended", || {
        match fs::read_to_string(&stat) {
            Ok(stat) => stat.contains(") Z ").then_some(()),
            Err(_) => Some(()),
        }
    });
}

/// Asks again and again until there is something, for half a minute at most.
fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "waited in vain until {what}"
        );
        std::thread::yield_now();
    }
}
