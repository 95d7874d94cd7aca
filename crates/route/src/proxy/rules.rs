//! What one door does otherwise than another.

use std::net::IpAddr;

use lockgate_model::ports;

use super::ForwardedHeaders;
use super::wait::WaitingRoom;

/// Which of the two doors it is that a request passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Stage {
    /// A gateway's: the application stands behind it.
    #[default]
    Gateway,
    /// The host's: gateways' doors stand behind it.
    Front,
}

/// The rules of a door.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    pub(super) stage: Stage,
    pub(super) forwarded: ForwardedHeaders,
    /// Where requests wait for a gateway; without one none does.
    pub(super) room: Option<WaitingRoom>,
    /// Whether clients of a gateway's VPN get nothing here.
    pub(super) closed_to_vpn: bool,
}

impl Rules {
    /// Whether a client from this address is served.
    pub(super) fn let_in(&self, peer: IpAddr) -> bool {
        !(self.closed_to_vpn && ports::is_in_vpn(peer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_of_a_vpn_are_let_in_unless_the_door_is_closed_to_them() {
        let open = Rules::default();
        let closed = Rules {
            closed_to_vpn: true,
            ..Rules::default()
        };
        let (vpn, bridge) = ("172.16.0.6".parse().unwrap(), "172.17.0.2".parse().unwrap());
        assert!(open.let_in(vpn) && open.let_in(bridge) && closed.let_in(bridge));
        assert!(!closed.let_in(vpn));
    }
}
