//! An agent that is not the server's child, as in a container.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Child, Command};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{World, get, until};

/// An agent started by the journey itself, in the place of one of the server's.
#[derive(Debug)]
pub struct Adopted {
    agent: Child,
    environment: Vec<(OsString, OsString)>,
    /// The port of its door.
    pub http_port: u16,
}

#[expect(clippy::expect_used, reason = "a test ends by panic")]
impl World {
    /// Stops one gateway of the server and runs its agent as a process of the
    /// journey, with the same environment, until it serves.
    pub fn adopt(&self, env: &str, number: usize) -> Adopted {
        let gateways = self.gateways(env);
        let gateway = gateways.get(number).expect("the gateway");
        let of = |name: &str| {
            gateway
                .get(name)
                .and_then(serde_json::Value::as_u64)
                .expect("a number")
        };
        let http_port = u16::try_from(of("http_port")).expect("a port");
        let environ = std::fs::read(format!("/proc/{}/environ", of("agent_pid")))
            .expect("the agent's environment");
        let variable = |line: &[u8]| {
            let at = line.iter().position(|byte| *byte == b'=')?;
            let (name, value) = line.split_at_checked(at)?;
            Some((
                OsStr::from_bytes(name).to_owned(),
                OsStr::from_bytes(value.get(1..)?).to_owned(),
            ))
        };
        let environment: Vec<_> = environ
            .split(|byte| *byte == 0)
            .filter_map(variable)
            .collect();
        let name = format!("gw-pool-{env}-{number}");
        self.lockgate(&["stop", env, &name]).expect(0);
        let mut command = self.program("lockgate-agent");
        command
            .env_clear()
            .envs(environment.iter().cloned())
            .arg("run");
        let agent = command.spawn().expect("`lockgate-agent` starts");
        let adopted = Adopted {
            agent,
            environment,
            http_port,
        };
        until(
            "the adopted gateway serves",
            Duration::from_secs(20),
            || get(http_port, "/health").filter(|it| it.status == 200),
        );
        adopted
    }
}

impl Adopted {
    /// `lockgate-agent` with the arguments, in the gateway's own environment.
    pub fn command(&self, world: &World, args: &[&str]) -> Command {
        let mut command = world.program("lockgate-agent");
        command
            .env_clear()
            .envs(self.environment.iter().cloned())
            .args(args);
        command
    }
}

impl Drop for Adopted {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.agent.id()) {
            // It may have ended already.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        // The exit code says nothing to a journey.
        let _ = self.agent.wait();
    }
}
