//! A `LOCKGATE_HOME` of its own, the programs that work in it, and its end.

use std::ffi::{OsStr, OsString};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::{Engine, Relay, Terminal, Workspace, get, leftovers, schemas, until};

/// One journey's world. Dropping it stops its server and fails the journey if a
/// process is left.
#[derive(Debug)]
pub struct World {
    dir: TempDir,
    /// The build server's port.
    pub port: u16,
    /// Where programs are looked for.
    path: OsString,
    /// The engine its programs use, where it has one.
    engine: Option<Engine>,
    /// Where its programs ask the engine, if not at its own address.
    engine_host: Option<String>,
    /// What is started as gateways' agent, if not the program beside `lockgate`.
    agent: Option<PathBuf>,
    /// Who serves the front door, where that is said.
    front: Option<&'static str>,
}

/// How a program ended.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; -1 after a signal.
    pub code: i32,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Ran {
    /// Fails unless the program ended with this code.
    #[track_caller]
    pub fn expect(&self, code: i32) -> &Self {
        assert_eq!(
            self.code, code,
            "stdout:\n{}\nstderr:\n{}",
            self.stdout, self.stderr
        );
        self
    }

    /// Fails unless standard error holds this text.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Self {
        assert!(
            self.stderr.contains(text) || self.stdout.contains(text),
            "`{text}` is missing in\nstdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_str(&self.stdout) {
            Ok(value) => value,
            Err(error) => unreachable!("not JSON ({error}):\n{}", self.stdout),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::new_without_default,
    reason = "journeys start the programs here; a test ends by panic"
)]
impl World {
    /// An empty world in a network of its own, with a free port for its build server.
    pub fn new() -> Self {
        crate::network::enter();
        Self::beside_engine()
    }

    /// Gives this world's network another address, as a VPN would; false where it has no network of
    /// its own.
    pub fn add_address(&self, address: &str) -> bool {
        crate::network::add_address(address)
    }

    /// An empty world in the network of this process: that of the engine's containers.
    pub fn beside_engine() -> Self {
        // Short, since unix sockets live below it.
        let dir = tempfile::Builder::new()
            .prefix("lg")
            .tempdir_in("/tmp")
            .expect("a folder in /tmp");
        let free = TcpListener::bind("127.0.0.1:0")
            .and_then(|it| it.local_addr())
            .expect("a free port");
        Self {
            dir,
            port: free.port(),
            path: std::env::var_os("PATH").unwrap_or_default(),
            engine: None,
            engine_host: None,
            agent: None,
            front: None,
        }
    }

    /// An empty world whose gateways are containers, with the image for them.
    pub fn with_engine() -> Self {
        let mut world = Self::beside_engine();
        let engine = world.engine.insert(Engine::of_process("just docker"));
        let base = engine.base.clone();
        let build = ["image", "build", "--base", &base];
        world.lockgate(&build).expect(0);
        world
    }

    /// A way to the engine that can be closed; this world's programs take it from now on.
    pub fn relay(&mut self) -> Relay {
        let mut relay = self.engine().relay(&self.dir.path().join("engine.sock"));
        relay.open();
        self.engine_host = Some(relay.host());
        relay
    }

