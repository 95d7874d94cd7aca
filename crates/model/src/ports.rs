//! Port numbers and addresses that other programs rely on.

use std::net::Ipv4Addr;
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
