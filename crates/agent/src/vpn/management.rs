//! Who is connected: asked at openvpn's management interface, for the moment of the question.
//!
//! Only one at a time is let in there, so nobody stays.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::render::MANAGEMENT;

/// How long the answer may take: somebody else may be let in.
const WITHIN: Duration = Duration::from_secs(2);

/// A client that is connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Client {
    /// Its address in the VPN.
    pub(crate) address: Ipv4Addr,
    /// Where it comes from.
    pub(crate) from: String,
    /// Since when, in UNIX milliseconds.
    pub(crate) since: u64,
    /// Bytes that came from it.
    pub(crate) received_bytes: u64,
    /// Bytes that went to it.
    pub(crate) sent_bytes: u64,
}

/// Asks for all clients, sorted by address.
pub(super) async fn clients() -> io::Result<Vec<Client>> {
    let asked = timeout(WITHIN, ask()).await;
    let text = asked.map_err(|_| {
        io::Error::other("the management interface did not answer: somebody else may be using it")
    })??;
    Ok(parse(&text))
}

async fn ask() -> io::Result<String> {
    let (host, port) = MANAGEMENT;
    let stream = TcpStream::connect(SocketAddr::from((host, port))).await?;
    let mut stream = BufReader::new(stream);
    stream.write_all(b"status 3\n").await?;
    let (mut text, mut line) = (String::new(), String::new());
    while stream.read_line(&mut line).await? > 0 && line.trim_end() != "END" {
        text.push_str(&line);
        line.clear();
    }
    // Whether it is heard or not: closing says the same.
    let _ = stream.write_all(b"quit\n").await;
    Ok(text)
}

/// Reads an answer to `status 3`: fields by tabs, in the order that its own header names.
fn parse(text: &str) -> Vec<Client> {
    let mut names: Vec<&str> = Vec::new();
    let mut clients = Vec::new();
    for line in text.lines() {
        let mut fields = line.split('\t');
        match (fields.next(), fields.clone().next()) {
            (Some("HEADER"), Some("CLIENT_LIST")) => names = fields.skip(1).collect(),
            (Some("CLIENT_LIST"), _) => {
                let values: Vec<&str> = fields.collect();
                clients.extend(client(&names, &values));
            }
            _ => {}
        }
    }
    clients.sort_by_key(|client| client.address);
    clients
}

/// One client; `None` for one that has no address yet.
fn client(names: &[&str], values: &[&str]) -> Option<Client> {
    let field = |name: &str| {
        let at = names.iter().position(|one| *one == name)?;
        values.get(at).copied()
    };
    Some(Client {
        address: field("Virtual Address")?.parse().ok()?,
        from: field("Real Address")?.to_owned(),
        since: field("Connected Since (time_t)")?
            .parse::<u64>()
            .ok()?
            .saturating_mul(1000),
        received_bytes: field("Bytes Received")?.parse().ok()?,
        sent_bytes: field("Bytes Sent")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As openvpn 2.6.14 answered, with two clients.
    const ANSWER: &str = include_str!("management-status.txt");

    #[test]
    fn clients_are_read_from_what_openvpn_says() {
        let clients = parse(ANSWER);
        let shown: Vec<_> = clients
            .iter()
            .map(|it| (it.address.to_string(), it.from.as_str()))
            .collect();
        assert_eq!(shown.len(), 2, "{shown:?}");
        assert_eq!(shown[0].0, "172.16.0.2");
        assert_eq!(shown[1].0, "172.16.0.3");
        assert!(clients.iter().all(|it| it.since > 1_700_000_000_000));
        assert!(clients.iter().all(|it| it.received_bytes > 0));
    }

    #[test]
    fn what_is_no_answer_has_no_clients() {
        for text in ["", "END", "CLIENT_LIST\tclients", "HEADER\tCLIENT_LIST"] {
            assert_eq!(parse(text), [], "{text}");
        }
    }
}
