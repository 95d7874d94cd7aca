//! The rules as chains of our own in the table `filter` of iptables and ip6tables; pure.
//!
//! ```text
//! INPUT   ── -i tun0 ─────────────▶ LOCKGATE-VPN-IN
//! FORWARD ── -i tun0, -o tun0 ────▶ LOCKGATE-VPN-FWD
//! OUTPUT  ── -o tun0, IPv6 alone ─▶ LOCKGATE-VPN-OUT
//! ```
//!
//! The jumps come first, before the rules of others, which may accept something. What passes
//! goes back to those, which may still drop it.

use std::path::Path;

use lockgate_model::{VpnAllowance, VpnPeer, ports};

use crate::vpn::TUN;

const IN: &str = "LOCKGATE-VPN-IN";
const FWD: &str = "LOCKGATE-VPN-FWD";
const OUT: &str = "LOCKGATE-VPN-OUT";

/// What reads the rules.
pub(super) const SAVE: [&str; 2] = ["-t", "filter"];

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    fn tool(self) -> &'static str {
        match self {
            Self::V4 => "iptables",
            Self::V6 => "ip6tables",
        }
    }

    /// The kernel's chains, and their first rules.
    fn jumps(self) -> Vec<(&'static str, Vec<String>)> {
        let jump =
            |chain: &str, packets: &str, to: &str| format!("-A {chain} {packets} {TUN} -j {to}");
        let mut all = vec![
            ("INPUT", vec![jump("INPUT", "-i", IN)]),
            (
                "FORWARD",
                vec![jump("FORWARD", "-i", FWD), jump("FORWARD", "-o", FWD)],
            ),
        ];
        if self == Self::V6 {
            all.push(("OUTPUT", vec![jump("OUTPUT", "-o", OUT)]));
        }
        all
    }

    /// The chains of our own with their rules, word for word as `iptables-save` shows them.
    fn chains(self, allow: &[VpnAllowance]) -> Vec<(&'static str, Vec<String>)> {
        let of = |chain, rules: &[String]| {
            let rules = rules.iter().map(|rule| format!("-A {chain} {rule}"));
            (chain, rules.collect())
        };
        let drop = || "-j DROP".to_owned();
        match self {
            Self::V4 => vec![
                of(IN, &from_clients(allow)),
                of(FWD, &between_clients(allow)),
            ],
            Self::V6 => vec![of(IN, &[drop()]), of(FWD, &[drop()]), of(OUT, &[drop()])],
        }
    }
}

/// What is allowed stands before what drops the rest.
fn from_clients(allow: &[VpnAllowance]) -> Vec<String> {
    let (gateway, door) = (ports::VPN_GATEWAY, ports::VPN_HTTP);
    // Nobody speaks in another one's name.
    let mut all = vec![format!("! -s {} -j DROP", network())];
    all.extend(answers(""));
    all.push(format!(
        "-d {gateway}/32 -p tcp -m tcp --dport {door} -j RETURN"
    ));
    // Echo requests.
    all.push(format!(
        "-d {gateway}/32 -p icmp -m icmp --icmp-type 8 -j RETURN"
    ));
    all.extend(allow.iter().filter_map(|one| match one.to {
        VpnPeer::Gateway => Some(format!("-d {gateway}/32 {}", ports_of(one))),
        VpnPeer::Clients { .. } => None,
    }));
    all.push("-j DROP".to_owned());
    all
}

fn between_clients(allow: &[VpnAllowance]) -> Vec<String> {
    let devices = format!("-i {TUN} -o {TUN} ");
    let allowed = allow.iter().filter_map(|one| match one.to {
        VpnPeer::Gateway => None,
        VpnPeer::Clients {
            network: to,
            prefix,
        } => Some(format!(
            "-s {} -d {to}/{prefix} {devices}{}",
            network(),
            ports_of(one)
        )),
    });
    let mut all: Vec<String> = allowed.collect();
    if !all.is_empty() {
        all.splice(0..0, answers(&devices));
    }
    all.push("-j DROP".to_owned());
    all
}

/// What passes because it belongs to what was let pass.
fn answers(of: &str) -> [String; 2] {
    [
        format!("{of}-m conntrack --ctstate ESTABLISHED --ctdir REPLY -j RETURN"),
        // What routers and hosts say of those.
        format!("{of}-p icmp -m conntrack --ctstate RELATED -j RETURN"),
    ]
}

fn ports_of(one: &VpnAllowance) -> String {
    let protocol = one.protocol.as_str();
    let (first, last) = (one.ports.start(), one.ports.end());
    let range = if first == last {
        first.to_string()
    } else {
        format!("{first}:{last}")
    };
    format!("-p {protocol} -m {protocol} --dport {range} -j RETURN")
}

fn network() -> String {
    format!("{}/{}", ports::VPN_NETWORK, ports::VPN_PREFIX)
}

/// What loads a file of rules. Others may hold the lock for a moment.
pub(super) fn restore(file: &Path) -> [String; 3] {
    ["--noflush", "--wait=5", &file.display().to_string()].map(str::to_owned)
}

