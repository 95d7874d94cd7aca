//! Where containers find the server, and whom they trust: files in each, since an address that
//! changes is no reason for a new container.
//!
//! ```text
//! what the server listens on ─▶ /etc/lockgate/servers ─▶ the agent, at each question anew
//! the authority that signs   ─▶ /etc/lockgate/ca.pem  ─▶ the agent, at each start of a child
//! ```

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

/// What an engine's own host is called in its containers, where the engine says so.
pub(super) const ENGINE_HOST: &str = "host.docker.internal";

/// What a container is told that may change while it lives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Files {
    /// Where the server is.
    pub(super) servers: String,
    /// The certificate of the authority, where there is one.
    pub(super) authority: Option<String>,
}

/// What came of listening on the address that containers of a network are nearest to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// The server listens there, or will once whoever has the address is gone.
    There(IpAddr),
    /// It is no address of this machine.
    NotHere,
}

/// The file of servers: one URL a line, best first, and at its end the front door's, `https://…`,
/// where containers reach that.
///
/// First the address in the network itself. Where that is not this machine's, the engine is in a
/// virtual machine or elsewhere: then what `serve --listen` was given, and the name that such an
/// engine gives to the machine it was started from. That name is told only there: elsewhere nobody
/// vouches for who has it, and agents offer their token to all they are told.
pub(super) fn file(
    heard: &Heard,
    given: &[SocketAddr],
    port: u16,
    front: Option<SocketAddr>,
) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    if let Heard::There(ip) = heard {
        let _ = writeln!(text, "http://{}", SocketAddr::new(*ip, port));
    }
    for address in given {
        if *heard != Heard::There(address.ip()) {
            let _ = writeln!(text, "http://{address}");
        }
    }
    if *heard == Heard::NotHere {
        let _ = writeln!(text, "http://{ENGINE_HOST}:{port}");
    }
    if let Some(front) = front {
        let _ = writeln!(text, "https://{front}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(heard: &Heard, given: &[&str], expected: &[&str]) {
        let given: Vec<SocketAddr> = given.iter().map(|text| text.parse().unwrap()).collect();
        let text = file(heard, &given, 8090, None);
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_nearest_address_comes_first_and_names_only_where_there_is_none() {
        let there = Heard::There(IpAddr::from([172, 17, 0, 1]));
        let near = "http://172.17.0.1:8090";
        check(&there, &[], &[near]);
        check(
            &there,
            &["10.0.0.5:9000", "172.17.0.1:8090"],
            &[near, "http://10.0.0.5:9000"],
        );
        let far = "http://host.docker.internal:8090";
        check(&Heard::NotHere, &[], &[far]);
        check(
            &Heard::NotHere,
            &["10.0.0.5:9000"],
            &["http://10.0.0.5:9000", far],
        );
        let six = Heard::There("fd00::1".parse().unwrap());
        check(&six, &[], &["http://[fd00::1]:8090"]);
    }

    #[test]
    fn the_front_door_stands_behind_the_servers() {
        let there = Heard::There(IpAddr::from([172, 17, 0, 1]));
        let front = "172.17.0.1:443".parse().ok();
        let text = file(&there, &[], 8090, front);
        assert_eq!(text, "http://172.17.0.1:8090\nhttps://172.17.0.1:443\n");
    }
}
