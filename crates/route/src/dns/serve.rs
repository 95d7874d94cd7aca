//! The sockets of the name server: UDP, and TCP for what is too long for it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::forward::{self, LONGEST};
use super::reply::{Over, Reply, failed, reply};
use super::zones::Zones;

/// Queries that another server is asked at the same time; of more, UDP loses some and TCP waits.
const MOST_FORWARDED: usize = 256;
/// Connections at the same time; more wait in the backlog.
const MOST_CONNECTIONS: usize = 64;
/// How long a connection may be silent: what RFC 7766 calls a few seconds.
const SILENT: Duration = Duration::from_secs(10);
/// How long to wait when a socket cannot be used, such as without descriptors.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// A name server for watched zones.
#[derive(Debug, Clone)]
pub struct DnsServer {
    zones: watch::Receiver<Zones>,
    /// Who is asked for other names; they are refused where nobody is.
    forward: Option<SocketAddr>,
    room: Arc<Semaphore>,
}

impl DnsServer {
    /// A server for these zones, which asks `forward` for all other names.
    pub fn new(zones: watch::Receiver<Zones>, forward: Option<SocketAddr>) -> Self {
        Self {
            zones,
            forward,
            room: Arc::new(Semaphore::new(MOST_FORWARDED)),
        }
    }

    /// Serves on these sockets until `stop`; what is being answered then is cut.
    pub async fn serve(&self, udp: UdpSocket, tcp: TcpListener, stop: CancellationToken) {
        let both = async { tokio::join!(self.serve_udp(Arc::new(udp)), self.serve_tcp(tcp)) };
        stop.run_until_cancelled(both).await;
    }

    fn reply(&self, asked: &[u8], over: Over) -> Reply {
        reply(&self.zones.borrow(), asked, over, self.forward.is_some())
    }

    async fn serve_udp(&self, socket: Arc<UdpSocket>) {
        let mut tasks = JoinSet::new();
        let mut asked = vec![0; LONGEST];
        loop {
            while tasks.try_join_next().is_some() {}
            let (length, peer) = match socket.recv_from(&mut asked).await {
                Ok(received) => received,
                Err(error) => {
                    unusable(&error).await;
                    continue;
                }
            };
            let asked = asked.get(..length).unwrap_or_default();
            match (self.reply(asked, Over::Udp), self.forward) {
                (Reply::Answer(answer), _) => send(&socket, &answer, peer).await,
                (Reply::Forward, Some(server)) => {
                    // Without room it is lost, as by UDP anything may be.
                    if let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() {
                        let (socket, asked) = (Arc::clone(&socket), asked.to_vec());
                        tasks.spawn(async move {
                            let answer = forwarded(server, &asked, Over::Udp).await;
                            if let Some(answer) = answer {
                                send(&socket, &answer, peer).await;
                            }
                            drop(permit);
                        });
                    }
                }
                (Reply::Forward, None) | (Reply::Silence, _) => {}
            }
        }
    }

    async fn serve_tcp(&self, listener: TcpListener) {
        let mut tasks = JoinSet::new();
        let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        loop {
            while tasks.try_join_next().is_some() {}
            // The semaphore is never closed, so a permit always comes.
            let permit = Arc::clone(&room).acquire_owned().await;
            match listener.accept().await {
                Ok((stream, _)) => {
                    let server = self.clone();
                    tasks.spawn(async move {
                        // Who leaves in the middle is told nothing.
                        let _ = server.converse(stream).await;
                        drop(permit);
                    });
                }
                Err(error) => unusable(&error).await,
            }
        }
    }

    /// Answers the queries of one connection, one after the other.
    async fn converse(&self, mut stream: TcpStream) -> io::Result<()> {
        loop {
            let asked = timeout(SILENT, forward::read(&mut stream)).await??;
            let answer = match (self.reply(&asked, Over::Tcp), self.forward) {
                (Reply::Answer(answer), _) => Some(answer),
                (Reply::Forward, Some(server)) => {
                    let _permit = self.room.acquire().await.map_err(io::Error::other)?;
                    forwarded(server, &asked, Over::Tcp).await
                }
                (Reply::Forward, None) | (Reply::Silence, _) => None,
            };
            let Some(answer) = answer else {
                return Ok(());
            };
            timeout(SILENT, forward::write(&mut stream, &answer)).await??;
        }
    }
}

