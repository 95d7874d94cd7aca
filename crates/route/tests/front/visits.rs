//! A visit, which sees what a client would.

use std::net::SocketAddr;
use std::time::Duration;

use lockgate_route::{Visit, VisitError, Visited};
use tokio::net::TcpListener;

use crate::rig::{Application, ok};
use crate::world::{Front, ONE, TWO, org};

const LONG: Duration = Duration::from_secs(10);

async fn visit(address: SocketAddr, host: &str, tls: bool) -> Visited {
    Visit { address, host, tls }.pay(LONG).await
}

#[tokio::test]
async fn a_visitor_is_answered_and_has_seen_the_certificate() {
    let application = Application::answering(|_| ok("hello")).await;
    let front = Front::to(application.addr).await;
    let visited = visit(front.https, &org(ONE), true).await;
    assert_eq!(visited.answer.unwrap(), 200);
    let certificate = visited.certificate.unwrap();
    assert!(!certificate.is_empty());
    let nobody = visit(front.https, &org(TWO), true).await;
    assert_eq!(nobody.answer.unwrap(), 404);
    assert_eq!(nobody.certificate, Some(certificate));
    let plain = visit(front.http, &org(ONE), false).await;
    assert_eq!(plain.answer.unwrap(), 308);
    assert_eq!(plain.certificate, None);
}

#[tokio::test]
async fn what_went_wrong_is_told_apart() {
    let front = Front::open().await;
    let strange = visit(front.https, "other.test", true).await;
    assert!(
        matches!(strange.answer, Err(VisitError::Tls { .. })),
        "{strange:?}"
    );
    assert_eq!(strange.certificate, None);
    let no_tls = visit(front.http, "dev.test", true).await;
    assert!(
        matches!(no_tls.answer, Err(VisitError::Tls { .. })),
        "{no_tls:?}"
    );
    let no_name = visit(front.https, "no name", true).await;
    assert!(
        matches!(no_name.answer, Err(VisitError::Name { .. })),
        "{no_name:?}"
    );

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let host = "dev.test";
    let silent = Visit {
        address,
        host,
        tls: true,
    };
    let late = silent.pay(Duration::from_millis(50)).await;
    assert!(
        matches!(late.answer, Err(VisitError::Late { .. })),
        "{late:?}"
    );
    let ended = tokio::spawn(async move { listener.accept().await.map(drop) });
    // The first one is that of the visit before.
    ended.await.unwrap().unwrap();
    let away = visit(address, host, false).await;
    assert!(
        matches!(away.answer, Err(VisitError::Connect { .. })),
        "{away:?}"
    );
}
