//! What clients lose under load: by reloads, and by changes of routes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test starts what it needs, and ends by panic"
)]

mod reloads;
mod websockets;

use std::path::{Path, PathBuf};

use lockgate_e2e::{FrontDoor, World, listening_ports};
use serde_json::Value;

const ENV: &str = "dev-001";
const ONE: &str = "0d1b3c5e-0000-4000-8000-000000000001";
const TWO: &str = "0d1b3c5e-0000-4000-8000-000000000002";

/// The host of an organization.
fn host(organization: &str) -> String {
    format!("org-{organization}.{ENV}.localhost")
}

/// The application of the load in a folder of the world.
struct LoadApplication {
    path: PathBuf,
}

impl LoadApplication {
    fn new(world: &World) -> Self {
        let path = world.dir().join("load");
        std::fs::create_dir_all(&path).unwrap();
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("apps/load");
        for file in ["lockgate.toml", "main.js"] {
            std::fs::copy(from.join(file), path.join(file)).unwrap();
        }
        Self { path }
    }

    /// Another build, with or without a handler for TERM.
    fn build(&self, version: &str, handles_term: bool) {
        let bundle = self.path.join("main.js");
        let text = std::fs::read_to_string(&bundle).unwrap();
        let line = |line: &str| {
            if line.starts_with("const VERSION = ") {
                format!("const VERSION = \"{version}\";")
            } else if line.starts_with("const HANDLES_TERM = ") {
                format!("const HANDLES_TERM = {handles_term};")
            } else {
                line.to_owned()
            }
        };
        let text: Vec<_> = text.lines().map(line).collect();
        std::fs::write(&bundle, text.join("\n")).unwrap();
    }
}

/// One gateway that runs, its door and its application's own socket.
struct Gateway<'a> {
    world: &'a World,
    socket: PathBuf,
    door: u16,
    held: u16,
}

impl<'a> Gateway<'a> {
    fn start(world: &'a World, application: &LoadApplication) -> Self {
        Self::of_pool(world, application, 1)
    }

    /// The first of so many gateways.
    fn of_pool(world: &'a World, application: &LoadApplication, gateways: u32) -> Self {
        world.serve();
        let path = application.path.display().to_string();
        let domain = format!("{ENV}.localhost");
        world
            .lockgate(&[
                "create",
                ENV,
                &domain,
                &path,
                "--gateways",
                &gateways.to_string(),
            ])
            .expect(0);
        world.deploy(ENV).expect(0);
        let gateways = world.gateways(ENV);
        let number = |name: &str| gateways[0][name].as_u64().unwrap();
        let door = u16::try_from(number("http_port")).unwrap();
        let agent = number("agent_pid");
        let ports = listening_ports(agent);
        let [held] = ports
            .iter()
            .filter(|port| **port != door)
            .collect::<Vec<_>>()[..]
        else {
            panic!("the agent listens on {ports:?}, its door is {door}");
        };
        let environ = std::fs::read(format!("/proc/{agent}/environ")).unwrap();
        let environ = String::from_utf8(environ).unwrap();
        let socket = environ
            .split('\0')
            .find_map(|line| line.strip_prefix("LOCKGATE_SOCKET="))
            .expect("the agent's control socket");
        Self {
            world,
            socket: socket.into(),
            door,
            held: *held,
        }
    }

    /// Has the first gateway serve an organization; the front door that leads there.
    fn serve(&self, organization: &str) -> FrontDoor {
        let assign = [
            "org",
            "assign",
            ENV,
            organization,
            "--gateway",
            "0",
            "--wait",
            "ready",
        ];
        self.world.lockgate(&assign).expect(0);
        FrontDoor::of(self.world)
    }

    /// Asks the agent itself.
    fn agent(&self, command: &str) -> Value {
        let output = self
            .world
            .program("lockgate-agent")
            .args([command, "--format", "json", "--socket"])
            .arg(&self.socket)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "`{command}`: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_str(&text).unwrap()
    }
}