/// The other server's answer, or one that says that there is none.
async fn forwarded(server: SocketAddr, asked: &[u8], over: Over) -> Option<Vec<u8>> {
    match forward::ask(server, asked, over).await {
        Ok(answer) => Some(answer),
        Err(error) => {
            tracing::warn!(%server, %error, "the server that names are forwarded to gave no answer");
            match failed(asked, ResponseCode::ServFail) {
                Reply::Answer(answer) => Some(answer),
                Reply::Forward | Reply::Silence => None,
            }
        }
    }
}

async fn send(socket: &UdpSocket, answer: &[u8], peer: SocketAddr) {
    if let Err(error) = socket.send_to(answer, peer).await {
        tracing::debug!(%peer, %error, "an answer was not sent");
    }
}

async fn unusable(error: &io::Error) {
    tracing::warn!(%error, "cannot take a query");
    tokio::time::sleep(AGAIN_AFTER).await;
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hickory_proto::op::{Message, MessageType, OpCode, Query};
    use hickory_proto::rr::{Name, RecordType};
    use lockgate_model::RouteName;

    use super::*;

    fn query(name: &str) -> Vec<u8> {
        let mut query = Message::new(9, MessageType::Query, OpCode::Query);
        let name = Name::from_ascii(name).unwrap();
        query.add_query(Query::query(name, RecordType::A));
        query.to_vec().unwrap()
    }

    fn zones(domain: &str, address: &str) -> Zones {
        let domain = RouteName::parse(domain).unwrap();
        Zones::new([&domain], &[address.parse().unwrap()])
    }

    async fn sockets() -> (UdpSocket, TcpListener, SocketAddr) {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = tcp.local_addr().unwrap();
        (UdpSocket::bind(address).await.unwrap(), tcp, address)
    }

    /// Serves zones until the token is dropped; where, and what changes them.
    async fn serving(
        zones: Zones,
        forward: Option<SocketAddr>,
    ) -> (
        SocketAddr,
        watch::Sender<Zones>,
        tokio_util::sync::DropGuard,
    ) {
        let (udp, tcp, address) = sockets().await;
        let (change, watched) = watch::channel(zones);
        let stop = CancellationToken::new();
        let server = DnsServer::new(watched, forward);
        let until = stop.clone();
        tokio::spawn(async move { server.serve(udp, tcp, until).await });
        (address, change, stop.drop_guard())
    }

    async fn told(server: SocketAddr, name: &str, over: Over) -> String {
        let answer = forward::ask(server, &query(name), over).await.unwrap();
        let answer = Message::from_vec(&answer).unwrap();
        match answer.answers.first() {
            Some(record) => record.data.to_string(),
            None => format!("{:?}", answer.metadata.response_code),
        }
    }

    #[tokio::test]
    async fn a_domain_is_answered_for_from_the_next_query_on() {
        let (server, change, _stop) = serving(Zones::default(), None).await;
        for over in [Over::Udp, Over::Tcp] {
            change.send_replace(Zones::default());
            assert_eq!(told(server, "a.dev.test.", over).await, "Refused");
            change.send_replace(zones("dev.test", "127.0.0.1"));
            assert_eq!(told(server, "a.dev.test.", over).await, "127.0.0.1");
        }
    }

    #[tokio::test]
    async fn other_names_are_asked_of_another_server_where_one_is_named() {
        let (other, _change, _stop) = serving(zones("other.test", "10.1.1.1"), None).await;
        let own = zones("dev.test", "127.0.0.1");
        let (server, _own, _own_stop) = serving(own, Some(other)).await;
        for over in [Over::Udp, Over::Tcp] {
            assert_eq!(told(server, "a.other.test.", over).await, "10.1.1.1");
            assert_eq!(told(server, "a.dev.test.", over).await, "127.0.0.1");
            assert_eq!(told(server, "a.third.test.", over).await, "Refused");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_told_of_at_once() {
        let (udp, tcp, away) = sockets().await;
        drop((udp, tcp));
        let (server, _change, _stop) = serving(Zones::default(), Some(away)).await;
        for over in [Over::Udp, Over::Tcp] {
            assert_eq!(told(server, "a.other.test.", over).await, "ServFail");
        }
    }

    #[tokio::test]
    async fn one_connection_takes_several_queries() {
        let (server, _change, _stop) = serving(zones("dev.test", "127.0.0.1"), None).await;
        let mut stream = TcpStream::connect(server).await.unwrap();
        for _ in 0..3 {
            forward::write(&mut stream, &query("dev.test."))
                .await
                .unwrap();
            let answer = forward::read(&mut stream).await.unwrap();
            assert_eq!(Message::from_vec(&answer).unwrap().answers.len(), 1);
        }
    }
}
