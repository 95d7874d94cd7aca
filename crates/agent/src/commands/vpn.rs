//! `lockgate-agent vpn`

use std::io::{self, Write as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use http::Method;
use lockgate_model::environment as var;

use super::{asking, outcome};
use crate::cli::{Format, SocketArgs};
use crate::control::{self, ClientOf, Profile, Start};
use crate::error::CommandError;
use crate::vpn::{By, Status};

/// The VPN of user containers
#[derive(Debug, Args)]
pub(crate) struct VpnArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start it, and wait until clients can connect
    ///
    /// A gateway that serves an organization has started it by itself. Where it runs for
    /// this organization, nothing changes; where it runs for another one, that one's keys
    /// are no longer good. Says nothing where it runs, else `{"status": "error", "error": "…"}`.
    Start(StartArgs),
    /// Stop it, until it is started, the gateway gets another organization or its agent
    /// starts again; its keys stay
    Stop(StopArgs),
    /// Show whether it runs, whether its clients are kept apart, and who is connected
    Status(StatusArgs),
    /// Print a client's whole profile, keys included, for `openvpn --config`
    Client(ClientArgs),
}

#[derive(Debug, Args)]
struct StartArgs {
    #[command(flatten)]
    socket: SocketArgs,
    /// For which organization; by default the one that the gateway serves
    #[arg(long, env = var::ORGANIZATION_ID, value_name = "UUID", value_parser = uuid)]
    organization: Option<String>,
    /// Start it also where its clients cannot be kept apart from each other, from the
    /// gateway and from other networks
    #[arg(long)]
    unsafe_no_isolation: bool,
}

#[derive(Debug, Args)]
struct StopArgs {
    #[command(flatten)]
    socket: SocketArgs,
}

#[derive(Debug, Args)]
struct StatusArgs {
    #[command(flatten)]
    socket: SocketArgs,
    /// For whom the output is
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

#[derive(Debug, Args)]
struct ClientArgs {
    #[command(flatten)]
    socket: SocketArgs,
    /// Where the client finds the gateway; by default the gateway's host name
    #[arg(long, value_parser = host)]
    host: Option<String>,
}

/// Longer than the agent waits for openvpn.
const WITHIN: Duration = Duration::from_secs(20);

/// What the shell system's script says.
const STOPPED: &str = r#"{"status": "ok", "message": "OpenVPN servers stopped successfully"}"#;

pub(crate) fn vpn(args: &VpnArgs) -> Result<(), CommandError> {
    match &args.command {
        Command::Start(args) => match start(args) {
            Ok(()) => Ok(()),
            failed @ Err(_) => outcome::tell(failed),
        },
        Command::Stop(args) => match stop(args) {
            Ok(()) => print(&format!("{STOPPED}\n")),
            failed @ Err(_) => outcome::tell(failed),
        },
        Command::Status(args) => {
            let status = asking::ask(&args.socket.socket, Method::GET, control::VPN, WITHIN)?;
            show(&status, args.format)
        }
        Command::Client(args) => {
            let of = ClientOf {
                host: args.host.clone(),
            };
            let socket = &args.socket.socket;
            let profile: Profile =
                asking::send(socket, Method::POST, control::VPN_CLIENT, &of, WITHIN)?;
            print(&profile.profile)
        }
    }
}

fn start(args: &StartArgs) -> Result<(), CommandError> {
    let start = Start {
        organization: args.organization.clone(),
        unsafely: args.unsafe_no_isolation,
    };
    let socket = &args.socket.socket;
    let status: Status = asking::send(socket, Method::POST, control::VPN_START, &start, WITHIN)?;
    drop(status);
    Ok(())
}

fn stop(args: &StopArgs) -> Result<(), CommandError> {
    let path = control::VPN_STOP;
    let status: Status = asking::ask(&args.socket.socket, Method::POST, path, WITHIN)?;
    drop(status);
    Ok(())
}

fn uuid(text: &str) -> Result<String, String> {
    crate::config::checks::uuid(text)
        .map(|()| text.to_ascii_lowercase())
        .map_err(|why| format!("it {why}"))
}

/// A word that stands in a profile: a name or an address.
fn host(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("it is no host name and no address".to_owned())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the age of a connection is counted from the moment at which it is shown"
)]
fn show(status: &Status, format: Format) -> Result<(), CommandError> {
    let text = match format {
        Format::Human => human(status, SystemTime::now()),
        Format::Json => serde_json::to_string_pretty(status)
            .map_err(|error| CommandError::failed("cannot write the status").because(&error))?,
    };
    print(&format!("{text}\n"))
}

