//! What an engine's description of a network says.

use std::net::{IpAddr, Ipv4Addr};

use bollard::models::{IpamConfig, NetworkInspect};

/// The address of the engine's host in a network.
///
/// A network that was made with a range of addresses and nothing else does not show it: a bridge
/// takes the first one then. A dual network shows two; IPv4 is what every container has.
pub(super) fn gateway(network: &NetworkInspect) -> Option<IpAddr> {
    let configs = network.ipam.as_ref().and_then(|ipam| ipam.config.as_ref());
    let configs = || configs.into_iter().flatten();
    let shown = configs().filter_map(|config| config.gateway.as_deref());
    let mut shown: Vec<IpAddr> = shown.filter_map(|text| text.parse().ok()).collect();
    shown.sort_by_key(IpAddr::is_ipv6);
    let is_bridge = network.driver.as_deref() == Some("bridge");
    let first = || configs().find_map(first).filter(|_| is_bridge);
    shown.first().copied().or_else(first)
}

/// The first address that is given out: that of the range, but for the network's own.
fn first(config: &IpamConfig) -> Option<IpAddr> {
    let network = beginning(config.subnet.as_deref()?)?;
    let range = config.ip_range.as_deref().filter(|text| !text.is_empty());
    let start = range.map_or(Some(network), beginning)?;
    let first = if start == network { start + 1 } else { start };
    Some(Ipv4Addr::from(first).into())
}

/// The lowest address of a range such as `172.30.0.0/16`.
fn beginning(range: &str) -> Option<u32> {
    let (address, prefix) = range.split_once('/')?;
    let address: Ipv4Addr = address.parse().ok()?;
    let prefix: u32 = prefix.parse().ok().filter(|prefix| *prefix <= 30)?;
    let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
    Some(address.to_bits() & mask)
}

#[cfg(test)]
mod tests {
    use bollard::models::Ipam;

    use super::*;

    #[test]
    fn the_hosts_address_is_shown_or_the_first_of_a_bridge() {
        let check = |driver: &str, configs: &[[&str; 3]], expected: Option<&str>| {
            let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            let config = |[subnet, ip_range, gateway]: &[&str; 3]| IpamConfig {
                subnet: some(subnet),
                ip_range: some(ip_range),
                gateway: some(gateway),
                ..IpamConfig::default()
            };
            let network = NetworkInspect {
                driver: Some(driver.to_owned()),
                ipam: Some(Ipam {
                    config: Some(configs.iter().map(config).collect()),
                    ..Ipam::default()
                }),
                ..NetworkInspect::default()
            };
            let found = gateway(&network).map(|address| address.to_string());
            assert_eq!(found.as_deref(), expected, "{driver} {configs:?}");
        };
        let shown = ["172.17.0.0/16", "", "172.17.0.9"];
        check("bridge", &[shown], Some("172.17.0.9"));
        check(
            "bridge",
            &[["fd00::/64", "", "fd00::1"], shown],
            Some("172.17.0.9"),
        );
        check("bridge", &[["fd00::/64", "", "fd00::1"]], Some("fd00::1"));
        check("bridge", &[["172.30.0.0/16", "", ""]], Some("172.30.0.1"));
        for (range, expected) in [
            ("172.30.8.0/24", "172.30.8.0"),
            ("172.30.0.0/24", "172.30.0.1"),
        ] {
            check("bridge", &[["172.30.0.0/16", range, ""]], Some(expected));
        }
        check("bridge", &[["10.0.0.0/31", "", ""]], None);
        check("macvlan", &[["192.168.1.0/24", "", ""]], None);
        check("host", &[], None);
    }
}
