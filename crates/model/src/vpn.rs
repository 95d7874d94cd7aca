//! What is said of a gateway's VPN, by whichever program says it, and what its clients may reach.

mod allowance;

pub use allowance::{VpnAllowance, VpnAllowanceError, VpnPeer, VpnProtocol};

/// How it begins where clients can reach one another, or more. Loud: it must not be overlooked.
pub const NOT_KEPT_APART: &str = "THE VPN'S CLIENTS ARE NOT KEPT APART";
/// How it begins where a VPN is wanted and does not run.
pub const DOES_NOT_RUN: &str = "the VPN does not run";

/// Whether a gateway's problem is one of its VPN.
pub fn is_of_vpn(problem: &str) -> bool {
    problem.starts_with(NOT_KEPT_APART) || problem.starts_with(DOES_NOT_RUN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_of_the_vpn_are_told_from_others() {
        let check = |problem: &str, expected| assert_eq!(is_of_vpn(problem), expected, "{problem}");
        check(&format!("{NOT_KEPT_APART}: no table"), true);
        check(&format!("{DOES_NOT_RUN}: no openvpn; install it"), true);
        check("exited with code 1", false);
        check("", false);
    }
}
