//! Port numbers and addresses that other programs rely on.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

/// The application inside a gateway, on 127.0.0.1.
pub const APP: u16 = 8888;

/// The build server.
pub const BUILD_SERVER: u16 = 8090;

/// A gateway's HTTP port on the host.
pub const GATEWAY_HTTP: RangeInclusive<u16> = 7100..=7199;

/// A gateway's OpenVPN port on the host, UDP.
pub const GATEWAY_VPN: RangeInclusive<u16> = 49100..=49199;

/// The network of a gateway's VPN, in which user containers live.
pub const VPN_NETWORK: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 0);

/// How many bits of an address name that network.
pub const VPN_PREFIX: u32 = 16;

/// The gateway itself in that network.
pub const VPN_GATEWAY: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 1);

/// The door's second port, on which user containers ask the gateway by its address.
pub const VPN_HTTP: u16 = 80;

/// Whether an address is one of a gateway's VPN: whoever asks from there is a user container, and
/// gets nothing of the host's. An engine's own bridge, 172.17.0.0/16, lies beside it.
pub fn is_in_vpn(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            address.to_bits() & !(u32::MAX >> VPN_PREFIX) == VPN_NETWORK.to_bits()
        }
        IpAddr::V6(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_vpn_are_told_from_the_bridge() {
        for (address, expected) in [
            ("172.16.0.1", true),
            ("172.16.255.255", true),
            ("::ffff:172.16.3.4", true),
            ("172.17.0.1", false),
            ("172.15.0.1", false),
            ("127.0.0.1", false),
            ("::1", false),
        ] {
            assert_eq!(is_in_vpn(address.parse().unwrap()), expected, "{address}");
        }
    }
}
