//! By HTTP/2 at the front door, by HTTP/1.1 behind it.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::channel::{Channel, Sender};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use lockgate_model::Standing;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

use crate::authority::HTTP_2;
use crate::rig::{Application, header, ok, soon};
use crate::world::{BUILD, Front, ONE, TWO, at, org, short};

type Body = UnsyncBoxBody<Bytes, std::convert::Infallible>;

/// A body of 100 MB, far more than a door may keep.
const BODY: usize = 100 << 20;
const PIECE: usize = 64 << 10;
/// What the program may have taken at most, with its tests about 20 MB.
const MOST_MEMORY: usize = 64 << 20;

fn empty() -> Body {
    Empty::new().boxed_unsync()
}

fn full(text: &'static str) -> Body {
    Full::from(text).boxed_unsync()
}

/// A body that is sent piece by piece.
fn piecewise() -> (Sender<Bytes, std::convert::Infallible>, Body) {
    let (sender, body) = Channel::new(1);
    (sender, body.boxed_unsync())
}

/// A client on one connection, for the names of organization `ONE`.
async fn client(front: &Front) -> SendRequest<Body> {
    let stream = front.connect(&org(ONE), &[HTTP_2]).await;
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(1 << 20)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

fn request(method: Method, path: &str) -> http::request::Builder {
    let uri = format!("https://{}{path}", org(ONE));
    Request::builder()
        .method(method)
        .version(Version::HTTP_2)
        .uri(uri)
}

fn get(path: &str) -> Request<Body> {
    request(Method::GET, path).body(empty()).unwrap()
}

async fn send(client: &mut SendRequest<Body>, request: Request<Body>) -> Response<Incoming> {
    soon("an answer", client.send_request(request))
        .await
        .unwrap()
}

async fn text(answer: Response<Incoming>) -> String {
    let all = soon("the body", answer.into_body().collect())
        .await
        .unwrap();
    String::from_utf8(all.to_bytes().to_vec()).unwrap()
}

fn peak_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:"));
    let kb = line.unwrap().trim().trim_end_matches(" kB");
    kb.parse::<usize>().unwrap() * 1024
}

#[tokio::test]
async fn a_request_becomes_one_of_http_1_and_its_answer_one_of_http_2() {
    let application = Application::answering(|head| {
        let body = ok(head);
        body.replacen(
            "200 OK\r\n",
            "200 OK\r\nconnection: keep-alive\r\nkeep-alive: timeout=5\r\nx-own: 1\r\n",
            1,
        )
    })
    .await;
    let front = Front::to(application.addr).await;
    let mut client = client(&front).await;
    let asked = request(Method::GET, "/a?b=c")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("te", "trailers")
        .header("x-forwarded-for", "10.0.0.1")
        .body(empty())
        .unwrap();
    let answer = send(&mut client, asked).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.version(), Version::HTTP_2);
    assert_eq!(answer.headers()["x-own"], "1");
    assert_eq!(answer.headers()["lockgate-build"], BUILD);
    for gone in ["connection", "keep-alive"] {
        assert!(!answer.headers().contains_key(gone), "{gone}");
    }
    let seen = text(answer).await;
    assert!(seen.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{seen}");
    for (name, expected) in [
        ("host", Some(org(ONE).as_str())),
        ("cookie", Some("a=1; b=2")),
        ("x-forwarded-for", Some("127.0.0.1")),
        ("x-forwarded-proto", Some("https")),
        ("x-forwarded-port", Some("443")),
        ("te", None),
        ("transfer-encoding", None),
    ] {
        assert_eq!(header(&seen, name), expected, "{name} in {seen}");
    }
}

#[tokio::test]
async fn many_requests_at_once_share_one_connection() {
    let application = Application::answering(|head| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        ok(path)
    })
    .await;
    let front = Front::to(application.addr).await;
    let client = client(&front).await;
    let mut asking = tokio::task::JoinSet::new();
    for number in 0..300 {
        let mut client = client.clone();
        asking.spawn(async move {
            let path = format!("/{number}");
            let answer = send(&mut client, get(&path)).await;
            assert_eq!(text(answer).await, path);
        });
    }
    while let Some(asked) = asking.join_next().await {
        asked.unwrap();
    }
}

