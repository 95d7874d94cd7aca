//! One request, one answer, read whole.

use std::time::Duration;

use http_body_util::BodyExt as _;
use lockgate_builds::client::{Client, Endpoint, Secret};

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The beginning of the body as text, for messages.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.body.get(..200).unwrap_or(&self.body)).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or(serde_json::Value::Null)
    }
}

/// `GET http://127.0.0.1:{port}{path}`; `None` where nothing answers within ten seconds.
pub fn get(port: u16, path: &str) -> Option<Answer> {
    request(port, "GET", path, None, &[])
}

/// A request with a method, a token and headers. `None` where nothing answers.
pub fn request(
    port: u16,
    method: &str,
    path: &str,
    token: Option<&str>,
    headers: &[(&str, &str)],
) -> Option<Answer> {
    let client = Client {
        endpoint: Endpoint::Tcp {
            host: "127.0.0.1".to_owned(),
            port,
        },
        program: "lockgate-e2e/0.1.0".to_owned(),
        token: token.map(|token| Secret::new(token.to_owned())),
    };
    let mut request = http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(bytes::Bytes::new()).ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    runtime.block_on(async {
        let within = Duration::from_secs(10);
        let response = client.send(request, within).await.ok()?;
        let (head, body) = response.into_parts();
        let body = tokio::time::timeout(within, body.collect()).await.ok()?;
        Some(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.ok()?.to_bytes().to_vec(),
        })
    })
}
