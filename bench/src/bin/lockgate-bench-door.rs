//! One of the two doors as a process of its own, for the benchmark `proxy`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use lockgate_model::{
    FrontEnvironment, FrontGateway, FrontTable, GatewayName, RouteName, Standing,
};
use lockgate_route::{
    Certificate, Certificates, Decision, EmbeddedProxy, ForwardedHeaders, FrontDoor, Lookup,
    Patience, Upstream,
};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use names::{DOMAIN, ORGANIZATION};

#[path = "../proxy/names.rs"]
mod names;

/// The environment.
const ENV: &str = "bench";

/// A door that serves until TERM.
#[derive(Debug, Parser)]
enum Door {
    /// The host's.
    Front {
        /// Where it speaks TLS.
        secured: SocketAddr,
        /// Where it does not.
        plain: SocketAddr,
        /// The gateway's door behind it.
        gateway: SocketAddr,
        /// Its certificate, in PEM.
        certificate: PathBuf,
        /// The key of that, in PEM.
        key: PathBuf,
    },
    /// A gateway's.
    Gateway {
        /// Where it listens.
        listen: SocketAddr,
        /// The application behind it.
        application: SocketAddr,
    },
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
#[expect(clippy::print_stderr, reason = "a program says why it failed")]
async fn main() -> ExitCode {
    let served = match Door::parse() {
        Door::Front {
            secured,
            plain,
            gateway,
            certificate,
            key,
        } => front(secured, plain, gateway, &certificate, &key).await,
        Door::Gateway {
            listen,
            application,
        } => at_gateway(listen, application).await,
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn front(
    secured: SocketAddr,
    plain: SocketAddr,
    gateway: SocketAddr,
    certificate: &std::path::Path,
    key: &std::path::Path,
) -> Result<(), Failure> {
    let level = format!("*.{DOMAIN}");
    let (chain, key) = (std::fs::read(certificate)?, std::fs::read(key)?);
    let certificate = Certificate::from_pem(&[&level], &chain, &key)?;
    let (_shown, certificates) = watch::channel(Certificates::new([Arc::new(certificate)]));
    let name = GatewayName::new(&ENV.parse()?, 0);
    let environment = FrontEnvironment {
        name: ENV.parse()?,
        created_ms: 0,
        domain: RouteName::parse(DOMAIN)?,
        apex: None,
        ganymede: None,
        organizations: [(ORGANIZATION.parse()?, name.clone())].into(),
    };
    let known = FrontGateway {
        standing: Standing::At {
            address: gateway,
            life: 0,
        },
        build: None,
    };
    let (_table, followed) = watch::channel(FrontTable::new([environment], [(name, known)]));
    let door = FrontDoor::new(followed, Patience::default());
    let stop = until_term()?;
    let by_tls = door.secured(certificates);
    let by_tls = by_tls.serve(TcpListener::bind(secured).await?, stop.clone());
    let without = door.plain().serve(TcpListener::bind(plain).await?, stop);
    tokio::try_join!(by_tls, without)?;
    Ok(())
}

async fn at_gateway(listen: SocketAddr, application: SocketAddr) -> Result<(), Failure> {
    let lookup = Lookup::fixed(Decision::To(Upstream {
        addr: application,
        gateway: None,
        build: None,
        epoch: 0,
        leaves: false,
    }));
    let door = EmbeddedProxy::new(lookup).forwarded(ForwardedHeaders::Append);
    let listener = TcpListener::bind(listen).await?;
    Ok(door.serve(listener, until_term()?).await?)
}

fn until_term() -> Result<CancellationToken, Failure> {
    let stop = CancellationToken::new();
    let mut term = signal(SignalKind::terminate())?;
    let stopped = stop.clone();
    tokio::spawn(async move {
        term.recv().await;
        stopped.cancel();
    });
    Ok(stop)
}