#[tokio::test]
async fn a_hundred_megabytes_go_up_without_being_kept() {
    let application = Application::start(|mut peer, _| async move {
        let head = peer.head().await.unwrap();
        assert_eq!(
            header(&head, "content-length"),
            Some(BODY.to_string().as_str())
        );
        let mut left = BODY - peer.early().len();
        let mut piece = vec![0; PIECE];
        while left > 0 {
            let read = peer.stream.read(&mut piece).await.unwrap();
            assert!(read > 0, "the upload ended {left} bytes too early");
            left -= read;
        }
        peer.send(&ok("all of it")).await;
        peer.ended().await;
    })
    .await;
    let front = Front::to(application.addr).await;
    let mut client = client(&front).await;
    let (mut sender, body) = piecewise();
    let sending = tokio::spawn(async move {
        let piece = Bytes::from(vec![b'x'; PIECE]);
        for _ in 0..BODY / PIECE {
            sender.send_data(piece.clone()).await.unwrap();
        }
    });
    let upload = request(Method::PUT, "/")
        .header("content-length", BODY)
        .body(body)
        .unwrap();
    let answer = client.send_request(upload).await.unwrap();
    assert_eq!(text(answer).await, "all of it");
    sending.await.unwrap();
    assert!(peak_bytes() < MOST_MEMORY, "{}", peak_bytes());
}

#[tokio::test]
async fn a_hundred_megabytes_come_down_without_being_kept() {
    let application = Application::start(|mut peer, _| async move {
        peer.head().await;
        peer.send(&format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {BODY}\r\n\r\n"
        ))
        .await;
        let piece = vec![b'x'; PIECE];
        for _ in 0..BODY / PIECE {
            peer.stream.write_all(&piece).await.unwrap();
        }
        peer.ended().await;
    })
    .await;
    let front = Front::to(application.addr).await;
    let mut client = client(&front).await;
    let mut answer = send(&mut client, get("/")).await;
    assert_eq!(answer.headers()["content-length"], BODY.to_string());
    let mut left = BODY;
    while let Some(frame) = answer.body_mut().frame().await {
        left -= frame.unwrap().into_data().unwrap().len();
    }
    assert_eq!(left, 0);
    assert!(peak_bytes() < MOST_MEMORY, "{}", peak_bytes());
}

#[tokio::test]
async fn what_a_slow_client_does_not_read_is_not_fetched() {
    let (sent, mut sends) = mpsc::channel::<usize>(1 << 16);
    let application = Application::start(move |mut peer, _| {
        let sent = sent.clone();
        async move {
            peer.head().await;
            peer.send(&format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {BODY}\r\n\r\n"
            ))
            .await;
            let piece = vec![b'x'; PIECE];
            for _ in 0..BODY / PIECE {
                peer.stream.write_all(&piece).await.unwrap();
                sent.send(PIECE).await.unwrap();
            }
            peer.ended().await;
        }
    })
    .await;
    let front = Front::to(application.addr).await;
    let mut client = client(&front).await;
    let slow = send(&mut client, get("/slow")).await;
    let mut all = 0;
    let moment = std::time::Duration::from_millis(500);
    while let Ok(Some(piece)) = tokio::time::timeout(moment, sends.recv()).await {
        all += piece;
        assert!(all < BODY / 2, "{all} bytes were fetched and nobody reads");
    }
    drop(slow);
}

