//! What listens in a gateway beside what should, as its agent tells it when it is asked.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Everything that listens or should, what is expected first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listeners {
    /// One for each address.
    pub listeners: Vec<Listener>,
}

/// An address at which something listens, or should.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Listener {
    /// What it is for: `application`, `door (nginx)`; `None` where nothing was expected.
    pub what: Option<String>,
    /// How it is reached.
    pub transport: Transport,
    /// Where.
    pub address: SocketAddr,
    /// What became of the expectation.
    pub state: ListenerState,
    /// The processes that hold it; none where nobody does, or where the agent must not see whose
    /// it is.
    pub processes: Vec<Holder>,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

/// What was expected of an address, and what is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ListenerState {
    /// The agent, or what it started, holds it.
    Held,
    /// Nobody does.
    Missing,
    /// Somebody else does.
    Foreign,
    /// Nothing was expected there.
    Unexpected,
}

/// A process that holds a socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Holder {
    /// Its number, where the gateway's processes are counted.
    pub pid: u32,
    /// Its program, as in `node`.
    pub name: String,
    /// Whether it is the agent or was started by it.
    pub own: bool,
}

impl Transport {
    /// As it is shown and serialised.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl ListenerState {
    /// As it is shown and serialised.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Missing => "missing",
            Self::Foreign => "foreign",
            Self::Unexpected => "unexpected",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Listener {
    /// What is wrong with it, and what to do; `None` where nothing is.
    pub fn problem(&self) -> Option<String> {
        let Self {
            what,
            transport,
            address,
            ..
        } = self;
        let what = what.as_deref().unwrap_or("socket");
        match self.state {
            ListenerState::Held | ListenerState::Unexpected => None,
            ListenerState::Missing => {
                Some(format!("nobody listens on {transport} {address} ({what})"))
            }
            ListenerState::Foreign => Some(format!(
                "{transport} {address} ({what}) is taken: {}",
                taken_by(&self.processes)
            )),
        }
    }
}

impl Listener {
    /// Who holds it, by program: `nginx (14, 15)`. Whoever only holds it for others is left out;
    /// empty where nobody is seen.
    pub fn holders(&self) -> String {
        let is_keeper = |one: &&Holder| one.name == AGENT && one.own;
        let others = self.processes.iter().filter(|one| !is_keeper(one));
        let shown: Vec<&Holder> = if others.clone().next().is_some() {
            others.collect()
        } else {
            self.processes.iter().collect()
        };
        let mut by_name: Vec<(&str, Vec<String>)> = Vec::new();
        for one in shown {
            let pid = one.pid.to_string();
            match by_name.iter_mut().find(|(name, _)| *name == one.name) {
                Some((_, pids)) => pids.push(pid),
                None => by_name.push((&one.name, vec![pid])),
            }
        }
        let each = by_name.into_iter();
        let each = each.map(|(name, pids)| format!("{name} ({})", pids.join(", ")));
        each.collect::<Vec<_>>().join(", ")
    }
}

/// The agent's program, as the kernel calls it. It holds the application's sockets for it.
const AGENT: &str = "lockgate-agent";

/// Who has an address that a gateway needs, and what to do.
pub fn taken_by(processes: &[Holder]) -> String {
    let Some((first, rest)) = processes.split_first() else {
        return "a process that the agent must not see has it; end that one".to_owned();
    };
    let named = |one: &Holder| format!("`{}` (process {})", one.name, one.pid);
    let mut names = named(first);
    for one in rest {
        names = format!("{names}, {}", named(one));
    }
    let pids: Vec<String> = processes.iter().map(|one| one.pid.to_string()).collect();
    let have = if rest.is_empty() { "has" } else { "have" };
    let whose = if processes.iter().all(|one| one.own) {
        "which was left behind"
    } else {
        "which the agent did not start"
    };
    format!(
        "{names}, {whose}, {have} it; `kill {}` in the gateway makes room",
        pids.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(pid: u32, name: &str) -> Holder {
        Holder {
            pid,
            name: name.to_owned(),
            own: false,
        }
    }

    #[test]
    fn who_has_an_address_is_named_with_what_to_do() {
        let listener = |state, processes: &[Holder]| Listener {
            what: Some("application".to_owned()),
            transport: Transport::Tcp,
            address: ([127, 0, 0, 1], 8888).into(),
            state,
            processes: processes.to_vec(),
        };
        let check = |state, processes: &[Holder], expected: Option<&str>| {
            let told = listener(state, processes).problem();
            assert_eq!(told.as_deref(), expected);
        };
        let node = holder(712, "node");
        check(ListenerState::Held, std::slice::from_ref(&node), None);
        check(ListenerState::Unexpected, std::slice::from_ref(&node), None);
        check(
            ListenerState::Missing,
            &[],
            Some("nobody listens on tcp 127.0.0.1:8888 (application)"),
        );
        check(
            ListenerState::Foreign,
            std::slice::from_ref(&node),
            Some(
                "tcp 127.0.0.1:8888 (application) is taken: `node` (process 712), which the agent \
                 did not start, has it; `kill 712` in the gateway makes room",
            ),
        );
        check(
            ListenerState::Foreign,
            &[node, holder(713, "nc")],
            Some(
                "tcp 127.0.0.1:8888 (application) is taken: `node` (process 712), `nc` (process 713), \
                 which the agent did not start, have it; `kill 712 713` in the gateway makes room",
            ),
        );
        check(
            ListenerState::Foreign,
            &[],
            Some(
                "tcp 127.0.0.1:8888 (application) is taken: a process that the agent must not see \
                 has it; end that one",
            ),
        );
    }

    #[test]
    fn holders_are_shown_by_program_without_who_holds_it_for_them() {
        let check = |processes: &[(u32, &str)], expected: &str| {
            let own = |(pid, name): &(u32, &str)| Holder {
                own: true,
                ..holder(*pid, name)
            };
            let listener = Listener {
                what: None,
                transport: Transport::Tcp,
                address: ([127, 0, 0, 1], 8888).into(),
                state: ListenerState::Held,
                processes: processes.iter().map(own).collect(),
            };
            assert_eq!(listener.holders(), expected);
        };
        check(&[], "");
        check(&[(1, "lockgate-agent")], "lockgate-agent (1)");
        check(&[(1, "lockgate-agent"), (21, "node")], "node (21)");
        check(
            &[(14, "nginx"), (15, "nginx"), (9, "nc")],
            "nginx (14, 15), nc (9)",
        );
    }

    #[test]
    fn it_is_written_in_plain_words() {
        let listener = Listener {
            what: None,
            transport: Transport::Udp,
            address: ([0, 0, 0, 0], 49100).into(),
            state: ListenerState::Unexpected,
            processes: vec![holder(7, "openvpn")],
        };
        let text = serde_json::to_string(&listener).unwrap();
        assert_eq!(
            text,
            r#"{"what":null,"transport":"udp","address":"0.0.0.0:49100","state":"unexpected","processes":[{"pid":7,"name":"openvpn","own":false}]}"#
        );
        assert_eq!(serde_json::from_str::<Listener>(&text).unwrap(), listener);
    }
}
