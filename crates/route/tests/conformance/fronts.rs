//! The front door in the place of a gateway's: it serves one organization.

use std::net::SocketAddr;

use lockgate_model::{
    BuildId, EnvName, FrontChange, FrontEnvironment, FrontGateway, FrontTable, GatewayName,
    OrganizationId, RouteName, Standing,
};
use lockgate_route::{Certificates, FrontDoor, Patience};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_util::sync::CancellationToken;

use crate::authority::{Authority, HTTP_1};
use crate::doors::{BUILD, GATEWAY};

const DOMAIN: &str = "dev.test";
const ORGANIZATION: &str = "550e8400-e29b-41d4-a716-446655440000";

/// The name of the organization that is served.
pub(crate) fn host() -> String {
    format!("org-{ORGANIZATION}.{DOMAIN}")
}

pub(crate) struct Front {
    authority: Authority,
    table: watch::Sender<FrontTable>,
}

impl Front {
    pub(crate) fn open(
        listener: TcpListener,
        application: SocketAddr,
        stop: &CancellationToken,
    ) -> Self {
        let authority = Authority::new();
        let level = authority.certificate(&["*.dev.test"]);
        let (_, certificates) = watch::channel(Certificates::new([level]));
        let gateway = GatewayName::parse(GATEWAY).unwrap();
        let organization = OrganizationId::parse(ORGANIZATION).unwrap();
        let environment = FrontEnvironment {
            name: EnvName::parse("dev").unwrap(),
            created_ms: 1,
            domain: RouteName::parse(DOMAIN).unwrap(),
            apex: None,
            ganymede: None,
            organizations: [(organization, gateway)].into(),
        };
        let (table, followed) = watch::channel(FrontTable::new([environment], []));
        let door = FrontDoor::new(followed, Patience::default()).secured(certificates);
        tokio::spawn(door.serve(listener, stop.clone()));
        let front = Self { authority, table };
        front.say(None, application);
        front
    }

    /// Says where the gateway answers, or why it does not.
    pub(crate) fn say(&self, why: Option<&str>, address: SocketAddr) {
        let standing = match why {
            Some(why) => Standing::Stopped(why.to_owned()),
            None => Standing::At { address, life: 0 },
        };
        let change = FrontChange::Gateway {
            gateway: GatewayName::parse(GATEWAY).unwrap(),
            known: Some(FrontGateway {
                standing,
                build: Some(BuildId::parse(BUILD).unwrap()),
            }),
        };
        self.table.send_modify(|table| table.apply(change));
    }

    /// A client's connection by TLS and HTTP/1.1.
    pub(crate) async fn secure(&self, stream: TcpStream) -> TlsStream<TcpStream> {
        let connector = self.authority.connector(&[HTTP_1]);
        let name = ServerName::try_from(host()).unwrap();
        connector.connect(name, stream).await.unwrap()
    }
}