#[tokio::test]
async fn events_and_chunks_pass_as_they_come() {
    let application = Application::start(|mut peer, _| async move {
        let head = peer.head().await.unwrap();
        assert_eq!(header(&head, "transfer-encoding"), Some("chunked"));
        peer.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
        while let Some(chunk) = peer.chunk().await {
            peer.send(&format!("{:x}\r\n{chunk}\r\n", chunk.len()))
                .await;
        }
        peer.send("0\r\nx-sum: 7\r\n\r\n").await;
        peer.ended().await;
    })
    .await;
    let front = Front::to(application.addr).await;
    let mut client = client(&front).await;
    let (mut sender, body) = piecewise();
    let asked = request(Method::POST, "/").body(body).unwrap();
    let mut answer = send(&mut client, asked).await;
    for piece in ["one", "two"] {
        sender.send_data(Bytes::from(piece)).await.unwrap();
        let frame = soon("an echo", answer.body_mut().frame()).await;
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), piece);
    }
    drop(sender);
    let frame = soon("trailers", answer.body_mut().frame()).await;
    let trailers = frame.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(trailers["x-sum"], "7");
}

#[tokio::test]
async fn a_head_has_the_length_of_its_body_and_interim_answers_do_not_end_the_wait() {
    let application = Application::answering(|head| {
        assert!(head.starts_with("HEAD "), "{head}");
        "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n\
         HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n"
            .to_owned()
    })
    .await;
    let front = Front::to(application.addr).await;
    let mut client = client(&front).await;
    for _ in 0..2 {
        let asked = request(Method::HEAD, "/").body(empty()).unwrap();
        let answer = send(&mut client, asked).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-length"], "5000");
        assert_eq!(text(answer).await, "");
    }
}

