//! Gateways that a platform knows by itself: a command of the workspace registers each new one and
//! prints the id and the token that the platform gave it.
//!
//! ```text
//! command, with the gateway in its environment ─▶ gateway_id: UUID
//!                                                 token: TEXT
//! ```
//! Other lines are the command's own affair. What it prints beside an end in failure, or in place
//! of one of the two lines, is shown, the token left out.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use lockgate_model::{GatewayName, environment as variable};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::Command;

use super::admit::Registered;
use super::{Environment, Gateway};

/// How many lines of a failed command are shown.
const LAST_LINES: usize = 10;
/// The gateway's name in the command's environment.
const GATEWAY_NAME: &str = "GATEWAY_NAME";

/// `[registration]` of lockgate.toml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Registration {
    /// Program and arguments.
    pub(crate) command: Vec<String>,
    /// How long it may take for one gateway.
    pub(crate) timeout: Duration,
}

/// Why a gateway is not registered.
#[derive(Debug, thiserror::Error)]
#[error("gateway `{gateway}` was not registered")]
pub(crate) struct RegistrationError {
    /// The gateway.
    gateway: GatewayName,
    /// Why.
    source: Why,
}

#[derive(Debug, thiserror::Error)]
enum Why {
    #[error("`{command}` cannot be started: {error}")]
    Start {
        command: String,
        error: std::io::Error,
    },
    #[error("`{command}` was not done after {}", humantime::format_duration(*after))]
    Late { command: String, after: Duration },
    #[error("`{command}` ended with {status}{}", shown(last))]
    Failed {
        command: String,
        status: std::process::ExitStatus,
        last: String,
    },
    #[error("`{command}` printed {what}{}", shown(last))]
    Malformed {
        command: String,
        what: &'static str,
        last: String,
    },
}

fn shown(last: &str) -> String {
    if last.is_empty() {
        "; it printed nothing".to_owned()
    } else {
        format!("; its last lines:\n{last}")
    }
}

impl Registration {
    /// Runs the command for one gateway, in the environment's workspace. It inherits this
    /// process's environment, so that credentials for the platform reach it.
    pub(crate) async fn register(
        &self,
        environment: &Environment,
        gateway: &Gateway,
    ) -> Result<Registered, RegistrationError> {
        let name = environment.gateway_name(gateway);
        let registered = match self.run(environment, gateway, &name).await {
            Ok(output) => self.read(&output),
            Err(why) => Err(why),
        };
        registered.map_err(|source| RegistrationError {
            gateway: name,
            source,
        })
    }

    fn command(&self) -> String {
        self.command.join(" ")
    }

    async fn run(
        &self,
        environment: &Environment,
        gateway: &Gateway,
        name: &GatewayName,
    ) -> Result<Output, Why> {
        let start = |error| Why::Start {
            command: self.command(),
            error,
        };
        let (program, arguments) = self
            .command
            .split_first()
            .ok_or_else(|| start(std::io::Error::other("no program is named")))?;
        let child = Command::new(located(environment, program))
            .args(arguments)
            .current_dir(&environment.workspace)
            .env(variable::ENV_NAME, environment.name.as_str())
            .env(variable::DOMAIN, &environment.domain)
            .env(variable::GANYMEDE_FQDN, environment.ganymede_fqdn())
            .env(GATEWAY_NAME, name.as_str())
            .env(variable::GATEWAY_HTTP_PORT, gateway.http_port.to_string())
            .env(variable::GATEWAY_VPN_PORT, gateway.vpn_port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Of its own, so that all of it can be ended.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(start)?;
        let mut group = Group(child.id().and_then(|id| i32::try_from(id).ok()));
        let output = tokio::time::timeout(self.timeout, child.wait_with_output()).await;
        if let Ok(output) = output {
            // What it left running on purpose may go on.
            group.0 = None;
            return output.map_err(start);
        }
        Err(Why::Late {
            command: self.command(),
            after: self.timeout,
        })
    }

    fn read(&self, output: &Output) -> Result<Registered, Why> {
        let stdout = String::from_utf8_lossy(&output.stdout);
        let last = last_lines(&stdout, &String::from_utf8_lossy(&output.stderr));
        let command = self.command();
        if !output.status.success() {
            return Err(Why::Failed {
                command,
                status: output.status,
                last,
            });
        }
        parse(&stdout).map_err(|what| Why::Malformed {
            command,
            what,
            last,
        })
    }
}

/// The processes of a command. Who stops waiting for them, by time or by Ctrl-C, ends them all.
struct Group(Option<i32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // All of them may have ended by themselves.
            let _ = killpg(Pid::from_raw(leader), Signal::SIGKILL);
        }
    }
}

/// A program with a slash in its name lies in the workspace, as in a shell there.
fn located(environment: &Environment, program: &str) -> PathBuf {
    if program.contains('/') {
        environment.workspace.join(program)
    } else {
        program.into()
    }
}

