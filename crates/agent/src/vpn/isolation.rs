//! What keeps clients of the VPN apart: rules of our own, by the tool that is there.
//!
//! ```text
//! client ──▶ 172.16.0.1: TCP 80 (the door), echo; answers to what the gateway began
//!        ──▶ what `[vpn] allow` names, of the gateway and of clients
//!        ──▶ anything else of the gateway, another client, another network: dropped
//! ```
//!
//! Without these, the kernel carries packets between clients wherever it forwards at all.
//! So they are loaded before openvpn starts, in one step, read back, and compared; they are
//! taken away once it has ended. What the rules are stands in `nftables` and `iptables`.

mod iptables;
mod nftables;

use std::path::{Path, PathBuf};

use lockgate_model::{VpnAllowance, VpnPeer};
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::prepare::mark;
use super::{Shared, tool};
use crate::error::in_one_line;
use crate::process::Spawner;
use iptables::Family;

/// Said where there is no tool.
pub(super) const MISSING: &str = "neither `nft` is installed here nor all of `iptables-save`, \
     `iptables-restore`, `ip6tables-save` and `ip6tables-restore`";

/// There where the kernel speaks IPv6.
const IPV6: &str = "/proc/net/if_inet6";

/// Whether the kernel passes packets on at all.
const FORWARDS: &str = "/proc/sys/net/ipv4/ip_forward";

/// By what clients are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum By {
    /// A table of its own.
    Nftables,
    /// Chains of its own in the table `filter`.
    Iptables,
}

impl By {
    /// As it is shown.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Nftables => "nftables",
            Self::Iptables => "iptables",
        }
    }
}

/// The rules, and by what they are loaded: chosen at each start of openvpn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Isolation {
    tool: Tool,
    /// What clients may reach beside the door.
    pub(super) allow: Vec<VpnAllowance>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Tool {
    /// All families at once.
    Nftables { nft: PathBuf },
    /// A family at a time.
    Iptables { v4: Pair, v6: Pair },
}

/// What reads the rules of a family, and what loads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    save: PathBuf,
    restore: PathBuf,
}

impl Tool {
    /// The first that is there whole.
    fn find(program: impl Fn(&str) -> Option<PathBuf>) -> Option<Self> {
        if let Some(nft) = program("nft") {
            return Some(Self::Nftables { nft });
        }
        let pair = |save, restore| {
            Some(Pair {
                save: program(save)?,
                restore: program(restore)?,
            })
        };
        Some(Self::Iptables {
            v4: pair("iptables-save", "iptables-restore")?,
            v6: pair("ip6tables-save", "ip6tables-restore")?,
        })
    }
}

impl Isolation {
    /// By the first tool that is there whole; nothing is allowed beside the door.
    pub(super) fn find(program: impl Fn(&str) -> Option<PathBuf>) -> Option<Self> {
        Some(Self {
            tool: Tool::find(program)?,
            allow: Vec::new(),
        })
    }

    /// By what it is.
    pub(super) fn by(&self) -> By {
        match self.tool {
            Tool::Nftables { .. } => By::Nftables,
            Tool::Iptables { .. } => By::Iptables,
        }
    }

    /// Loads the rules; whatever was there by their names is replaced.
    pub(super) async fn load(&self, shared: &Shared, spawner: &Spawner) -> Result<(), String> {
        self.warn_of_no_forwarding();
        match &self.tool {
            Tool::Nftables { nft } => {
                let rules = nftables::transaction(&self.allow);
                let file = write(shared, "isolation.json", &rules)?;
                let loading = nftables::load(&file);
                tool::run(spawner, nft, &loading, &mark(shared)).await?;
            }
            Tool::Iptables { v4, v6 } => {
                for (family, pair) in families(v4, v6) {
                    let saved = pair.saved(shared, spawner).await?;
                    let rules = iptables::load(family, &self.allow, &saved)?;
                    pair.restore(shared, spawner, &rules).await?;
                }
            }
        }
        Ok(())
    }

