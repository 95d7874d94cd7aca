//! The client alone, against answers written by hand on a unix socket.

use std::time::Duration;

use http::{Method, StatusCode};
use lockgate_builds::client::{Client, ClientError, Endpoint, JSON_LIMIT, Secret};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

const SOON: Duration = Duration::from_secs(20);

/// Asks a server that answers with these bytes and, when `stay`, keeps the connection.
/// Returns the outcome and the request's head.
async fn ask(
    answer: String,
    stay: bool,
    within: Duration,
) -> (Result<serde_json::Value, ClientError>, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        // The client may have had enough before all is sent.
        let _ = stream.write_all(answer.as_bytes()).await;
        (String::from_utf8(head).unwrap(), stay.then_some(stream))
    });
    let client = Client {
        endpoint: Endpoint::Unix(path),
        program: "lockgate-agent/0.0.0".to_owned(),
        token: Some(Secret::new("secret".to_owned())),
    };
    let outcome = client.get_json("/v1/status", within).await;
    let (head, _kept) = server.await.unwrap();
    (outcome, head)
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}")
}

#[tokio::test]
async fn a_request_says_who_asks_and_in_which_protocol() {
    let (outcome, head) = ask(answer("200 OK", "[1]"), false, SOON).await;
    assert_eq!(outcome.unwrap(), serde_json::json!([1]));
    assert!(head.starts_with("GET /v1/status HTTP/1.1\r\n"), "{head}");
    for line in [
        "host: localhost",
        "lockgate-protocol: 1",
        "lockgate-program: lockgate-agent/0.0.0",
        "authorization: Bearer secret",
    ] {
        assert!(head.contains(&format!("{line}\r\n")), "{head}");
    }
}

async fn check(answer: String, expected: impl Fn(&ClientError) -> bool, says: &str) {
    let (outcome, _) = ask(answer, false, SOON).await;
    let error = outcome.unwrap_err();
    assert!(expected(&error), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("/v1/status") && text.contains(says), "{text}");
}

#[tokio::test]
async fn answers_that_cannot_be_used_name_the_url_and_why() {
    let body = r#"{"error": "no such gateway"}"#;
    check(
        answer("404 Not Found", body),
        |error| error.status() == Some(StatusCode::NOT_FOUND),
        "answered 404 Not Found: no such gateway",
    )
    .await;
    check(
        answer("502 Bad Gateway", "some proxy"),
        |error| error.status() == Some(StatusCode::BAD_GATEWAY),
        "some proxy",
    )
    .await;
    check(
        answer("426 Upgrade Required", r#"{"error": "restart it"}"#),
        |error| matches!(error, ClientError::Gap { .. }),
        "restart it",
    )
    .await;
    check(
        answer("200 OK", "{"),
        |error| matches!(error, ClientError::Json { .. }),
        "not what was expected",
    )
    .await;
    check(
        answer("200 OK", &" ".repeat(JSON_LIMIT + 1)),
        |error| matches!(error, ClientError::TooLong { .. }),
        "longer than",
    )
    .await;
    check(
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{".to_owned(),
        |error| matches!(error, ClientError::Exchange { .. }),
        "broke",
    )
    .await;
    check(
        "SSH-2.0-server\r\n".to_owned(),
        |error| matches!(error, ClientError::Exchange { .. }),
        "broke",
    )
    .await;
}

#[tokio::test]
async fn a_server_that_stays_silent_is_left() {
    let head_only = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n";
    for silent in ["", head_only] {
        let within = Duration::from_millis(200);
        let (outcome, _) = ask(silent.to_owned(), true, within).await;
        let late = outcome.unwrap_err().to_string();
        assert!(late.contains("did not answer within 200ms"), "{late}");
    }
}

#[tokio::test]
async fn nobody_at_a_socket_is_unreachable() {
    let client = Client {
        endpoint: Endpoint::Unix("/nonexistent/socket".into()),
        program: "lockgate/0.0.0".to_owned(),
        token: None,
    };
    let asked = client.send_json::<(), _>(Method::POST, "/v1/stop", &(), SOON);
    let error = asked.await.unwrap_err();
    assert!(error.is_unreachable(), "{error:?}");
    assert!(
        error.to_string().contains("unix:/nonexistent/socket"),
        "{error}"
    );
}
