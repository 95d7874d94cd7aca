//! A front door with its table, its certificates and clients for it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use lockgate_model::{
    BuildId, EnvName, FrontChange, FrontEnvironment, FrontGateway, FrontTable, GatewayName,
    OrganizationId, RouteName, Site, Standing,
};
use lockgate_route::{Certificates, FrontDoor, Patience};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_util::sync::CancellationToken;

use crate::authority::{Authority, HTTP_1};
use crate::rig::{Message, Peer};

pub(crate) const ONE: &str = "550e8400-e29b-41d4-a716-446655440000";
pub(crate) const TWO: &str = "650e8400-e29b-41d4-a716-446655440000";
pub(crate) const BUILD: &str = "0123456789ab";

/// The host of an organization.
pub(crate) fn org(id: &str) -> String {
    format!("org-{id}.dev.test")
}

pub(crate) fn gateway(number: u32) -> GatewayName {
    GatewayName::new(&EnvName::parse("dev").unwrap(), number)
}

pub(crate) fn environment(name: &str, created_ms: u64, domain: &str) -> FrontEnvironment {
    FrontEnvironment {
        name: EnvName::parse(name).unwrap(),
        created_ms,
        domain: RouteName::parse(domain).unwrap(),
        apex: None,
        ganymede: None,
        organizations: BTreeMap::new(),
    }
}

pub(crate) fn at(address: SocketAddr) -> Standing {
    Standing::At { address, life: 0 }
}

/// A front door for the domain `dev.test`, at which nobody is served yet.
pub(crate) struct Front {
    pub(crate) https: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) authority: Authority,
    pub(crate) certificates: watch::Sender<Certificates>,
    pub(crate) stop: CancellationToken,
    pub(crate) served: JoinHandle<()>,
    table: watch::Sender<FrontTable>,
}

impl Front {
    pub(crate) async fn open() -> Self {
        Self::patient(Patience::default()).await
    }

    /// One at which requests wait as long as that.
    pub(crate) async fn patient(patience: Patience) -> Self {
        let authority = Authority::new();
        let own = authority.certificate(&["dev.test", "*.dev.test"]);
        let (certificates, shown) = watch::channel(Certificates::new([own]));
        let table = FrontTable::new([environment("dev", 1, "dev.test")], []);
        let (table, followed) = watch::channel(table);
        let door = FrontDoor::new(followed, patience);
        let https = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (at_https, at_http) = (https.local_addr().unwrap(), http.local_addr().unwrap());
        let stop = CancellationToken::new();
        let secured = door.secured(shown).serve(https, stop.clone());
        let redirecting = door.redirecting(8443).serve(http, stop.clone());
        let served = tokio::spawn(async move {
            let (one, other) = tokio::join!(secured, redirecting);
            one.and(other).unwrap();
        });
        Self {
            https: at_https,
            http: at_http,
            authority,
            certificates,
            stop,
            served,
            table,
        }
    }

    /// One whose organization `ONE` is served at this address.
    pub(crate) async fn to(addr: SocketAddr) -> Self {
        let front = Self::open().await;
        front.assign(ONE, 0);
        front.say(0, at(addr));
        front
    }

    pub(crate) fn change(&self, change: FrontChange) {
        self.table.send_modify(|table| table.apply(change));
    }

    /// Has a gateway serve an organization.
    pub(crate) fn assign(&self, organization: &str, number: u32) {
        self.change(FrontChange::Organization {
            environment: EnvName::parse("dev").unwrap(),
            organization: OrganizationId::parse(organization).unwrap(),
            gateway: Some(gateway(number)),
        });
    }

    /// Says what is known of a gateway.
    pub(crate) fn say(&self, number: u32, standing: Standing) {
        let build = Some(BuildId::parse(BUILD).unwrap());
        self.change(FrontChange::Gateway {
            gateway: gateway(number),
            known: Some(FrontGateway { standing, build }),
        });
    }

    /// Has something else answer for the two sites.
    pub(crate) fn set_sites(&self, apex: Option<Site>, ganymede: Option<Site>) {
        self.change(FrontChange::Environment(FrontEnvironment {
            apex,
            ganymede,
            ..environment("dev", 1, "dev.test")
        }));
    }

    /// A secured connection by the protocols offered, with this name in its greeting.
    pub(crate) async fn try_connect(
        &self,
        name: &str,
        protocols: &[&[u8]],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.https).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connector = self.authority.connector(protocols);
        connector.connect(name, stream).await
    }

    pub(crate) async fn connect(&self, name: &str, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
        self.try_connect(name, protocols).await.unwrap()
    }

    /// A client by HTTP/1.1.
    pub(crate) async fn client(&self, host: &str) -> Peer {
        let mut peer = Peer::new(self.connect(host, &[HTTP_1]).await);
        host.clone_into(&mut peer.host);
        peer
    }

    /// A client of organization `ONE` by HTTP/1.1.
    pub(crate) async fn client_of_one(&self) -> Peer {
        self.client(&org(ONE)).await
    }

    /// One request by HTTP/1.1 on a connection of its own.
    pub(crate) async fn ask(&self, host: &str, path: &str) -> Message {
        let mut client = self.client(host).await;
        client.ask("GET", path).await;
        client.message().await
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Patience that ends soon, for those who are to lose it.
pub(crate) fn short(most: usize) -> Patience {
    Patience {
        longest: Duration::from_millis(300),
        most,
    }
}
