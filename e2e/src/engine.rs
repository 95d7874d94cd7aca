//! A Docker engine, and containers of a journey in it. `scripts/engine.sh` starts one for
//! the time of a command.

use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::world::ran;
use crate::{Ran, until};

/// How long an engine may take to end in good order, with its containers, and to come back.
const RESTART: Duration = Duration::from_mins(2);

/// The engine that this process was told of.
#[derive(Debug)]
pub struct Engine {
    /// The name of a base image in it: Debian with Node, nginx and OpenVPN.
    pub base: String,
    host: String,
}

#[expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    reason = "journeys start the programs here; a test ends by panic"
)]
impl Engine {
    /// The engine of `DOCKER_HOST`. Fails with `how`, the command to run, where there is none.
    #[track_caller]
    pub fn of_process(how: &str) -> Self {
        let given = |name: &str| std::env::var(name).ok();
        let (Some(host), Some(base)) = (given("DOCKER_HOST"), given("LOCKGATE_TEST_BASE")) else {
            panic!("this journey needs a Docker engine of its own: run `{how}`");
        };
        Self { base, host }
    }

    /// Where it is asked.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// A way to this engine through another socket.
    pub(crate) fn relay(&self, socket: &Path) -> crate::Relay {
        let engine = self.host.strip_prefix("unix://").expect("a socket");
        crate::Relay::new(socket, Path::new(engine))
    }

    /// `docker` with the arguments, to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        ran(&self.try_docker(args))
    }

    /// `docker` with these arguments; its trimmed output. Fails the journey where it fails.
    #[track_caller]
    pub fn docker(&self, args: &[&str]) -> String {
        self.run(args).expect(0).stdout.trim().to_owned()
    }

    /// `docker` with these arguments, whatever comes of it.
    pub fn try_docker(&self, args: &[&str]) -> Output {
        let mut docker = Command::new("docker");
        let docker = docker.args(args).stdin(Stdio::null());
        docker.output().expect("`docker` starts")
    }

    /// Ends the engine's process by this signal and waits for the one that follows it.
    #[track_caller]
    pub fn restart(&self, signal: Signal) {
        let socket = self.host.strip_prefix("unix://").expect("a socket");
        let file = Path::new(socket).with_file_name("pid");
        let pid = || std::fs::read_to_string(&file).ok();
        let before = pid().expect("the engine's process number");
        let number = before.trim().parse().expect("a number");
        kill(Pid::from_raw(number), signal).expect("the engine runs");
        until("another engine answers", RESTART, || {
            let another = pid().is_some_and(|now| !now.is_empty() && now != before);
            (another && self.try_docker(&["version"]).status.success()).then_some(())
        });
    }

    /// The names of all containers, running or not, sorted.
    #[track_caller]
    pub fn containers(&self) -> Vec<String> {
        let names = self.docker(&["ps", "--all", "--format", "{{.Names}}"]);
        let mut names: Vec<String> = names.lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// Removes all containers and the networks made for them: the engine is this run's own.
    pub(crate) fn remove_all(&self) {
        let names = self.run(&["ps", "--all", "--quiet"]).stdout;
        let all: Vec<&str> = ["rm", "--force", "--volumes"]
            .into_iter()
            .chain(names.lines())
            .collect();
        if all.len() > 3 {
            self.run(&all);
        }
        self.run(&["network", "prune", "--force"]);
    }

    /// Removes the image, so that a journey sees what is said without one.
    #[track_caller]
    pub fn remove_image(&self) {
        self.docker(&["rmi", "--force", &image()]);
    }

    /// An image made of the base by lines of a Dockerfile.
    pub fn image(&self, name: &str, lines: &str) {
        let dockerfile = format!("FROM {}\n{lines}\n", self.base);
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("Dockerfile"), dockerfile).expect("a Dockerfile");
        let mut docker = Command::new("docker");
        let docker = docker
            .env("DOCKER_BUILDKIT", "0")
            .args(["build", "--quiet", "--tag", name])
            .arg(folder.path());
        ran(&docker.output().expect("`docker` starts")).expect(0);
    }

    /// What the engine knows of a container, image or network.
    pub fn inspect(&self, name: &str) -> Value {
        let all = self.run(&["inspect", name]).expect(0).json();
        all.get(0).cloned().unwrap_or_default()
    }

    /// The host's address on the engine's own bridge.
    pub fn bridge(&self) -> IpAddr {
        let bridge = self.inspect("bridge");
        let gateway = bridge
            .pointer("/IPAM/Config/0/Gateway")
            .and_then(Value::as_str);
        let gateway = gateway.expect("the bridge has an address");
        gateway.parse().expect("an address")
    }

    /// Creates a container by `docker create ARGS`; it is removed when this is dropped.
    pub fn create(&self, name: &str, args: &[impl AsRef<str>]) -> Container<'_> {
        let mut all = vec!["create", "--name", name];
        all.extend(args.iter().map(AsRef::as_ref));
        self.docker(&all);
        Container {
            engine: self,
            name: name.to_owned(),
        }
    }
}

/// A container of a journey.
#[derive(Debug)]
pub struct Container<'a> {
    engine: &'a Engine,
    /// Its name.
    pub name: String,
}

impl Container<'_> {
    /// `docker ACT NAME`.
    pub fn act(&self, act: &str) -> Ran {
        self.engine.run(&[act, &self.name])
    }

    /// `docker exec NAME ARGS`.
    pub fn exec(&self, args: &[&str]) -> Ran {
        self.engine.run(&[&["exec", &self.name][..], args].concat())
    }

    /// One of the facts that the engine knows of it, as in `/State/ExitCode`.
    pub fn fact(&self, pointer: &str) -> Value {
        let known = self.engine.inspect(&self.name);
        known.pointer(pointer).cloned().unwrap_or_default()
    }
}

impl Drop for Container<'_> {
    #[expect(
        clippy::print_stderr,
        reason = "a failed journey shows what its container wrote"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.act("logs");
            let state = self.fact("/State");
            eprintln!("{}:\n{state}\n{}{}", self.name, log.stdout, log.stderr);
        }
        // A test that failed to create it has said so.
        self.engine.run(&["rm", "--force", &self.name]);
    }
}

/// The image that gateways are made from by default.
pub fn image() -> String {
    format!("lockgate/gateway:{}", env!("CARGO_PKG_VERSION"))
}