    /// Says what is wrong with the rules that are there.
    pub(super) async fn read_back(&self, shared: &Shared, spawner: &Spawner) -> Result<(), String> {
        let not_there = |why| format!("the rules are not there: {why}");
        match &self.tool {
            Tool::Nftables { nft } => {
                let listed = tool::run(spawner, nft, &nftables::list(), &mark(shared)).await;
                nftables::compare(&self.allow, &listed.map_err(not_there)?)
            }
            Tool::Iptables { v4, v6 } => {
                for (family, pair) in families(v4, v6) {
                    let saved = pair.saved(shared, spawner).await;
                    iptables::compare(family, &self.allow, &saved.map_err(not_there)?)?;
                }
                Ok(())
            }
        }
    }

    /// Takes the rules away, as far as they are there.
    pub(super) async fn remove(&self, shared: &Shared, spawner: &Spawner) -> Result<(), String> {
        match &self.tool {
            Tool::Nftables { nft } => {
                tool::run(spawner, nft, &nftables::removal(), &mark(shared)).await?;
            }
            Tool::Iptables { v4, v6 } => {
                for (_, pair) in families(v4, v6) {
                    let saved = pair.saved(shared, spawner).await?;
                    if let Some(rules) = iptables::removal(&saved)? {
                        pair.restore(shared, spawner, &rules).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// What clients may send each other goes through the gateway's kernel, where it forwards.
    fn warn_of_no_forwarding(&self) {
        let between = self.allow.iter().any(|one| one.to != VpnPeer::Gateway);
        let forwards = std::fs::read_to_string(FORWARDS);
        if between && forwards.is_ok_and(|text| text.trim() == "0") {
            warn!(
                path = FORWARDS,
                "`[vpn] allow` names clients, but this gateway's kernel passes no packet on: \
                 `net.ipv4.ip_forward` is 0"
            );
        }
    }
}

/// Without IPv6 in the kernel there is nothing to keep apart, and its tools fail.
fn families<'a>(v4: &'a Pair, v6: &'a Pair) -> impl Iterator<Item = (Family, &'a Pair)> {
    let spoken = Path::new(IPV6).exists();
    let v6 = spoken.then_some((Family::V6, v6));
    std::iter::once((Family::V4, v4)).chain(v6)
}

impl Pair {
    async fn saved(&self, shared: &Shared, spawner: &Spawner) -> Result<String, String> {
        tool::run(spawner, &self.save, &iptables::SAVE, &mark(shared)).await
    }

    async fn restore(&self, shared: &Shared, spawner: &Spawner, rules: &str) -> Result<(), String> {
        let file = write(shared, "isolation.rules", rules)?;
        let restoring = iptables::restore(&file);
        tool::run(spawner, &self.restore, &restoring, &mark(shared)).await?;
        Ok(())
    }
}

fn write(shared: &Shared, name: &str, text: &str) -> Result<PathBuf, String> {
    let written = shared.kept.write(name, text);
    written.map_err(|error| in_one_line(&error))?;
    Ok(shared.kept.path(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each kind.
    pub(super) fn allowances() -> Vec<VpnAllowance> {
        let all = [
            "5432/tcp",
            "8000-8010/udp",
            "172.16.3.0/24:8080/tcp",
            "172.16.3.4:1-65535/udp",
        ];
        all.map(|text| VpnAllowance::parse(text).unwrap()).into()
    }

    /// What is chosen where these are installed.
    fn check(installed: &[&str], expected: Option<By>) {
        let program = |name: &str| installed.contains(&name).then(|| name.into());
        let found = Isolation::find(program).map(|it| it.by());
        assert_eq!(found, expected, "{installed:?}");
    }

    #[test]
    fn nftables_come_first_and_iptables_only_whole() {
        let whole = [
            "iptables-save",
            "iptables-restore",
            "ip6tables-save",
            "ip6tables-restore",
        ];
        check(&["nft"], Some(By::Nftables));
        check(&[&whole[..], &["nft"]].concat(), Some(By::Nftables));
        check(&whole, Some(By::Iptables));
        check(&whole[..3], None);
        check(&whole[..2], None);
        check(&["iptables", "ip6tables"], None);
        check(&[], None);
    }
}