/// All rules, as one transaction; what `saved` shows by their names is replaced, and the rules
/// of others stay.
pub(super) fn load(family: Family, allow: &[VpnAllowance], saved: &str) -> Result<String, String> {
    let mut lines = deletions(&Filter::parse(saved)?);
    for (chain, rules) in family.chains(allow) {
        // Emptied, where it is there.
        lines.push(format!(":{chain} - [0:0]"));
        lines.extend(rules);
    }
    for (chain, jumps) in family.jumps() {
        let numbered = jumps.iter().zip(1..).map(|(jump, number)| {
            let first = format!("-I {chain} {number} ");
            jump.replacen(&format!("-A {chain} "), &first, 1)
        });
        lines.extend(numbered);
    }
    Ok(transaction(&lines))
}

/// What takes the rules that `saved` shows away; `None` where there are none.
pub(super) fn removal(saved: &str) -> Result<Option<String>, String> {
    let there = Filter::parse(saved)?;
    let own = || [IN, FWD, OUT].into_iter().filter(|own| there.has(own));
    if own().next().is_none() {
        return Ok(None);
    }
    let mut lines = deletions(&there);
    lines.extend(own().map(|chain| format!("-F {chain}")));
    lines.extend(own().map(|chain| format!("-X {chain}")));
    Ok(Some(transaction(&lines)))
}

/// What takes away each rule of others' chains that leads into one of ours.
fn deletions(there: &Filter<'_>) -> Vec<String> {
    let of_others = there
        .rules
        .iter()
        .filter(|rule| !is_of(rule, &[IN, FWD, OUT]));
    let leads = of_others.filter(|rule| leads_into(rule, &[IN, FWD, OUT]));
    leads.map(|rule| rule.replacen("-A", "-D", 1)).collect()
}

fn transaction(lines: &[String]) -> String {
    format!("*filter\n{}\nCOMMIT\n", lines.join("\n"))
}

/// Says what is wrong with the rules that `iptables-save` shows: nothing where ours are there, in
/// order and no others among them, and come first.
pub(super) fn compare(family: Family, allow: &[VpnAllowance], saved: &str) -> Result<(), String> {
    let (there, tool) = (Filter::parse(saved)?, family.tool());
    for (chain, wanted) in family.chains(allow) {
        if !there.has(chain) {
            return Err(format!(
                "the rules are not there: {tool} has no chain `{chain}`"
            ));
        }
        if there.of(chain) != wanted {
            return Err(format!(
                "the rules of {tool}'s chain `{chain}` are not those that were loaded"
            ));
        }
    }
    for (chain, jumps) in family.jumps() {
        let first = there.of(chain).into_iter().take(jumps.len());
        if !first.eq(jumps.iter()) {
            return Err(format!(
                "{tool}'s chain `{chain}` does not begin with what leads into the rules"
            ));
        }
    }
    Ok(())
}

/// The table, as `iptables-save` shows it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Filter<'a> {
    chains: Vec<&'a str>,
    rules: Vec<&'a str>,
}

impl<'a> Filter<'a> {
    /// Nothing where the table is not there yet.
    fn parse(saved: &'a str) -> Result<Self, String> {
        let mut filter = Self::default();
        let mut lines = saved.lines().map(str::trim_end);
        if !lines.any(|line| line == "*filter") {
            return Ok(filter);
        }
        for line in lines {
            match line.chars().next() {
                None | Some('#') => {}
                Some(':') => filter.chains.extend(line.get(1..).and_then(first_word)),
                Some('-') => filter.rules.push(line),
                Some(_) if line == "COMMIT" => return Ok(filter),
                Some(_) => return Err(format!("nobody knows what `{line}` means among the rules")),
            }
        }
        Err("the list of rules has no end".to_owned())
    }

    fn has(&self, chain: &str) -> bool {
        self.chains.contains(&chain)
    }

    fn of(&self, chain: &str) -> Vec<&'a str> {
        let rules = self.rules.iter().filter(|rule| is_of(rule, &[chain]));
        rules.copied().collect()
    }
}

fn first_word(text: &str) -> Option<&str> {
    text.split(' ').next()
}

fn is_of(rule: &str, chains: &[&str]) -> bool {
    let chain = rule.strip_prefix("-A ").and_then(first_word);
    chain.is_some_and(|chain| chains.contains(&chain))
}