#[tokio::test]
async fn a_client_that_takes_a_request_back_ends_it_at_the_application() {
    let (gone, mut leaves) = mpsc::channel::<&str>(2);
    let application = Application::start(move |mut peer, _| {
        let gone = gone.clone();
        async move {
            let head = peer.head().await.unwrap();
            let began = head.contains("/endless");
            if began {
                peer.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n")
                    .await;
            }
            gone.send("asked").await.unwrap();
            peer.ended().await;
            gone.send("gone").await.unwrap();
        }
    })
    .await;
    let front = Front::to(application.addr).await;
    let mut client = client(&front).await;
    let answer = send(&mut client, get("/endless")).await;
    assert_eq!(leaves.recv().await, Some("asked"));
    drop(answer);
    assert_eq!(soon("its end", leaves.recv()).await, Some("gone"));
    let mut other = client.clone();
    let asking = tokio::spawn(async move { other.send_request(get("/never")).await });
    assert_eq!(soon("the request", leaves.recv()).await, Some("asked"));
    asking.abort();
    assert_eq!(soon("its end", leaves.recv()).await, Some("gone"));
    // The connection itself goes on.
    front.say(0, Standing::Stopped("by hand".into()));
    let answer = send(&mut client, get("/")).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn an_answer_that_is_cut_is_cut_for_the_client_too() {
    let application = Application::start(|mut peer, _| async move {
        let head = peer.head().await.unwrap_or_default();
        if head.contains("/never") {
            return;
        }
        let length = if head.contains("/chunked") {
            "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"
        } else {
            "content-length: 8\r\n\r\nhalf"
        };
        peer.send(&format!("HTTP/1.1 200 OK\r\n{length}")).await;
    })
    .await;
    let front = Front::to(application.addr).await;
    let mut client = client(&front).await;
    for path in ["/length", "/chunked"] {
        let answer = send(&mut client, get(path)).await;
        assert!(answer.into_body().collect().await.is_err(), "{path}");
    }
    let answer = send(&mut client, get("/never")).await;
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn one_slow_request_holds_up_no_other() {
    let application = Application::start(|mut peer, _| async move {
        while let Some(head) = peer.head().await {
            if head.contains("/slow") {
                peer.ended().await;
                return;
            }
            peer.send(&ok("quick")).await;
        }
    })
    .await;
    let front = Front::to(application.addr).await;
    let mut client = client(&front).await;
    let mut other = client.clone();
    let slow = tokio::spawn(async move { other.send_request(get("/slow")).await });
    for _ in 0..3 {
        let answer = send(&mut client, get("/quick")).await;
        assert_eq!(text(answer).await, "quick");
    }
    assert!(!slow.is_finished());
    slow.abort();
}

#[tokio::test]
async fn requests_wait_for_their_gateway_by_http_2_too() {
    let application = Application::start(|mut peer, _| async move {
        let head = peer.head().await.unwrap();
        let length = header(&head, "content-length").unwrap().parse().unwrap();
        let body = peer.exactly(length).await;
        peer.send(&ok(&body)).await;
        peer.ended().await;
    })
    .await;
    let front = Front::open().await;
    front.assign(ONE, 0);
    front.say(0, Standing::Starting);
    let mut client = client(&front).await;
    let asked = request(Method::POST, "/").body(full("body")).unwrap();
    let mut asking = std::pin::pin!(client.send_request(asked));
    let moment = std::time::Duration::from_millis(150);
    assert!(tokio::time::timeout(moment, asking.as_mut()).await.is_err());
    front.say(0, at(application.addr));
    let answer = soon("the answer", asking).await.unwrap();
    assert_eq!(text(answer).await, "body");

    let front = Front::patient(short(1)).await;
    front.assign(ONE, 0);
    front.say(0, Standing::Starting);
    let answer = send(&mut self::client(&front).await, get("/")).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers()["retry-after"], "2");
}

#[tokio::test]
async fn names_are_checked_and_the_connection_goes_on() {
    let application = Application::answering(ok).await;
    let front = Front::to(application.addr).await;
    let mut client = client(&front).await;
    let to = |uri: &str| Request::get(uri).version(Version::HTTP_2);
    let own = format!("https://{}/", org(ONE));
    for (asked, status) in [
        (to(&own), 200),
        (to(&own).header("host", org(ONE).to_uppercase()), 200),
        (to(&own).header("host", org(TWO)), 400),
        (to(&format!("https://{}:8443/", org(ONE))), 200),
        (to(&format!("https://{}/", org(TWO))), 404),
        (to("https://other.test/"), 421),
        (to("https://a.b.dev.test/"), 421),
    ] {
        let answer = send(&mut client, asked.body(empty()).unwrap()).await;
        assert_eq!(answer.status(), status);
        assert!(!answer.headers().contains_key("connection"));
    }
}

#[tokio::test]
async fn connect_is_refused_and_websockets_are_left_to_http_1() {
    let application = Application::answering(ok).await;
    let front = Front::to(application.addr).await;
    let mut client = client(&front).await;
    let connect = Request::connect("other.test:443").body(empty()).unwrap();
    let answer = send(&mut client, connect).await;
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    // Browsers ask for a WebSocket by HTTP/2 only where the settings allow that.
    let mut websocket = Request::connect(format!("https://{}/ws", org(ONE)))
        .version(Version::HTTP_2)
        .body(empty())
        .unwrap();
    let protocol = hyper::ext::Protocol::from_static("websocket");
    websocket.extensions_mut().insert(protocol);
    let refused = soon("the refusal", client.send_request(websocket)).await;
    assert!(refused.is_err() || refused.unwrap().status() == StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(application.connections(), 0);
}

#[tokio::test]
async fn heads_are_bounded_in_lines_and_in_bytes() {
    let application = Application::answering(|_| ok("hello")).await;
    let front = Front::to(application.addr).await;
    let mut client = client(&front).await;
    let many = (0..101).fold(request(Method::GET, "/"), |request, line| {
        request.header(format!("x-{line}"), "1")
    });
    let answer = send(&mut client, many.body(empty()).unwrap()).await;
    assert_eq!(answer.status(), 431);
    let large = request(Method::GET, "/").header("x-large", "x".repeat(70_000));
    let refused = client.send_request(large.body(empty()).unwrap()).await;
    assert!(refused.is_err() || refused.unwrap().status() == 431);
    let mut fresh = self::client(&front).await;
    let fits = request(Method::GET, "/").header("x-large", "x".repeat(15_000));
    let answer = send(&mut fresh, fits.body(empty()).unwrap()).await;
    assert_eq!(answer.status(), 200);
}
