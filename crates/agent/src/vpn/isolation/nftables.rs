//! The rules as a table of nftables of our own; pure.

use std::net::Ipv4Addr;
use std::path::Path;

use lockgate_model::{VpnAllowance, VpnPeer, ports};
use serde_json::{Value, json};

use crate::vpn::TUN;

/// The table's family and name.
const FAMILY: &str = "inet";
const TABLE: &str = "lockgate_vpn";

/// Before the rules of others, which may accept something: what is dropped stays dropped.
const PRIORITY: i32 = -10;

const FROM_CLIENTS: &str = "from_clients";

/// What reads the table.
pub(super) fn list() -> [&'static str; 5] {
    ["-j", "list", "table", FAMILY, TABLE]
}

/// What loads a file of rules.
pub(super) fn load(file: &Path) -> [String; 3] {
    ["-j", "-f", &file.display().to_string()].map(str::to_owned)
}

/// What takes the table away, whether it is there or not.
pub(super) fn removal() -> [String; 1] {
    // Deleting what is not there would fail, so it is made first.
    let table = format!("table {FAMILY} {TABLE}");
    [format!("add {table}; delete {table}")]
}

/// All rules, as one transaction: whatever was there by this name is replaced.
pub(super) fn transaction(allow: &[VpnAllowance]) -> String {
    let table = json!({ "table": { "family": FAMILY, "name": TABLE } });
    // Deleting what is not there would fail, so it is made first.
    let mut all = vec![
        json!({ "add": table }),
        json!({ "delete": table }),
        json!({ "add": table }),
    ];
    let wanted = chains().into_iter().chain(rules(allow));
    all.extend(wanted.map(|object| json!({ "add": object })));
    json!({ "nftables": all }).to_string()
}

fn base(name: &str) -> Value {
    json!({ "chain": {
        "family": FAMILY, "table": TABLE, "name": name,
        "type": "filter", "hook": name, "prio": PRIORITY, "policy": "accept",
    }})
}

fn chains() -> Vec<Value> {
    vec![
        base("input"),
        json!({ "chain": { "family": FAMILY, "table": TABLE, "name": FROM_CLIENTS } }),
        base("forward"),
        base("output"),
    ]
}

/// In order within each chain; what is allowed stands before what drops the rest.
fn rules(allow: &[VpnAllowance]) -> Vec<Value> {
    let jump = json!({ "jump": { "target": FROM_CLIENTS } });
    let from = |expressions: &[Value]| rule(FROM_CLIENTS, expressions);
    let echo = is(&field("icmp", "type"), "echo-request");
    let door = is(&field("tcp", "dport"), ports::VPN_HTTP);
    let mut all = vec![
        rule("input", &[meta("iifname", TUN), jump]),
        from(&[meta("nfproto", "ipv6"), drop()]),
        // Nobody speaks in another one's name.
        from(&[matching("!=", &field("ip", "saddr"), network()), drop()]),
    ];
    all.extend(answers().map(|answer| from(&answer)));
    all.extend([
        from(&[gateway(), door, accept()]),
        from(&[gateway(), echo, accept()]),
    ]);
    let (own, of_clients): (Vec<_>, Vec<_>) =
        allow.iter().partition(|one| one.to == VpnPeer::Gateway);
    all.extend(own.into_iter().map(|one| from(&allowed(one))));
    all.push(from(&[drop()]));
    let between = |expressions: &[Value]| {
        let devices = [meta("iifname", TUN), meta("oifname", TUN)];
        rule("forward", &[&devices, expressions].concat())
    };
    if !of_clients.is_empty() {
        all.extend(answers().map(|answer| between(&answer)));
    }
    all.extend(of_clients.into_iter().map(|one| between(&allowed(one))));
    all.extend([
        rule("forward", &[meta("iifname", TUN), drop()]),
        rule("forward", &[meta("oifname", TUN), drop()]),
        rule(
            "output",
            &[meta("oifname", TUN), meta("nfproto", "ipv6"), drop()],
        ),
    ]);
    all
}

/// What passes because it belongs to what was let pass.
fn answers() -> [Vec<Value>; 2] {
    let ct = |op: &str, key: &str, right| matching(op, &json!({ "ct": { "key": key } }), right);
    [
        vec![
            ct("==", "direction", "reply"),
            ct("in", "state", "established"),
            accept(),
        ],
        // What routers and hosts say of those.
        vec![
            meta("l4proto", "icmp"),
            ct("in", "state", "related"),
            accept(),
        ],
    ]
}

/// What an entry of `[vpn] allow` lets pass.
fn allowed(one: &VpnAllowance) -> Vec<Value> {
    let to = match one.to {
        VpnPeer::Gateway => vec![gateway()],
        VpnPeer::Clients {
            network: to,
            prefix,
        } => {
            let source = is(&field("ip", "saddr"), network());
            let to = match prefix {
                32 => Value::from(to.to_string()),
                _ => prefixed(to, prefix),
            };
            vec![source, is(&field("ip", "daddr"), to)]
        }
    };
    let (first, last) = (*one.ports.start(), *one.ports.end());
    let range = if first == last {
        Value::from(first)
    } else {
        json!({ "range": [first, last] })
    };
    let port = is(&field(one.protocol.as_str(), "dport"), range);
    [to, vec![port, accept()]].concat()
}

fn gateway() -> Value {
    is(&field("ip", "daddr"), ports::VPN_GATEWAY.to_string())
}

fn network() -> Value {
    prefixed(ports::VPN_NETWORK, ports::VPN_PREFIX)
}