/// A chain's name stands last; what stands in a comment is followed by something.
fn leads_into(rule: &str, chains: &[&str]) -> bool {
    let mut words = rule.rsplit(' ');
    let (last, way) = (words.next(), words.next());
    matches!(way, Some("-j" | "-g")) && last.is_some_and(|last| chains.contains(&last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vpn::isolation::tests::allowances;
    use Family::{V4, V6};

    /// As iptables 1.8.9 showed them after [`load`], among rules of others.
    const SAVED: [(Family, &str); 4] = [
        (V4, include_str!("iptables-nft-v4.txt")),
        (V4, include_str!("iptables-legacy-v4.txt")),
        (V6, include_str!("iptables-nft-v6.txt")),
        (V6, include_str!("iptables-legacy-v6.txt")),
    ];

    /// The lines of our own rules, and of what leads into them.
    fn own(saved: &str) -> Vec<&str> {
        let own = saved.lines().filter(|line| line.contains("LOCKGATE-VPN-"));
        own.collect()
    }

    /// What is said when the list is changed so.
    fn check(expected: &str, from: &str, to: &str) {
        for (family, saved) in SAVED {
            let changed = saved.replacen(from, to, 1);
            assert_ne!(saved, changed);
            let why = compare(family, &[], &changed).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
    }

    #[test]
    fn what_was_loaded_is_known_again() {
        for (family, saved) in SAVED {
            assert_eq!(compare(family, &[], saved), Ok(()), "{saved}");
        }
        assert!(compare(V4, &[], SAVED[2].1).is_err());
        assert!(compare(V6, &[], SAVED[0].1).is_err());
    }

    #[test]
    fn what_is_allowed_is_known_again_and_nothing_else_is() {
        // As iptables 1.8.9 showed it by both of its ways.
        let saved = include_str!("iptables-allowed-v4.txt");
        let allow = allowances();
        assert_eq!(compare(V4, &allow, saved), Ok(()));
        for at in 0..allow.len() {
            let mut fewer = allow.clone();
            fewer.remove(at);
            assert!(compare(V4, &fewer, saved).is_err(), "{}", allow[at]);
        }
        assert!(compare(V4, &allow, SAVED[0].1).is_err());
        assert!(compare(V4, &[], saved).is_err());
        // The VPN speaks IPv4 alone.
        assert_eq!(compare(V6, &allow, SAVED[2].1), Ok(()));
    }

    #[test]
    fn each_line_counts() {
        for (family, saved) in SAVED {
            for line in own(saved) {
                let without = saved.replacen(&format!("{line}\n"), "", 1);
                assert!(compare(family, &[], &without).is_err(), "{line}");
                let twice = saved.replacen(line, &format!("{line}\n{line}"), 1);
                // The second of two that stand last never sees a packet.
                let harmless = [":", "-A INPUT", "-A FORWARD -o", "-A OUTPUT"];
                let harmless = harmless.iter().any(|it| line.starts_with(it));
                assert_eq!(compare(family, &[], &twice).is_ok(), harmless, "{line}");
            }
        }
    }

    #[test]
    fn what_comes_before_and_what_is_added_is_seen() {
        for chain in ["INPUT", "FORWARD"] {
            let first = format!("-A {chain} -i tun0");
            check(
                &format!("`{chain}` does not begin"),
                &first,
                &format!("-A {chain} -j ACCEPT\n{first}"),
            );
        }
        check(
            "`LOCKGATE-VPN-IN`",
            "-A LOCKGATE-VPN-IN ",
            "-A LOCKGATE-VPN-IN -j RETURN\n-A LOCKGATE-VPN-IN ",
        );
        check(
            "`LOCKGATE-VPN-FWD`",
            "-A LOCKGATE-VPN-FWD -j DROP",
            "-A LOCKGATE-VPN-FWD -j ACCEPT",
        );
        check("no end", "COMMIT", "# COMMIT");
        check("nobody knows", "COMMIT", "Segmentation fault");
        check("no chain", "*filter", "*nat");
    }

    #[test]
    fn what_is_there_is_replaced_and_the_rules_of_others_stay() {
        for (family, saved) in SAVED {
            let before = [
                "-A INPUT -i tun0 -m comment --comment \"an older one\" -j LOCKGATE-VPN-IN\n",
                "-A mine -g LOCKGATE-VPN-FWD\n",
                "-A INPUT -m comment --comment \"-j LOCKGATE-VPN-IN\"\n",
            ];
            let there = format!("{}COMMIT\n", before.concat());
            let there = saved.replacen("COMMIT\n", &there, 1);
            for text in [
                load(family, &[], &there).unwrap(),
                removal(&there).unwrap().unwrap(),
            ] {
                let mut deleted: Vec<&str> =
                    text.lines().filter(|line| line.starts_with("-D")).collect();
                let jumps = family.jumps().into_iter().flat_map(|(_, jumps)| jumps);
                let all = jumps.chain(before[..2].iter().map(|rule| rule.trim_end().to_owned()));
                let mut all: Vec<String> = all.map(|rule| rule.replacen("-A", "-D", 1)).collect();
                deleted.sort_unstable();
                all.sort_unstable();
                assert_eq!(deleted, all);
            }
        }
    }

    #[test]
    fn where_nothing_is_there_nothing_is_taken_away() {
        let empty = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n";
        for saved in ["", "# Table `nat' is incompatible\n", empty] {
            assert_eq!(removal(saved), Ok(None));
            assert!(!load(V4, &[], saved).unwrap().contains("-D"));
            assert!(
                compare(V4, &[], saved)
                    .unwrap_err()
                    .contains("no chain `LOCKGATE-VPN-IN`")
            );
        }
        assert!(removal("*filter\n").is_err());
    }
}
