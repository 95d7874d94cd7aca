//! The system's own answer: `getaddrinfo`, as most programs ask it, Node among them.

use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::thread;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long it may take: glibc asks a server that is away for 5 s, and then the next.
const WITHIN: Duration = Duration::from_secs(6);

/// The addresses of a name, or why there are none.
pub(crate) type Resolved = Result<Vec<IpAddr>, String>;

/// Asks for a name.
pub(crate) async fn resolve(host: &str) -> Resolved {
    let (tell, told) = oneshot::channel();
    let asked = host.to_owned();
    // A thread of its own, which nobody waits for: the runtime would, at the end of the program.
    let started = thread::Builder::new().spawn(move || {
        let found = (asked.as_str(), 0).to_socket_addrs();
        // Who asked may have stopped waiting.
        let _ = tell.send(found.map(|all| all.map(|it| it.ip()).collect::<Vec<_>>()));
    });
    if let Err(error) = started {
        return Err(error.to_string());
    }
    match timeout(WITHIN, told).await {
        Ok(Ok(found)) => found.map(unique).map_err(|error| said(&error)),
        Ok(Err(_)) => Err("the lookup ended without an answer".to_owned()),
        Err(_) => Err(format!("no answer within {} s", WITHIN.as_secs())),
    }
}

/// The addresses of each name, asked for all at once.
pub(crate) async fn resolve_all(hosts: &[String]) -> Vec<Resolved> {
    join_all(hosts.iter().map(|host| resolve(host))).await
}

/// Each address once; the C library gives them by kind of socket.
fn unique(all: Vec<IpAddr>) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for address in all {
        if !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

/// What the C library said, without what the standard library puts before it.
fn said(error: &io::Error) -> String {
    let text = error.to_string();
    let plain = text.strip_prefix("failed to lookup address information: ");
    plain.unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_resolves_or_it_is_said_why_not() {
        let addresses = resolve("localhost").await.unwrap();
        assert!(addresses.iter().all(IpAddr::is_loopback), "{addresses:?}");
        let hosts = ["127.0.0.9".to_owned(), "no name".to_owned()];
        let told = resolve_all(&hosts).await;
        assert_eq!(told[0], Ok(vec!["127.0.0.9".parse().unwrap()]));
        let why = told[1].clone().unwrap_err();
        assert!(!why.is_empty() && !why.contains("lookup address"), "{why}");
    }
}
