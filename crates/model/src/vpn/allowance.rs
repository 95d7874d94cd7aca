//! What clients of a gateway's VPN may reach beside the gateway's door.

use std::fmt;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::ports;

/// An entry of `[vpn] allow`: `5432/tcp` or `8000-8010/udp` of the gateway itself, or of clients,
/// `172.16.3.0/24:8080/tcp`. All of it lies inside the VPN: no entry opens a way out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VpnAllowance {
    /// Whose ports.
    pub to: VpnPeer,
    /// Which.
    pub ports: RangeInclusive<u16>,
    /// Spoken how.
    pub protocol: VpnProtocol,
}

/// Who may be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VpnPeer {
    /// The gateway at 172.16.0.1.
    Gateway,
    /// Clients whose addresses begin with these bits of `network`; the others are zero.
    Clients {
        /// The first address.
        network: Ipv4Addr,
        /// How many bits are meant, 16 to 32.
        prefix: u32,
    },
}

/// A protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VpnProtocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl VpnProtocol {
    /// The protocol as it is written, here and in rules of the kernel's firewall.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// An entry that says nothing, or opens what stays closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VpnAllowanceError {
    /// It has another form.
    #[error(
        "`{0}` is neither ports of the gateway (`5432/tcp`, `8000-8010/udp`) nor of clients (`172.16.3.0/24:8080/tcp`)"
    )]
    Form(String),
    /// A network whose address says more than its prefix covers, or with no such prefix.
    #[error("`{0}` is no network: its prefix is 16 to 32, and the bits behind it are zero")]
    Network(String),
    /// Outside of the VPN.
    #[error(
        "`{0}` lies outside the VPN's network 172.16.0.0/16: clients reach nothing beyond the VPN"
    )]
    Outside(String),
    /// The gateway by its address.
    #[error("`{0}` is the gateway itself: leave the address out, `PORT/PROTOCOL`")]
    Gateway(String),
    /// The ports on which front doors are believed.
    #[error(
        "`{0}` opens ports of 7100-7199, where whoever asks is taken for a front door and can speak for anybody"
    )]
    FrontDoors(String),
}

impl VpnAllowance {
    /// Reads an entry.
    pub fn parse(text: &str) -> Result<Self, VpnAllowanceError> {
        let form = || VpnAllowanceError::Form(text.to_owned());
        let (rest, protocol) = text.rsplit_once('/').ok_or_else(form)?;
        let protocol = match protocol {
            "tcp" => VpnProtocol::Tcp,
            "udp" => VpnProtocol::Udp,
            _ => return Err(form()),
        };
        let (to, range) = match rest.rsplit_once(':') {
            Some((network, range)) => (Some(network), range),
            None => (None, rest),
        };
        let ports = ports_of(range).ok_or_else(form)?;
        let to = match to {
            Some(network) => clients(network, text)?,
            None => VpnPeer::Gateway,
        };
        let believed = ports::GATEWAY_HTTP;
        if to == VpnPeer::Gateway
            && ports.start() <= believed.end()
            && believed.start() <= ports.end()
        {
            return Err(VpnAllowanceError::FrontDoors(text.to_owned()));
        }
        Ok(Self {
            to,
            ports,
            protocol,
        })
    }
}

/// `5432` or `8000-8010`.
fn ports_of(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    // Only digits: a number may not begin with a sign.
    let port = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|port| digits && *port != 0)
    };
    let (first, last) = (port(first)?, port(last)?);
    (first <= last).then_some(first..=last)
}

/// An address or a network of clients.
fn clients(network: &str, text: &str) -> Result<VpnPeer, VpnAllowanceError> {
    let whole = || text.to_owned();
    let (address, prefix) = match network.split_once('/') {
        Some((address, prefix)) => (address, prefix.parse().ok()),
        None => (network, Some(32)),
    };
    let address: Ipv4Addr = address
        .parse()
        .map_err(|_| VpnAllowanceError::Form(whole()))?;
    if !ports::is_in_vpn(address.into()) {
        return Err(VpnAllowanceError::Outside(whole()));
    }
    let prefix = prefix.filter(|bits| (ports::VPN_PREFIX..=32).contains(bits));
    let covered = |bits: u32| u32::MAX.checked_shl(32 - bits).unwrap_or(0);
    let prefix = prefix.filter(|bits| address.to_bits() & !covered(*bits) == 0);
    let prefix = prefix.ok_or_else(|| VpnAllowanceError::Network(whole()))?;
    if (address, prefix) == (ports::VPN_GATEWAY, 32) {
        return Err(VpnAllowanceError::Gateway(whole()));
    }
    Ok(VpnPeer::Clients {
        network: address,
        prefix,
    })
}

impl fmt::Display for VpnAllowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to {
            VpnPeer::Gateway => {}
            VpnPeer::Clients {
                network,
                prefix: 32,
            } => write!(f, "{network}:")?,
            VpnPeer::Clients { network, prefix } => write!(f, "{network}/{prefix}:")?,
        }
        let (first, last) = (self.ports.start(), self.ports.end());
        if first == last {
            write!(f, "{first}")?;
        } else {
            write!(f, "{first}-{last}")?;
        }
        write!(f, "/{}", self.protocol.as_str())
    }
}

impl Serialize for VpnAllowance {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for VpnAllowance {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_and_written_the_same() {
        for text in [
            "5432/tcp",
            "53/udp",
            "8000-8010/tcp",
            "172.16.3.0/24:8080/tcp",
            "172.16.0.0/16:1-65535/udp",
            "172.16.3.4:8080/tcp",
            "7099/tcp",
            "7200/tcp",
            // Ports of clients are nobody's front door.
            "172.16.3.4:7100/tcp",
        ] {
            assert_eq!(VpnAllowance::parse(text).unwrap().to_string(), text);
        }
        let short = VpnAllowance::parse("172.16.3.4/32:80-80/tcp").unwrap();
        assert_eq!(short.to_string(), "172.16.3.4:80/tcp");
    }

    #[test]
    fn what_is_no_entry_is_refused_with_what_is_wrong() {
        use VpnAllowanceError::{Form, FrontDoors, Gateway, Network, Outside};
        let check = |text: &str, kind: fn(String) -> VpnAllowanceError| {
            assert_eq!(VpnAllowance::parse(text), Err(kind(text.to_owned())));
        };
        for text in [
            "",
            "5432",
            "tcp",
            "0/tcp",
            "+80/tcp",
            "70000/tcp",
            "20-10/tcp",
            "5432/icmp",
            ":80/tcp",
            "client-a:80/tcp",
            "[fe80::1]:80/tcp",
        ] {
            check(text, Form);
        }
        check("172.17.0.1:8090/tcp", Outside);
        check("10.0.0.0/8:80/tcp", Outside);
        check("0.0.0.0/0:80/tcp", Outside);
        check("172.16.3.4/24:80/tcp", Network);
        check("172.16.0.0/12:80/tcp", Network);
        check("172.16.0.0/33:80/tcp", Network);
        check("172.16.0.0/x:80/tcp", Network);
        check("172.16.0.1:5432/tcp", Gateway);
        check("7100/tcp", FrontDoors);
        check("1-65535/tcp", FrontDoors);
    }
}
