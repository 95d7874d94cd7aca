//! What keeps clients of the VPN apart: rules of our own, by the tool that is there.
//!
//! ```text
//! client ──▶ 172.16.0.1: TCP 80 (the door), echo; answers to what the gateway began
//!        ──▶ anything else of the gateway, another client, another network: dropped
//! ```
//!
//! Without these, the kernel carries packets between clients wherever it forwards at all.
//! So they are loaded before openvpn starts, in one step, read back, and compared; they are
//! taken away once it has ended. What the rules are stands in `nftables` and `iptables`.

mod iptables;
mod nftables;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

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

/// The tool, chosen at each start of openvpn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Isolation {
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

impl Isolation {
    /// The first that is there whole.
    pub(super) fn find(program: impl Fn(&str) -> Option<PathBuf>) -> Option<Self> {
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

    /// By what it is.
    pub(super) fn by(&self) -> By {
        match self {
            Self::Nftables { .. } => By::Nftables,
            Self::Iptables { .. } => By::Iptables,
        }
    }

    /// Loads the rules; whatever was there by their names is replaced.
    pub(super) async fn load(&self, shared: &Shared, spawner: &Spawner) -> Result<(), String> {
        match self {
            Self::Nftables { nft } => {
                let file = write(shared, "isolation.json", &nftables::transaction())?;
                let loading = nftables::load(&file);
                tool::run(spawner, nft, &loading, &mark(shared)).await?;
            }
            Self::Iptables { v4, v6 } => {
                for (family, pair) in families(v4, v6) {
                    let saved = pair.saved(shared, spawner).await?;
                    let rules = iptables::load(family, &saved)?;
                    pair.restore(shared, spawner, &rules).await?;
                }
            }
        }
        Ok(())
    }

    /// Says what is wrong with the rules that are there.
    pub(super) async fn read_back(&self, shared: &Shared, spawner: &Spawner) -> Result<(), String> {
        let not_there = |why| format!("the rules are not there: {why}");
        match self {
            Self::Nftables { nft } => {
                let listed = tool::run(spawner, nft, &nftables::list(), &mark(shared)).await;
                nftables::compare(&listed.map_err(not_there)?)
            }
            Self::Iptables { v4, v6 } => {
                for (family, pair) in families(v4, v6) {
                    let saved = pair.saved(shared, spawner).await;
                    iptables::compare(family, &saved.map_err(not_there)?)?;
                }
                Ok(())
            }
        }
    }

    /// Takes the rules away, as far as they are there.
    pub(super) async fn remove(&self, shared: &Shared, spawner: &Spawner) -> Result<(), String> {
        match self {
            Self::Nftables { nft } => {
                tool::run(spawner, nft, &nftables::removal(), &mark(shared)).await?;
            }
            Self::Iptables { v4, v6 } => {
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
