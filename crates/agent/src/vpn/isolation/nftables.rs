//! The rules as a table of nftables of our own; pure.

use std::path::Path;

use lockgate_model::ports;
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
pub(super) fn transaction() -> String {
    let table = json!({ "table": { "family": FAMILY, "name": TABLE } });
    // Deleting what is not there would fail, so it is made first.
    let mut all = vec![
        json!({ "add": table }),
        json!({ "delete": table }),
        json!({ "add": table }),
    ];
    let wanted = chains().into_iter().chain(rules());
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

fn rules() -> Vec<Value> {
    let meta = |key: &str, right: &str| matching("==", &json!({ "meta": { "key": key } }), right);
    let ct = |op: &str, key: &str, right| matching(op, &json!({ "ct": { "key": key } }), right);
    let gateway = || is(&field("ip", "daddr"), ports::VPN_GATEWAY.to_string());
    let network = json!({ "prefix": {
        "addr": ports::VPN_NETWORK.to_string(), "len": ports::VPN_PREFIX,
    }});
    let drop = || json!({ "drop": null });
    let accept = || json!({ "accept": null });
    let jump = json!({ "jump": { "target": FROM_CLIENTS } });
    let from = |expressions: &[Value]| rule(FROM_CLIENTS, expressions);
    vec![
        rule("input", &[meta("iifname", TUN), jump]),
        from(&[meta("nfproto", "ipv6"), drop()]),
        // Nobody speaks in another one's name.
        from(&[matching("!=", &field("ip", "saddr"), network), drop()]),
        from(&[
            ct("==", "direction", "reply"),
            ct("in", "state", "established"),
            accept(),
        ]),
        // What routers and hosts say of those.
        from(&[
            meta("l4proto", "icmp"),
            ct("in", "state", "related"),
            accept(),
        ]),
        from(&[
            gateway(),
            is(&field("tcp", "dport"), ports::VPN_HTTP),
            accept(),
        ]),
        from(&[
            gateway(),
            is(&field("icmp", "type"), "echo-request"),
            accept(),
        ]),
        from(&[drop()]),
        rule("forward", &[meta("iifname", TUN), drop()]),
        rule("forward", &[meta("oifname", TUN), drop()]),
        rule(
            "output",
            &[meta("oifname", TUN), meta("nfproto", "ipv6"), drop()],
        ),
    ]
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
pub(super) fn compare(listed: &str) -> Result<(), String> {
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
        if of(&rules_there) != of(&rules()) {
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

    /// As nft 1.0.6 showed it after [`transaction`] was loaded.
    const LISTED: &str = include_str!("nftables-listed.json");

    fn listed() -> Value {
        serde_json::from_str(LISTED).unwrap()
    }

    /// What is said when the list is changed so.
    fn check(expected: &str, change: impl FnOnce(&mut Vec<Value>)) {
        let mut changed = listed();
        change(changed["nftables"].as_array_mut().unwrap());
        let why = compare(&changed.to_string()).unwrap_err();
        assert!(why.contains(expected), "{why}");
    }

    fn chain_of(object: &Value) -> &str {
        object["rule"]["chain"].as_str().unwrap_or_default()
    }

    #[test]
    fn what_was_loaded_is_known_again() {
        assert_eq!(compare(LISTED), Ok(()));
    }

    #[test]
    fn each_rule_counts() {
        let all = listed()["nftables"].as_array().unwrap().len();
        for at in 0..all {
            let mut changed = listed();
            let removed = changed["nftables"].as_array_mut().unwrap().remove(at);
            let harmless = removed.get("metainfo").or(removed.get("table")).is_some();
            assert_eq!(compare(&changed.to_string()).is_ok(), harmless, "{removed}");
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
        assert!(compare("{\"nftables\": []}").is_err());
        assert!(compare("Error: No such file or directory").is_err());
    }
}
