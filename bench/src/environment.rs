//! An environment that runs the application: `lockgate create` and `lockgate deploy`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;

use lockgate_e2e::listening_ports;
use serde_json::Value;

use crate::application::Application;
use crate::error::BenchError;
use crate::home::Home;
use crate::process::run;

/// An environment of a home.
#[derive(Debug)]
pub(crate) struct Environment<'a> {
    home: &'a Home,
    name: String,
    application: Application,
    gateways: Vec<Gateway>,
}

/// One of its gateways.
#[derive(Debug, Clone)]
pub(crate) struct Gateway {
    /// Where it answers.
    pub(crate) door: SocketAddr,
    /// Its agent's process.
    pub(crate) agent: u32,
}

impl<'a> Environment<'a> {
    /// Creates an environment in `home` and deploys once. `settings` are the workspace's
    /// lockgate.toml; without them it has none.
    pub(crate) fn start(
        home: &'a Home,
        name: &str,
        application: &Application,
        gateways: usize,
        settings: Option<&str>,
    ) -> Result<Self, BenchError> {
        Self::made_by(home, name, application, gateways, (settings, "local"))
    }

    /// The same, in containers.
    pub(crate) fn in_containers(
        home: &'a Home,
        name: &str,
        application: &Application,
        gateways: usize,
        settings: &str,
    ) -> Result<Self, BenchError> {
        Self::made_by(
            home,
            name,
            application,
            gateways,
            (Some(settings), "docker"),
        )
    }

    fn made_by(
        home: &'a Home,
        name: &str,
        application: &Application,
        gateways: usize,
        (settings, runtime): (Option<&str>, &str),
    ) -> Result<Self, BenchError> {
        let workspace = home.folder().with_file_name(format!("workspace-{name}"));
        let application = application.copy_to(&workspace)?;
        if let Some(settings) = settings {
            let path = workspace.join("lockgate.toml");
            std::fs::write(&path, settings).map_err(BenchError::io("write", &path))?;
        }
        let mut environment = Self {
            home,
            name: name.to_owned(),
            application,
            gateways: Vec::new(),
        };
        run(environment.lockgate("create").args([
            "--gateways",
            &gateways.to_string(),
            "--runtime",
            runtime,
        ]))?;
        run(&mut environment.deploy())?;
        let status = environment.status()?;
        environment.gateways = found(&status);
        if environment.gateways.len() == gateways {
            return Ok(environment);
        }
        Err(BenchError::Unexpected {
            what: format!(
                "`lockgate status` names {:?}, not {gateways} gateways:\n{status}",
                environment.gateways
            ),
        })
    }

    /// Its home.
    pub(crate) fn home(&self) -> &Home {
        self.home
    }

    /// Its gateways.
    pub(crate) fn gateways(&self) -> &[Gateway] {
        &self.gateways
    }

    /// Writes another build into its workspace.
    pub(crate) fn write_version(&self, version: &str) -> Result<(), BenchError> {
        self.application.write_version(version)
    }

    /// `lockgate ACT ENV`, in the workspace.
    fn lockgate(&self, act: &str) -> Command {
        let mut lockgate = self.home.program("lockgate");
        lockgate
            .current_dir(self.application.workspace())
            .args([act, &self.name]);
        lockgate
    }

    /// `lockgate deploy ENV` until the new build answers: what is measured ends there, not
    /// with the trial.
    pub(crate) fn deploy(&self) -> Command {
        let mut deploy = self.lockgate("deploy");
        deploy.args(["--wait", "ready"]);
        deploy
    }

    /// What `lockgate status` says of it, as JSON.
    pub(crate) fn status(&self) -> Result<String, BenchError> {
        run(self.lockgate("status").args(["--format", "json"]))
    }

    /// `lockgate delete`.
    pub(crate) fn delete(self) -> Result<(), BenchError> {
        run(self.lockgate("delete").arg("--yes")).map(drop)
    }
}

impl Gateway {
    /// Where the agent holds the application's socket.
    pub(crate) fn held(&self) -> Result<SocketAddr, BenchError> {
        let ports = listening_ports(self.agent.into());
        let mut others = ports.iter().filter(|port| **port != self.door.port());
        match (others.next(), others.next()) {
            (Some(port), None) => Ok((Ipv4Addr::LOCALHOST, *port).into()),
            _ => Err(BenchError::Unexpected {
                what: format!(
                    "the agent of {} listens on {ports:?}, not on one more port",
                    self.door
                ),
            }),
        }
    }

    /// What the agent says of itself.
    pub(crate) fn report(&self, home: &Home) -> Result<Value, BenchError> {
        let text = run(home
            .program("lockgate-agent")
            .args(["status", "--format", "json", "--socket"])
            .arg(self.socket()?))?;
        serde_json::from_str(&text).map_err(|error| BenchError::Unexpected {
            what: format!("`lockgate-agent status` says no JSON ({error}): {text}"),
        })
    }

    /// The agent's control socket, as its environment names it.
    fn socket(&self) -> Result<PathBuf, BenchError> {
        let variables = self.variables()?;
        let socket = variables
            .into_iter()
            .find(|(name, _)| name == "LOCKGATE_SOCKET");
        socket
            .map(|(_, path)| PathBuf::from(path))
            .ok_or_else(|| BenchError::Unexpected {
                what: format!("the agent {} names no control socket", self.agent),
            })
    }

    /// The agent's environment.
    pub(crate) fn variables(&self) -> Result<Vec<(String, String)>, BenchError> {
        let path = PathBuf::from(format!("/proc/{}/environ", self.agent));
        let environ = std::fs::read(&path).map_err(BenchError::io("read", &path))?;
        let environ = String::from_utf8_lossy(&environ).into_owned();
        let variables = environ.split('\0').filter_map(|line| line.split_once('='));
        Ok(variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect())
    }
}

/// The gateways, wherever `status` names them.
fn found(status: &str) -> Vec<Gateway> {
    let mut found = Vec::new();
    for line in serde_json::Deserializer::from_str(status).into_iter::<Value>() {
        let Ok(value) = line else { break };
        collect(&value, &mut found);
    }
    found
}

fn collect(value: &Value, found: &mut Vec<Gateway>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        Value::Object(fields) => {
            let number = |name: &str| fields.get(name).and_then(Value::as_u64);
            let port = number("http_port").and_then(|port| u16::try_from(port).ok());
            let agent = number("agent_pid").and_then(|pid| u32::try_from(pid).ok());
            if let (Some(port), Some(agent)) = (port, agent) {
                let door = (Ipv4Addr::LOCALHOST, port).into();
                found.push(Gateway { door, agent });
            }
            fields.values().for_each(|value| collect(value, found));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_are_found_in_one_document_and_in_a_stream_of_events() {
        let one =
            r#"{"gateways":[{"http_port":7100,"agent_pid":1},{"http_port":7101,"agent_pid":2}]}"#;
        let stream = "{\"event\":\"x\"}\n{\"http_port\":7100,\"agent_pid\":3}\n";
        assert_eq!(found(one).len(), 2);
        let [gateway] = &found(stream)[..] else {
            panic!("{:?}", found(stream));
        };
        assert_eq!((gateway.door.port(), gateway.agent), (7100, 3));
        assert!(found("not json").is_empty());
    }
}
