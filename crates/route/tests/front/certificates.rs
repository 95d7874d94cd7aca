//! Which certificate a client is shown, and what may be asked for on its connection.

use lockgate_route::Certificates;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::authority::{HTTP_1, HTTP_2};
use crate::rig::{Application, Peer, ok, soon};
use crate::world::{Front, ONE, TWO, at, org};

/// The certificate that a server showed, as its bytes.
fn shown(stream: &tokio_rustls::client::TlsStream<TcpStream>) -> Vec<u8> {
    let (_, session) = stream.get_ref();
    session.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test]
async fn a_name_without_a_certificate_is_refused_before_http() {
    let front = Front::open().await;
    for name in ["dev.test", "org-x.dev.test", "DEV.test"] {
        assert!(front.try_connect(name, &[HTTP_1]).await.is_ok(), "{name}");
    }
    for name in ["other.test", "a.b.dev.test", "127.0.0.1"] {
        assert!(front.try_connect(name, &[HTTP_1]).await.is_err(), "{name}");
    }
}

#[tokio::test]
async fn certificates_are_changed_under_open_connections() {
    let application = Application::answering(|_| ok("hello")).await;
    let front = Front::to(application.addr).await;
    let stream = front.connect(&org(ONE), &[HTTP_1]).await;
    let first = shown(&stream);
    let mut old = Peer::new(stream);
    old.host = org(ONE);
    let level = front.authority.certificate(&["dev.test", "*.dev.test"]);
    let own = front.authority.certificate(&[&org(ONE)]);
    let both = Certificates::new([level.clone(), own]);
    front.certificates.send_replace(both);
    let second = shown(&front.connect(&org(ONE), &[HTTP_1]).await);
    let others = shown(&front.connect(&org(TWO), &[HTTP_1]).await);
    assert_ne!(first, second);
    assert_ne!(second, others);
    // And away again: its level counts.
    front.certificates.send_replace(Certificates::new([level]));
    assert_eq!(shown(&front.connect(&org(ONE), &[HTTP_1]).await), others);
    old.ask("GET", "/").await;
    assert_eq!(old.message().await.body, "hello");
}

#[tokio::test]
async fn a_name_that_the_connection_s_certificate_is_not_for_is_421() {
    let application = Application::answering(|_| ok("hello")).await;
    let front = Front::to(application.addr).await;
    front.assign(TWO, 1);
    front.say(1, at(application.addr));
    let level = front.authority.certificate(&["*.dev.test"]);
    let own = front.authority.certificate(&[&org(TWO)]);
    front
        .certificates
        .send_replace(Certificates::new([level, own]));
    for (connected, asked, status) in [
        (ONE, org(ONE), 200),
        (ONE, org(TWO), 200),
        (TWO, org(TWO), 200),
        (TWO, org(ONE), 421),
        (TWO, "other.test".to_owned(), 421),
        (ONE, "dev.test".to_owned(), 421),
    ] {
        let mut client = front.client(&org(connected)).await;
        client.host.clone_from(&asked);
        client.ask("GET", "/").await;
        assert_eq!(client.message().await.status(), status, "{asked}");
    }
}

#[tokio::test]
async fn the_protocol_is_agreed_on_and_http_1_is_what_is_left() {
    let front = Front::open().await;
    for (offered, agreed) in [
        (&[HTTP_2, HTTP_1][..], Some(HTTP_2)),
        (&[HTTP_1, HTTP_2], Some(HTTP_2)),
        (&[HTTP_1], Some(HTTP_1)),
        (&[], None),
    ] {
        let stream = front.connect("dev.test", offered).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), agreed);
    }
    let foreign: &[u8] = b"smtp";
    assert!(front.try_connect("dev.test", &[foreign]).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_left_after_a_while() {
    let front = Front::open().await;
    let mut silent = TcpStream::connect(front.https).await.unwrap();
    let mut read = Vec::new();
    let ended = soon("the end", silent.read_to_end(&mut read)).await;
    assert!(ended.is_err() || read.is_empty());
}
