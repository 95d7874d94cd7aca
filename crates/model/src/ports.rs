//! Port numbers and addresses that other programs rely on.

use std::ops::RangeInclusive;

/// The application inside a gateway, on 127.0.0.1.
pub const APP: u16 = 8888;

/// The build server.
pub const BUILD_SERVER: u16 = 8090;

/// A gateway's HTTP port on the host.
pub const GATEWAY_HTTP: RangeInclusive<u16> = 7100..=7199;

/// A gateway's OpenVPN port on the host, UDP.
pub const GATEWAY_VPN: RangeInclusive<u16> = 49100..=49199;