/// The id and the token among the lines that a command printed.
fn parse(text: &str) -> Result<Registered, &'static str> {
    let value = |name: &str| {
        let mut lines = text.lines().rev();
        let found = lines.find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'));
        found.map(|value| value.trim().to_owned())
    };
    let gateway_id = value("gateway_id").ok_or("no line `gateway_id: …`")?;
    let token = value("token").ok_or("no line `token: …`")?;
    if gateway_id.len() != 36 || uuid::Uuid::parse_str(&gateway_id).is_err() {
        return Err("a `gateway_id` that is no UUID");
    }
    if token.is_empty() || token.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("a `token` that is empty or has white space in it");
    }
    Ok(Registered { gateway_id, token })
}

/// What a command said at last, without the token.
fn last_lines(stdout: &str, stderr: &str) -> String {
    let lines = stdout.lines().chain(stderr.lines()).map(|line| {
        if line.trim_start().starts_with("token:") {
            "token: …"
        } else {
            line.trim_end()
        }
    });
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    let from = lines.len().saturating_sub(LAST_LINES);
    lines.get(from..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;
    use crate::environment::tests::sample;

    const ID: &str = "550e8400-e29b-41d4-a716-446655440000";

    async fn register(script: &str) -> Result<Registered, String> {
        let workspace = tempfile::tempdir().unwrap();
        let environment = Environment {
            workspace: workspace.path().to_owned(),
            ..sample("dev-001")
        };
        let registration = Registration {
            command: ["sh", "-c", script].map(str::to_owned).to_vec(),
            timeout: Duration::from_secs(20),
        };
        let registered = registration.register(&environment, &environment.gateways[0]);
        registered.await.map_err(|error| {
            let why = error.source().unwrap().to_string();
            format!("{error}: {why}").replace(script, "SCRIPT")
        })
    }

    #[tokio::test]
    async fn a_command_is_told_the_gateway_and_tells_its_id_and_token() {
        let script = format!(
            "echo registering $GATEWAY_NAME; echo 'gateway_id: {ID}'; \
             echo \"token: $ENV_NAME/$DOMAIN/$GANYMEDE_FQDN/$GATEWAY_HTTP_PORT/$GATEWAY_VPN_PORT\""
        );
        let registered = register(&script)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(registered.gateway_id, ID);
        assert_eq!(
            registered.token,
            "dev-001/dev-001.localhost/ganymede.dev-001.localhost/7100/49100"
        );
    }

    #[tokio::test]
    async fn a_failure_names_the_command_its_end_and_its_last_lines() {
        for (script, expected) in [
            (
                "echo 'token: secret'; echo no such platform >&2; exit 3",
                "gateway `gw-pool-dev-001-0` was not registered: `sh -c SCRIPT` ended with exit \
                 status: 3; its last lines:\ntoken: …\nno such platform",
            ),
            ("exit 1", "ended with exit status: 1; it printed nothing"),
            (
                "echo hello",
                "printed no line `gateway_id: …`; its last lines:\nhello",
            ),
            (
                "echo gateway_id: x; echo token: y",
                "printed a `gateway_id` that is no UUID",
            ),
        ] {
            let error = register(script).await.map(|_| ()).unwrap_err();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_command_that_does_not_end_is_ended_with_all_it_started() {
        let workspace = tempfile::tempdir().unwrap();
        let environment = Environment {
            workspace: workspace.path().to_owned(),
            ..sample("dev-001")
        };
        let script = "sleep 600 & echo $! > child; wait";
        let registration = Registration {
            command: ["sh", "-c", script].map(str::to_owned).to_vec(),
            timeout: Duration::from_secs(3),
        };
        let registered = registration.register(&environment, &environment.gateways[0]);
        let error = registered.await.map(|_| ()).unwrap_err();
        let why = error.source().unwrap().to_string();
        assert!(why.ends_with("was not done after 3s"), "{why}");
        let child = std::fs::read_to_string(workspace.path().join("child")).unwrap();
        let stat = PathBuf::from(format!("/proc/{}/stat", child.trim()));
        let ended = || match std::fs::read_to_string(&stat) {
            Ok(stat) => stat.contains(") Z "),
            Err(_) => true,
        };
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while !ended() {
            assert!(tokio::time::Instant::now() < deadline, "it still runs");
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn the_lines_are_found_among_others_and_checked() {
        let check = |text: &str, expected: Result<(&str, &str), &str>| {
            let found = parse(text);
            let found = found.as_ref().map(|one| (&*one.gateway_id, &*one.token));
            assert_eq!(found.map_err(|why| *why), expected, "{text}");
        };
        let (id, token) = (format!("gateway_id: {ID}\n"), "token: a.b.c\n");
        check(&format!("hello\n{id}{token}bye"), Ok((ID, "a.b.c")));
        check(&format!("  token:x\r\n\tgateway_id:{ID}"), Ok((ID, "x")));
        check(token, Err("no line `gateway_id: …`"));
        check(&id, Err("no line `token: …`"));
        for bad in ["token: a b", "token:", "token: a\tb"] {
            let what = "a `token` that is empty or has white space in it";
            check(&format!("{id}{bad}"), Err(what));
        }
    }
}