fn prefixed(address: Ipv4Addr, bits: u32) -> Value {
    json!({ "prefix": { "addr": address.to_string(), "len": bits } })
}

fn meta(key: &str, right: &str) -> Value {
    matching("==", &json!({ "meta": { "key": key } }), right)
}

fn accept() -> Value {
    json!({ "accept": null })
}

fn drop() -> Value {
    json!({ "drop": null })
}

fn rule(chain: &str, expressions: &[Value]) -> Value {
    json!({ "rule": {
        "family": FAMILY, "table": TABLE, "chain": chain, "expr": expressions,
    }})
}

fn field(protocol: &str, field: &str) -> Value {
    json!({ "payload": { "protocol": protocol, "field": field } })
}

fn is(left: &Value, right: impl Into<Value>) -> Value {
    matching("==", left, right)
}

fn matching(op: &str, left: &Value, right: impl Into<Value>) -> Value {
    json!({ "match": { "op": op, "left": left, "right": right.into() } })
}

/// Says what is wrong with the rules that `nft -j list table` shows: nothing where they are
/// the ones above and no others.
pub(super) fn compare(allow: &[VpnAllowance], listed: &str) -> Result<(), String> {
    let listed: Value = serde_json::from_str(listed)
        .map_err(|error| format!("nft's answer is no JSON: {error}"))?;
    let all = listed.get("nftables").and_then(Value::as_array);
    let all: Vec<&Value> = all.into_iter().flatten().collect();
    let there = |kind: &str| -> Vec<Value> {
        let of_kind = all.iter().filter_map(|object| object.get(kind));
        of_kind.map(|object| without_handle(object, kind)).collect()
    };
    let (chains_there, rules_there) = (there("chain"), there("rule"));
    for chain in chains() {
        if !chains_there.contains(&chain) {
            return Err(format!(
                "the chain `{}` is not as it was loaded",
                name(&chain)
            ));
        }
    }
    if chains_there.len() != chains().len() {
        return Err("there are chains that were not loaded".to_owned());
    }
    // In order within each chain; which chain comes first is nft's to choose.
    for chain in chains() {
        let of = |rules: &[Value]| -> Vec<Value> {
            let is_in = |rule: &&Value| rule.pointer("/rule/chain") == Some(&name(&chain).into());
            rules.iter().filter(is_in).cloned().collect()
        };
        if of(&rules_there) != of(&rules(allow)) {
            return Err(format!(
                "the rules of the chain `{}` are not those that were loaded",
                name(&chain)
            ));
        }
    }
    Ok(())
}

/// The object, without what nft numbers it by.
fn without_handle(object: &Value, kind: &str) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("handle");
    }
    json!({ kind: object })
}

fn name(chain: &Value) -> &str {
    let name = chain.pointer("/chain/name").and_then(Value::as_str);
    name.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vpn::isolation::tests::allowances;

    /// As nft 1.0.6 showed it after [`transaction`] was loaded.
    const LISTED: &str = include_str!("nftables-listed.json");

    fn listed() -> Value {
        serde_json::from_str(LISTED).unwrap()
    }

    /// What is said when the list is changed so.
    fn check(expected: &str, change: impl FnOnce(&mut Vec<Value>)) {
        let mut changed = listed();
        change(changed["nftables"].as_array_mut().unwrap());
        let why = compare(&[], &changed.to_string()).unwrap_err();
        assert!(why.contains(expected), "{why}");
    }

    fn chain_of(object: &Value) -> &str {
        object["rule"]["chain"].as_str().unwrap_or_default()
    }

    #[test]
    fn what_was_loaded_is_known_again() {
        assert_eq!(compare(&[], LISTED), Ok(()));
    }

    #[test]
    fn what_is_allowed_is_known_again_and_nothing_else_is() {
        // As nft 1.0.6 showed it.
        let listed = include_str!("nftables-allowed.json");
        let allow = allowances();
        assert_eq!(compare(&allow, listed), Ok(()));
        for at in 0..allow.len() {
            let mut fewer = allow.clone();
            fewer.remove(at);
            assert!(compare(&fewer, listed).is_err(), "{}", allow[at]);
        }
        assert!(compare(&allow, LISTED).is_err());
        assert!(compare(&[], listed).is_err());
    }

    #[test]
    fn each_rule_counts() {
        let all = listed()["nftables"].as_array().unwrap().len();
        for at in 0..all {
            let mut changed = listed();
            let removed = changed["nftables"].as_array_mut().unwrap().remove(at);
            let harmless = removed.get("metainfo").or(removed.get("table")).is_some();
            assert_eq!(
                compare(&[], &changed.to_string()).is_ok(),
                harmless,
                "{removed}"
            );
        }
    }

    #[test]
    fn another_rule_and_another_order_are_seen() {
        check("`forward`", |all| {
            let mut accept = all
                .iter()
                .find(|it| chain_of(it) == "forward")
                .unwrap()
                .clone();
            accept["rule"]["expr"] = json!([{ "accept": null }]);
            all.insert(0, accept);
        });
        check("`from_clients`", |all| {
            let of: Vec<usize> = (0..all.len())
                .filter(|at| chain_of(&all[*at]) == FROM_CLIENTS)
                .collect();
            all.swap(of[0], of[1]);
        });
        check("not loaded", |all| {
            all.push(json!({ "chain": { "family": "inet", "table": TABLE, "name": "x" } }));
        });
    }

    #[test]
    fn no_table_is_no_isolation() {
        assert!(compare(&[], "{\"nftables\": []}").is_err());
        assert!(compare(&[], "Error: No such file or directory").is_err());
    }
}