    /// The engine beside this world.
    pub fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("a world with an engine")
    }

    /// An empty world in which `node` is the one in this folder.
    pub fn with_node(folder: &Path) -> Self {
        let mut world = Self::new();
        let mut path = folder.as_os_str().to_owned();
        path.push(":");
        path.push(&world.path);
        world.path = path;
        world
    }

    /// An empty world whose front door this driver serves.
    pub fn with_front(driver: &'static str) -> Self {
        let mut world = Self::new();
        world.front = Some(driver);
        world
    }

    /// An empty world whose gateways' agents have these variables, too.
    pub fn with_agents_told(variables: &[(&str, &str)]) -> Self {
        let mut world = Self::new();
        let set = variables
            .iter()
            .map(|(name, value)| format!("{name}={value} "));
        let agent = bin_dir().join("lockgate-agent");
        let script = format!(
            "#!/bin/sh\n{}exec {} \"$@\"\n",
            set.collect::<String>(),
            agent.display()
        );
        let path = world.dir.path().join("agent");
        std::fs::write(&path, script).expect("a script");
        let all = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&path, all).expect("a script that runs");
        world.agent = Some(path);
        world
    }

    /// The world's folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its `LOCKGATE_HOME`.
    pub fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// A copy of the built example.
    pub fn workspace(&self, name: &str) -> Workspace {
        Workspace::copy_to(&self.dir.path().join(name))
    }

    /// One of the two programs, ready to be started in this world.
    pub fn program(&self, name: &str) -> Command {
        self.command(bin_dir().join(name))
    }

    /// Any program, ready to be started in this world.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", self.dir.path())
            .env("LOCKGATE_HOME", self.home())
            .env("LOCKGATE_SERVE_PORT", self.port.to_string())
            .env("LOCKGATE_HTTPS_PORT", "0")
            .env("LOCKGATE_HTTP_PORT", "0")
            .env("XDG_RUNTIME_DIR", self.dir.path())
            .env("NO_COLOR", "1")
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        if let Some(agent) = &self.agent {
            command.env("LOCKGATE_AGENT", agent);
        }
        if let Some(front) = self.front {
            command.env("LOCKGATE_FRONT", front);
        }
        let host = match &self.engine_host {
            Some(host) => Some(host.into()),
            None => std::env::var_os("DOCKER_HOST"),
        };
        if let Some(host) = host {
            command.env("DOCKER_HOST", host);
        }
        command
    }

    /// Runs `lockgate` to its end. What it prints for programs must keep to its schemas.
    pub fn lockgate(&self, args: &[&str]) -> Ran {
        let ran = ran(&self
            .program("lockgate")
            .args(args)
            .output()
            .expect("`lockgate` starts"));
        schemas::check(args, &ran, &|| self.program("lockgate"));
        ran
    }

    /// Starts `lockgate` and leaves it running, its output in `{name}.out` and `{name}.err`.
    pub fn start(&self, name: &str, args: &[&str]) -> Child {
        let file = |ending: &str| {
            std::fs::File::create(self.dir.path().join(format!("{name}.{ending}")))
                .expect("an output file")
        };
        self.program("lockgate")
            .args(args)
            .stdout(file("out"))
            .stderr(file("err"))
            .spawn()
            .expect("`lockgate` starts")
    }

    /// Starts `lockgate` on a terminal of so many columns.
    pub fn terminal(&self, columns: u16, args: &[&str]) -> Terminal {
        let mut command = self.program("lockgate");
        Terminal::start(command.args(args), columns)
    }

    /// What a program started with [`World::start`] has written so far.
    pub fn written(&self, name: &str) -> String {
        let read = |ending: &str| {
            std::fs::read_to_string(self.dir.path().join(format!("{name}.{ending}")))
                .unwrap_or_default()
        };
        read("out") + &read("err")
    }

    /// Starts the build server of this world.
    pub fn serve(&self) {
        self.lockgate(&["serve", "--detach"]).expect(0);
    }

    /// Server, environment with three gateways, first deploy.
    pub fn running(&self, env: &str, workspace: &Workspace) {
        self.serve();
        self.create(env, workspace);
        self.deploy(env).expect(0);
    }

    /// Creates an environment with three gateways.
    pub fn create(&self, env: &str, workspace: &Workspace) {
        let path = workspace.path.display().to_string();
        let domain = format!("{env}.localhost");
        let runtime = if self.engine.is_some() {
            "docker"
        } else {
            "local"
        };
        self.lockgate(&["create", env, &domain, &path, "--runtime", runtime])
            .expect(0);
    }

    /// Deploys what is in the environment's workspace, and does not wait for its trial.
    pub fn deploy(&self, env: &str) -> Ran {
        self.lockgate(&["deploy", env, "--wait", "ready"])
    }

    /// `lockgate status ENV --format json`: the gateways.
    pub fn gateways(&self, env: &str) -> Vec<Value> {
        let status = self.lockgate(&["status", env, "--format", "json"]).json();
        let gateways = status
            .pointer("/environments/0/gateways")
            .or_else(|| status.get("gateways"));
        gateways
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    }

    /// The HTTP ports of an environment's gateways.
    pub fn ports(&self, env: &str) -> Vec<u16> {
        let port = |gateway: &Value| gateway.get("http_port")?.as_u64()?.try_into().ok();
        self.gateways(env).iter().filter_map(port).collect()
    }

    /// What each gateway's application answers at `/`; `Null` where it does not.
    pub fn answers(&self, env: &str) -> Vec<Value> {
        let answer = |port| get(port, "/").map_or(Value::Null, |answer| answer.json());
        self.ports(env).into_iter().map(answer).collect()
    }

    /// Fails unless all three gateways answer with this version.
    #[track_caller]
    pub fn expect_version(&self, env: &str, version: &str) {
        let answers = self.answers(env);
        assert_eq!(answers.len(), 3, "{answers:?}");
        for answer in &answers {
            assert_eq!(
                answer.get("version").and_then(Value::as_str),
                Some(version),
                "{answers:?}"
            );
        }
    }

    /// Sends a signal to one process.
    pub fn signal(&self, pid: u64, signal: Signal) {
        let pid = i32::try_from(pid).expect("a process number");
        assert!(
            leftovers::processes_of(self.dir.path()).contains(&pid),
            "process {pid} is not of this world"
        );
        kill(Pid::from_raw(pid), signal).expect("the process is there");
    }

    /// Stops the server and waits until no process of this world is left.
    pub fn stop(&self) {
        self.lockgate(&["serve", "stop"]);
        self.expect_empty();
    }

    /// Waits until no process of this world is left.
    pub fn expect_empty(&self) {
        until(
            "no process of this world is left",
            Duration::from_secs(20),
            || {
                leftovers::processes_of(self.dir.path())
                    .is_empty()
                    .then_some(())
            },
        );
    }
}

impl Drop for World {
    #[expect(
        clippy::print_stderr,
        reason = "a failed journey shows what its server wrote"
    )]
    fn drop(&mut self) {
        self.lockgate(&["serve", "stop"]);
        if let Some(engine) = &self.engine {
            engine.remove_all();
        }
        let left = leftovers::settled(self.dir.path());
        for pid in &left {
            // It may have ended meanwhile.
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.home().join("server.log")).unwrap_or_default();
            eprintln!("server.log:\n{log}");
            if let Some(engine) = &self.engine {
                let all = engine.try_docker(&["ps", "--all"]);
                eprintln!("{}", String::from_utf8_lossy(&all.stdout));
            }
        } else {
            assert!(
                left.is_empty(),
                "left behind:\n{}",
                leftovers::describe(&left)
            );
        }
    }
}

/// How a program ended.
pub fn ran(output: &Output) -> Ran {
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Where the programs are: `LOCKGATE_BIN_DIR`, or the folder of the last debug build.
#[expect(
    clippy::disallowed_methods,
    reason = "the harness is told here which programs it tests"
)]
fn bin_dir() -> PathBuf {
    std::env::var_os("LOCKGATE_BIN_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug"),
        PathBuf::from,
    )
}
