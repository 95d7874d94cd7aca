//! How names of environments resolve on this machine, and what makes them.
//!
//! ```text
//! host ─▶ resolve            what the system's resolver says, as every program is told it
//! /etc, /run ─▶ Resolver     which resolvers this machine has
//! Resolver, domains ─▶ Lines what to write into which file, and what makes it count
//! ```

mod lines;
mod resolve;
mod resolver;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

pub(crate) use self::lines::{About, Lines, lines};
pub(crate) use self::resolve::{Resolved, resolve, resolve_all};
pub(crate) use self::resolver::{Machine, Resolver};
use crate::environment::Environment;

/// Where `lockgate dns serve` listens if nobody says otherwise: everybody may bind it.
pub(crate) const NAME_SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5353);

/// What makes names resolve, where they do not.
pub(crate) const HELP: &str = "lockgate dns lines";

/// The domains of all environments that are not being deleted, each once.
pub(crate) fn domains(environments: &[Environment]) -> Vec<String> {
    let all = environments.iter().filter(|it| !it.deleting);
    let mut domains: Vec<String> = all.map(|it| it.domain.clone()).collect();
    domains.sort();
    domains.dedup();
    domains
}

/// Whether browsers and curl lead a name to this host by themselves.
pub(crate) fn is_below_localhost(name: &str) -> bool {
    is_below(name, "localhost")
}

/// What a domain below `.local` costs.
pub(crate) fn warning(domain: &str) -> Option<String> {
    is_below(domain, "local").then(|| {
        format!(
            "`{domain}` lies below `.local`, which belongs to multicast DNS: many systems ask the \
             network first, so a lookup can take 5 s, and a name can be found by one program and \
             not by the next; below `.localhost` or `.test` there is none of that"
        )
    })
}

fn is_below(name: &str, domain: &str) -> bool {
    let above = name.strip_suffix(domain);
    above.is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

/// Whether a name leads to this host, as far as its resolver says.
pub(crate) fn leads_here(resolved: &Resolved) -> bool {
    let addresses = resolved.as_deref().unwrap_or_default();
    addresses.iter().any(IpAddr::is_loopback)
}

/// The addresses on which a front door listens: by IPv6, where this host has that.
pub(crate) fn loopback() -> Vec<IpAddr> {
    let v6 = IpAddr::from(std::net::Ipv6Addr::LOCALHOST);
    let has_v6 = UdpSocket::bind((v6, 0)).is_ok();
    let v4 = IpAddr::from(Ipv4Addr::LOCALHOST);
    std::iter::once(v4).chain(has_v6.then_some(v6)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_below_local_is_told_and_localhost_does_not() {
        let check = |domain, expected| {
            assert_eq!(warning(domain).is_some(), expected, "{domain}");
        };
        check("domain.local", true);
        check("local", true);
        check("dev-001.localhost", false);
        check("local.test", false);
        check("notlocal", false);
        assert!(is_below_localhost("org-1.dev-001.localhost"));
        assert!(!is_below_localhost("dev-001.xlocalhost"));
    }
}
