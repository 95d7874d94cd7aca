use super::*;
use crate::listener::Sockets;
use http::StatusCode;
use lockgate_model::AppSocket;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::mpsc;

/// Long enough for an answer on a loaded machine.
const LONG: Duration = Duration::from_secs(20);

#[test]
fn a_set_path_is_asked_for_more() {
    for (status, default, set) in [
        (StatusCode::OK, true, true),
        (StatusCode::FOUND, true, true),
        (StatusCode::NOT_FOUND, true, false),
        (StatusCode::SERVICE_UNAVAILABLE, false, false),
    ] {
        assert_eq!(is_good(status, false), default, "{status}");
        assert_eq!(is_good(status, true), set, "{status}");
    }
}

#[test]
fn nothing_is_asked_where_accepting_is_enough() {
    for (http, tcp, expected) in [
        (None, false, true),
        (None, true, false),
        (Some("/health"), true, true),
    ] {
        let readiness = Readiness {
            http: http.map(str::to_owned),
            tcp,
            ..Readiness::default()
        };
        assert_eq!(is_asked(&readiness), expected, "{readiness:?}");
    }
}

fn probe(at: Where, within: Duration) -> Probe {
    Probe {
        at,
        port: 8888,
        goes_on: true,
        readiness: Readiness {
            timeout: within,
            ..Readiness::default()
        },
    }
}

/// A socket as the agent holds it, where nobody accepts.
fn held() -> (Sockets, Where) {
    let mut sockets = Sockets::default();
    let any = Some("127.0.0.1:0".parse().unwrap());
    sockets.hold(&[AppSocket { port: 1 }], any).unwrap();
    let held = sockets.first().unwrap();
    let at = Where::Public {
        address: held.address,
        inode: held.inode().unwrap(),
    };
    (sockets, at)
}

fn listener(sockets: &Sockets) -> TcpListener {
    TcpListener::from(sockets.duplicates().unwrap().remove(0))
}

/// Reads one request and answers it; `None`: keeps it unanswered until the peer has gone.
fn serve(mut stream: impl Read + Write, answer: Option<&str>) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    if let Some(answer) = answer {
        // The body of the answer never comes, and nobody waits for it.
        write!(stream, "HTTP/1.1 {answer}\r\ncontent-length: 9\r\n\r\n").unwrap();
    }
    // The end is the asker's to make.
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"");
    String::from_utf8(head).unwrap()
}

async fn said_until_ready(probe: &Probe) -> Vec<String> {
    let mut said = Vec::new();
    timeout(LONG, probe.ready(|why| said.push(why)))
        .await
        .unwrap();
    said
}

#[tokio::test]
async fn a_bad_answer_is_said_and_a_good_one_ends_it() {
    let (sockets, at) = held();
    let listener = listener(&sockets);
    let server = std::thread::spawn(move || {
        for answer in ["503 Busy", "503 Busy", "200 OK"] {
            serve(listener.accept().unwrap().0, Some(answer));
        }
    });
    let said = said_until_ready(&probe(at, LONG)).await;
    assert_eq!(said, ["`GET /` was answered 503 Service Unavailable"]);
    server.join().unwrap();
}

#[tokio::test]
async fn a_private_socket_is_asked_until_it_answers_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("private");
    let (heads, asked) = mpsc::channel();
    let server = {
        let listener = UnixListener::bind(&path).unwrap();
        std::thread::spawn(move || {
            for answer in [None, Some("500 No"), Some("404 Nothing here")] {
                let head = serve(listener.accept().unwrap().0, answer);
                heads.send(head).unwrap();
            }
        })
    };
    let within = Duration::from_millis(500);
    let said = said_until_ready(&probe(Where::Private { path }, within)).await;
    assert_eq!(
        said,
        [
            "`GET /` was not answered within 500ms",
            "`GET /` was answered 500 Internal Server Error"
        ]
    );
    server.join().unwrap();
    for head in asked {
        assert!(head.starts_with("GET / HTTP/1.1\r\nhost: localhost:8888\r\n"));
    }
}

#[tokio::test]
async fn what_was_ready_is_asked_on_until_it_is_not_and_until_it_is_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("private");
    let listener = UnixListener::bind(&path).unwrap();
    let server = std::thread::spawn(move || {
        for answer in ["200 OK", "503 Busy", "503 Busy", "200 OK"] {
            serve(listener.accept().unwrap().0, Some(answer));
        }
    });
    let probe = probe(Where::Private { path }, LONG);
    let asking = async {
        let busy = Err("`GET /` was answered 503 Service Unavailable".to_owned());
        assert_eq!(probe.ask_again(false).await, busy);
        assert_eq!(probe.ask_again(true).await, busy);
        assert_eq!(probe.ask_again(true).await, Ok(()));
    };
    timeout(LONG, asking).await.unwrap();
    server.join().unwrap();
}

#[tokio::test]
async fn a_private_socket_that_is_gone_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("private");
    let probe = probe(Where::Private { path: path.clone() }, LONG);
    let (said, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let asking = async { probe.ready(|why| said.send(why).unwrap()).await };
    let server = async {
        let why = heard.recv().await.unwrap();
        assert_eq!(
            why,
            format!(
                "cannot connect to `{}`: No such file or directory (os error 2)",
                path.display()
            )
        );
        let listener = UnixListener::bind(&path).unwrap();
        let serving = move || serve(listener.accept().unwrap().0, Some("204 Nothing"));
        tokio::task::spawn_blocking(serving).await.unwrap();
    };
    timeout(LONG, async { tokio::join!(asking, server) })
        .await
        .unwrap();
}

#[tokio::test]
async fn a_held_socket_where_nobody_accepts_is_said_to_be_one() {
    let (sockets, at) = held();
    let (said, mut heard) = tokio::sync::mpsc::unbounded_channel();
    // Far more than one look at the queue, and many times shorter than the test may take.
    let probe = probe(at, Duration::from_millis(300));
    let asking = async { probe.ready(|why| said.send(why).unwrap()).await };
    let server = async {
        let why = heard.recv().await.unwrap();
        assert_eq!(why, "nothing listens on port 8888 yet");
        // From now on somebody accepts, and answers the one who still waits.
        let listener = listener(&sockets);
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let _ = stream.read(&mut [0; 1024]);
                let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
            }
        });
    };
    timeout(LONG, async { tokio::join!(asking, server) })
        .await
        .unwrap();
}

#[tokio::test]
async fn accepting_is_enough_where_nothing_is_asked() {
    let (sockets, at) = held();
    let mut probe = probe(at, LONG);
    probe.readiness.tcp = true;
    let early = timeout(Duration::from_millis(100), probe.ready(|_| {})).await;
    assert!(early.is_err(), "ready before anybody accepted");
    let listener = listener(&sockets);
    let accepting = std::thread::spawn(move || {
        let first = listener.accept().unwrap();
        let second = listener.accept().unwrap();
        (first, second)
    });
    assert_eq!(said_until_ready(&probe).await, Vec::<String>::new());
    accepting.join().unwrap();
}
