//! What a user sees of `lockgate` before any gateway runs: help, usage errors,
//! configuration errors, validation. `SNAPSHOTS=overwrite` writes what is seen now.

#![expect(
    clippy::needless_raw_string_hashes,
    reason = "snapshots are written by a tool that always adds them"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

use snapbox::{assert_data_eq, str};
use tempfile::TempDir;

/// How a call ended.
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// An empty home and an empty workspace.
struct Place {
    dir: TempDir,
}

#[expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the program is what is tested; a test ends by panic"
)]
impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("work")).unwrap();
        Self { dir }
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.dir.path().join("work").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, &[])
    }

    fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
        let root = self.dir.path();
        let output = Command::new(env!("CARGO_BIN_EXE_lockgate"))
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", root)
            .env("LOCKGATE_HOME", root.join("home"))
            .env("XDG_RUNTIME_DIR", root)
            .envs(variables.iter().copied())
            .current_dir(root.join("work"))
            .output()
            .unwrap();
        let plain = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&name(root), "[ROOT]");
        Ran {
            code: output.status.code(),
            stdout: plain(&output.stdout),
            stderr: plain(&output.stderr),
        }
    }
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn the_help_is_grouped_by_what_one_is_about_to_do() {
    let ran = Place::new().run(&["--help"]);
    assert_eq!(ran.code, Some(0));
    assert_data_eq!(
        ran.stdout,
        str![[r#"
Moves new builds of a service into a pool of running gateways

Usage: lockgate [OPTIONS] <COMMAND>

Every day:
  up         Do it all: serve, create, build, deploy, watch; Ctrl-C ends what it started
  deploy     Bring what was built into every gateway, and wait for it
  rollback   Bring back the build before, or one of `builds`
  restart    Build, deploy, and restart also where nothing changed; or restart a service
  status     Show what every gateway runs, and how services are
  logs       Show what applications and services wrote
  urls       Show the URLs of an environment, and whether they resolve and answer
  builds     List builds: what was published when, from which commit

Environments:
  create     Make an environment: ports, keys and gateways
  adopt      Take over the containers of the shell system, one after the other
  delete     Delete an environment: its gateways, ports, builds and keys
  list       List environments
  scale      Give an environment more or fewer gateways
  set        Set variables of the application, such as credentials; gateways restart with them
  keys       Print the keys that verify an environment's gateway tokens, as a JWKS
  org        Say which gateway serves which organization
  start      Start gateways and services that were stopped
  stop       Stop gateways and services; they stay stopped until `start`

Setting up:
  init       Write a commented lockgate.toml from what is there
  doctor     Look at everything that Lockgate needs, and say what mends it
  trust      Make browsers and programs trust this host's certificates
  dns        Make names of environments resolve on this machine
  image      Build the image that gateways in containers are made from

Parts, for scripts:
  validate   Check that bundles hold no front-end code, and what is packed no secrets
  pack       Validate and pack a build without deploying it
  serve      Serve builds and run the gateways of this host
  vpn        Who is in a gateway's VPN, and how a user container gets in
  wait       Wait until every gateway is ready, has passed its trial, or runs a build; services are ready
  schema     Show the JSON Schema of what a command prints with `--format json`

Global options:
  -e, --env <ENV>                  The environment, where a command names none [env: LOCKGATE_ENV]
      --format <human|json>        How results are printed; `json` streams events, one a line
                                   [default: human]
      --color <auto|always|never>  When to use colour; `NO_COLOR` is heeded [default: auto]
  -v, --verbose...                 Say more on stderr (-vv: still more)
  -h, --help                       Print help
  -V, --version                    Print version

`lockgate up` in a workspace does all of it; `lockgate COMMAND --help` says more.

"#]]
    );
}

#[test]
fn an_unknown_command_is_a_usage_error() {
    let ran = Place::new().run(&["frobnicate"]);
    assert_eq!(ran.code, Some(2));
    assert_data_eq!(
        ran.stderr,
        str![[r#"
error: unrecognized subcommand 'frobnicate'

Usage: lockgate [OPTIONS] <COMMAND>

For more information, try '--help'.

"#]]
    );
}

#[test]
fn programs_get_usage_errors_as_json() {
    let ran = Place::new().run(&["--format", "json", "wait", "--for", "done"]);
    assert_eq!(ran.code, Some(2));
    assert_data_eq!(
        ran.stderr,
        str![[r#"
{"error":{"caused_by":[],"exit_code":2,"hints":[],"kind":"usage","message":"invalid value 'done' for '--for <ready|good|build=B>': expected `ready`, `good`, or `build=` and the digits of a build"}}

"#]]
    );
}

#[test]
fn a_schema_that_is_not_there_is_told_with_those_that_are_meant() {
    let place = Place::new();
    let listed = place.run(&["schema"]);
    assert_eq!(listed.code, Some(0));
    assert!(listed.stdout.contains("\ndns lines\ndns serve\n"));
    let check = |word: &str, expected: &str| {
        let ran = place.run(&["schema", word]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
        assert_eq!(ran.stderr, expected);
    };
    check(
        "dns",
        "error: there is no schema of `dns`\n  hint: there are `lockgate schema dns lines` and \
         `lockgate schema dns serve`\n",
    );
    check(
        "deploi",
        "error: there is no schema of `deploi`\n  hint: did you mean `lockgate schema deploy`?\n",
    );
    check(
        "frobnicate",
        "error: there is no schema of `frobnicate`\n  hint: `lockgate schema` lists the commands \
         that have one\n",
    );
}

#[test]
fn without_a_name_an_environment_is_asked_for() {
    let ran = Place::new().run(&["deploy"]);
    assert_eq!(ran.code, Some(2));
    assert_data_eq!(
        ran.stderr,
        str![[r#"
error: no environment is named, and there is none yet
  hint: `lockgate up` makes one, builds, deploys and watches

"#]]
    );
}

#[test]
fn an_unknown_environment_is_named_with_the_way_to_make_it() {
    let ran = Place::new().run(&["deploy", "dev-001"]);
    assert_eq!(ran.code, Some(1));
    assert_data_eq!(
        ran.stderr,
        str![[r#"
error: there is no environment `dev-001`
  hint: `lockgate create dev-001` makes it, `lockgate up` does it all

"#]]
    );
}

#[test]
fn a_variable_that_makes_no_sense_is_a_configuration_error() {
    let ran = Place::new().run_with(&["list"], &[("LOCKGATE_ENV", "Dev 1")]);
    assert_eq!(ran.code, Some(78));
    assert_data_eq!(
        ran.stderr,
        str![[r#"
error: `LOCKGATE_ENV` cannot be used
  caused by: `Dev 1` is not an environment name: 1 to 32 lower-case letters, digits and hyphens, with a letter or digit at both ends

"#]]
    );
}

#[test]
fn an_unknown_key_is_a_configuration_error_with_the_nearest_known_one() {
    let place = Place::new();
    place.write("lockgate.toml", "[app]\ncomand = [\"node\"]\n");
    let ran = place.run(&["validate"]);
    assert_eq!(ran.code, Some(78));
    assert_data_eq!(
        ran.stderr,
        str![[r#"
error: `[ROOT]/work/lockgate.toml` cannot be used
  TOML parse error at line 2, column 1
    |
  2 | comand = ["node"]
    | ^^^^^^
  unknown field `comand`, expected one of `command`, `cwd`, `env`, `env_file`, `socket`, `ready`, `strategy`, `before_listen`, `limits`
  hint: did you mean `command`?

"#]]
    );
}

#[test]
fn a_missing_bundle_is_named() {
    let ran = Place::new().run(&["validate"]);
    assert_eq!(ran.code, Some(1));
    assert_data_eq!(
        ran.stderr,
        str![[r#"
error: there is no bundle `[ROOT]/work/dist/packages/app-gateway/main.js`
  hint: build first; `[build] bundle` and `[pack] parts` in lockgate.toml say where it is (`lockgate init` writes one)

"#]]
    );
}

#[test]
fn clean_bundles_are_listed() {
    let place = Place::new();
    place.write("dist/packages/app-gateway/main.js", "module.exports = 1;\n");
    place.write(
        "dist/packages/app-ganymede/main.js",
        "const text = 'require(\"react\")';\n",
    );
    let ran = place.run(&["validate"]);
    assert_eq!(ran.code, Some(0));
    assert_data_eq!(
        ran.stdout,
        str![[r#"
✅ dist/packages/app-ganymede/main.js: CLEAN (0.00MB, 1 lines)
   note: no source map or metafile tells what lies in it; only imports were looked at
✅ dist/packages/app-gateway/main.js: CLEAN (0.00MB, 1 lines)
   note: no source map or metafile tells what lies in it; only imports were looked at
✅ All bundles are clean!

"#]]
    );
}

#[test]
fn a_finding_is_shown_with_its_line_and_fails() {
    let place = Place::new();
    place.write(
        "dist/packages/app-gateway/main.js",
        "// a bundle\nvar e4 = require(\"react\");\n",
    );
    let ran = place.run(&["validate"]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.stderr, "");
    assert_data_eq!(
        ran.stdout,
        str![[r#"
❌ dist/packages/app-gateway/main.js: Found 1 issue(s):
   ⚠️  React: 1 occurrence(s)
      Line 2: var e4 = require("react");
   note: no source map or metafile tells what lies in it; only imports were looked at
❌ BUILD VALIDATION FAILED: React dependencies found

"#]]
    );
}

#[test]
fn init_writes_what_it_finds_and_never_twice() {
    let place = Place::new();
    place.write("package.json", r#"{"scripts": {"build": "esbuild"}}"#);
    let ran = place.run(&["init"]);
    assert_eq!(ran.code, Some(0));
    assert_data_eq!(
        ran.stdout + &ran.stderr,
        str![[r#"
wrote [ROOT]/work/lockgate.toml
  build command  npm run build
  bundle         not built yet

Next: look through lockgate.toml, then run `lockgate up`.

"#]]
    );
    let ran = place.run(&["init"]);
    assert_eq!(ran.code, Some(1));
    assert_data_eq!(
        ran.stderr,
        str![[r#"
error: `[ROOT]/work/lockgate.toml` is there already
  hint: edit it; `lockgate init` writes nothing over it

"#]]
    );
}

#[test]
fn an_empty_home_points_to_up() {
    let ran = Place::new().run(&["list"]);
    assert_eq!(ran.code, Some(0));
    assert_data_eq!(
        ran.stderr,
        str![[r#"
no environments yet
hint: `lockgate up` makes one, builds, deploys and watches

"#]]
    );
}

#[test]
fn deleting_is_confirmed_or_said_aloud() {
    let place = Place::new();
    assert_eq!(place.run(&["create", "dev-001"]).code, Some(0));
    let ran = place.run(&["delete", "dev-001"]);
    assert_eq!(ran.code, Some(2));
    assert_data_eq!(
        ran.stderr,
        str![[r#"
error: deleting `dev-001` was not confirmed
  hint: `lockgate delete dev-001 --yes` does not ask

"#]]
    );
    assert_eq!(place.run(&["delete", "dev-001", "--yes"]).code, Some(0));
}

#[test]
fn a_folder_that_is_not_mkcerts_is_refused_with_what_it_has_to_hold() {
    let place = Place::new();
    let ran = place.run(&["trust", "--mkcert", "nowhere"]);
    assert_eq!(ran.code, Some(1));
    assert_data_eq!(
        ran.stderr,
        str![[r#"
error: `[ROOT]/work/nowhere/rootCA.pem` cannot be read or written
  caused by: No such file or directory (os error 2)
  hint: `lockgate trust --mkcert FOLDER` wants the folder that `mkcert -CAROOT` prints, with `rootCA.pem` and `rootCA-key.pem` in it; `mkcert -install` makes them

"#]]
    );
    assert!(!place.dir.path().join("home/ca/mkcert").exists());
}

#[test]
fn lines_for_a_resolver_need_an_environment() {
    let ran = Place::new().run(&["dns", "lines"]);
    assert_eq!(ran.code, Some(1));
    assert_data_eq!(
        ran.stderr,
        str![[r#"
error: there is no environment yet
  hint: `lockgate create ENV DOMAIN` makes one; the lines are for its domain

"#]]
    );
    assert_eq!(
        Place::new().run(&["dns", "lines", "--for", "bind"]).code,
        Some(2)
    );
}