fn human(status: &Status, now: SystemTime) -> String {
    let age = |since: u64| {
        let since = UNIX_EPOCH + Duration::from_millis(since);
        let age = now.duration_since(since).unwrap_or_default().as_secs();
        humantime::format_duration(Duration::from_secs(age)).to_string()
    };
    let mut lines = vec![format!("{}  VPN {}", status.gateway, status.state.as_str())];
    let mut line = |name: &str, value: String| lines.push(format!("  {name:<12} {value}"));
    if let Some(organization) = &status.organization {
        line("organization", organization.clone());
    }
    if let (Some(pid), Some(since)) = (status.pid, status.since) {
        let (port, age) = (status.port, age(since));
        line("openvpn", format!("udp {port} (pid {pid}, for {age})"));
        let isolation = match &status.unisolated {
            None => {
                let by = status.by.map_or("", By::as_str);
                format!("clients are kept apart: the rules are there, by {by}")
            }
            Some(why) => format!("CLIENTS ARE NOT KEPT APART: {why}"),
        };
        line("isolation", isolation);
        for allowed in &status.allowed {
            line("allowed", allowed.to_string());
        }
    }
    if status.restarts > 0 {
        line("restarts", status.restarts.to_string());
    }
    if let Some(problem) = &status.problem {
        line("problem", problem.why.clone());
        line("", problem.remedy.clone());
    }
    if let Some(why) = &status.clients_unknown {
        line("clients", format!("unknown: {why}"));
    }
    for client in &status.clients {
        let (address, from) = (client.address, &client.from);
        let (got, sent) = (client.received_bytes, client.sent_bytes);
        let age = age(client.since);
        line(
            "client",
            format!("{address} from {from}, for {age}, {got} bytes in, {sent} out"),
        );
    }
    lines.join("\n")
}

fn print(text: &str) -> Result<(), CommandError> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Whoever read has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|e| CommandError::failed("cannot write to stdout").because(&e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vpn::{Client, Phase, Problem};
    use lockgate_model::{GatewayName, VpnAllowance};

    fn status() -> Status {
        Status {
            gateway: GatewayName::parse("gw-pool-dev-001-0").unwrap(),
            state: Phase::Ready,
            organization: Some("0d1b".to_owned()),
            port: 49_100,
            pid: Some(20),
            since: Some(1_000),
            restarts: 0,
            isolated: true,
            by: Some(By::Nftables),
            allowed: vec![VpnAllowance::parse("5432/tcp").unwrap()],
            unisolated: None,
            problem: None,
            clients: vec![Client {
                address: [172, 16, 0, 2].into(),
                from: "172.17.0.5:41120".to_owned(),
                since: 31_000,
                received_bytes: 5_120,
                sent_bytes: 4_096,
            }],
            clients_unknown: None,
        }
    }

    #[test]
    fn who_is_connected_is_shown_a_line_each() {
        let shown = human(&status(), UNIX_EPOCH + Duration::from_secs(62));
        assert_eq!(
            shown,
            "gw-pool-dev-001-0  VPN ready\n  \
               organization 0d1b\n  \
               openvpn      udp 49100 (pid 20, for 1m 1s)\n  \
               isolation    clients are kept apart: the rules are there, by nftables\n  \
               allowed      5432/tcp\n  \
               client       172.16.0.2 from 172.17.0.5:41120, for 31s, 5120 bytes in, 4096 out"
        );
    }

    #[test]
    fn what_is_wrong_is_shown_with_what_to_do() {
        let status = Status {
            state: Phase::Failed,
            pid: None,
            since: None,
            restarts: 2,
            problem: Some(Problem {
                why: "no `openvpn` is installed here".to_owned(),
                remedy: "install it in the gateway's image".to_owned(),
            }),
            clients: Vec::new(),
            ..status()
        };
        assert_eq!(
            human(&status, UNIX_EPOCH),
            "gw-pool-dev-001-0  VPN failed\n  \
               organization 0d1b\n  \
               restarts     2\n  \
               problem      no `openvpn` is installed here\n               \
               install it in the gateway's image"
        );
    }

    #[test]
    fn a_host_is_one_word() {
        for good in ["gw.example", "172.17.0.2", "::1"] {
            assert_eq!(host(good), Ok(good.to_owned()));
        }
        for bad in ["", "a b", "a\nremote b", "-x"] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }
}
