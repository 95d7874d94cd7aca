//! The HTTP/1.1 client of both programs: one request, one connection, all bounded.
//!
//! It speaks to the build server over TCP and to control sockets over a unix
//! socket. Every request names the protocol and the program; an answer's body
//! streams. Left out on purpose: pools, redirects, proxies from the environment and
//! TLS. A connection per request costs well under a millisecond on the networks this
//! is for, and then no request can meet a connection that died while it was idle.

mod endpoint;
mod error;
mod secret;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use lockgate_model::protocol;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

pub use endpoint::Endpoint;
pub use error::ClientError;
pub use secret::Secret;

/// How long a connection may take to be made: three seconds, enough for one lost
/// packet and its repetition.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// The longest JSON body that is read, in bytes: 16 MiB.
pub const JSON_LIMIT: usize = 16 << 20;

/// The longest text of an error answer that is carried on, in bytes.
const ERROR_LIMIT: usize = 64 << 10;

/// One server and who asks it.
#[derive(Debug, Clone)]
pub struct Client {
    /// Where the server is reached.
    pub endpoint: Endpoint,
    /// The program that asks, with its version: `lockgate-agent/0.1.0`.
    pub program: String,
    /// The token sent as `Authorization: Bearer …`, where one is needed.
    pub token: Option<Secret>,
}

impl Client {
    /// The URL of a path on this server, for requests' logs and errors.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.endpoint)
    }

    /// Sends a request and reads the answer's head; the body streams.
    ///
    /// The request's URI is a path with its query. Headers that name host, protocol,
    /// program and token are added. An answer other than 2xx is *not* an error
    /// here, except 426: the two programs cannot talk.
    pub async fn send(
        &self,
        request: Request<Bytes>,
        head_within: Duration,
    ) -> Result<Response<Incoming>, ClientError> {
        let url = self.url(&request.uri().to_string());
        let request = self.complete(request, &url)?;
        let answer = match &self.endpoint {
            Endpoint::Tcp { host, port } => {
                let stream = connect(&url, TcpStream::connect((host.as_str(), *port))).await?;
                let _ = stream.set_nodelay(true);
                exchange(&url, stream, request, head_within).await?
            }
            Endpoint::Unix(path) => {
                let stream = connect(&url, UnixStream::connect(path)).await?;
                exchange(&url, stream, request, head_within).await?
            }
        };
        if answer.status() == StatusCode::UPGRADE_REQUIRED {
            return Err(gap(&url, answer).await);
        }
        Ok(answer)
    }

    /// Asks for a JSON document of at most [`JSON_LIMIT`] bytes. The whole exchange
    /// ends `within` this time. An answer other than 2xx is an error that carries
    /// status, URL and the server's own words.
    pub async fn get_json<T: DeserializeOwned>(
        &self,
        path: &str,
        within: Duration,
    ) -> Result<T, ClientError> {
        let request = self.request(Method::GET, path, Bytes::new())?;
        self.json(path, request, within).await
    }

    /// Sends a JSON document and reads the answer as [`Client::get_json`] does. An
    /// answer without a body reads as JSON's `null`, which `()` accepts.
    pub async fn send_json<T: DeserializeOwned, B: Serialize>(
        &self,
        method: Method,
        path: &str,
        body: &B,
        within: Duration,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|source| ClientError::Json {
            url: self.url(path),
            source,
        })?;
        let mut request = self.request(method, path, Bytes::from(body))?;
        request
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.json(path, request, within).await
    }

    /// A request for a path on this server.
    pub fn request(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Request<Bytes>, ClientError> {
        let uri = Uri::try_from(path).map_err(|source| ClientError::Request {
            url: self.url(path),
            source: source.into(),
        })?;
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        Ok(request)
    }

    async fn json<T: DeserializeOwned>(
        &self,
        path: &str,
        mut request: Request<Bytes>,
        within: Duration,
    ) -> Result<T, ClientError> {
        let url = self.url(path);
        request
            .headers_mut()
            .insert(ACCEPT, HeaderValue::from_static("application/json"));
        let whole = async {
            let answer = self.send(request, within).await?;
            let answer = expect_success(&url, answer).await?;
            let body = read_body(&url, answer.into_body(), JSON_LIMIT).await?;
            let body = if body.is_empty() { &b"null"[..] } else { &body };
            serde_json::from_slice(body).map_err(|source| ClientError::Json {
                url: url.clone(),
                source,
            })
        };
        timeout(within, whole)
            .await
            .unwrap_or_else(|_| Err(ClientError::late(&url, within)))
    }

    /// Adds what every request carries.
    fn complete(
        &self,
        request: Request<Bytes>,
        url: &str,
    ) -> Result<Request<Full<Bytes>>, ClientError> {
        let header = |text: &str| {
            HeaderValue::try_from(text).map_err(|source| ClientError::Request {
                url: url.to_owned(),
                source: source.into(),
            })
        };
        let mut request = request.map(Full::new);
        let host = header(&self.endpoint.authority())?;
        let program = header(&self.program)?;
        let token = match &self.token {
            Some(token) => {
                let mut value = header(&format!("Bearer {}", token.expose()))?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        let headers = request.headers_mut();
        headers.insert(HOST, host);
        headers.insert(
            HeaderName::from_static(protocol::VERSION_HEADER),
            HeaderValue::from(protocol::VERSION),
        );
        headers.insert(HeaderName::from_static(protocol::PROGRAM_HEADER), program);
        if let Some(token) = token {
            headers.insert(AUTHORIZATION, token);
        }
        Ok(request)
    }
}

/// Reads a whole body of at most `limit` bytes.
pub async fn read_body(url: &str, mut body: Incoming, limit: usize) -> Result<Bytes, ClientError> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|source| ClientError::Exchange {
            url: url.to_owned(),
            source,
        })?;
        if let Ok(data) = frame.into_data() {
            if whole.len() + data.len() > limit {
                return Err(ClientError::TooLong {
                    url: url.to_owned(),
                    limit_bytes: limit,
                });
            }
            whole.extend_from_slice(&data);
        }
    }
    Ok(whole.freeze())
}

/// Turns an answer other than 2xx into an error with the server's own words.
pub async fn expect_success(
    url: &str,
    answer: Response<Incoming>,
) -> Result<Response<Incoming>, ClientError> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    Err(ClientError::Status {
        url: url.to_owned(),
        status,
        text: error_text(answer).await,
    })
}

async fn gap(url: &str, answer: Response<Incoming>) -> ClientError {
    ClientError::Gap {
        url: url.to_owned(),
        text: error_text(answer).await,
    }
}

/// The `error` of a JSON answer, else the beginning of its text.
async fn error_text(answer: Response<Incoming>) -> String {
    #[derive(serde::Deserialize)]
    struct Problem {
        error: String,
    }
    let reading = read_body("", answer.into_body(), ERROR_LIMIT);
    let Ok(Ok(body)) = timeout(CONNECT_WITHIN, reading).await else {
        return String::new();
    };
    match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) => problem.error,
        Err(_) => String::from_utf8_lossy(&body)
            .trim()
            .chars()
            .take(300)
            .collect(),
    }
}

async fn connect<S>(
    url: &str,
    connecting: impl Future<Output = std::io::Result<S>>,
) -> Result<S, ClientError> {
    match timeout(CONNECT_WITHIN, connecting).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(source)) => Err(ClientError::Connect {
            url: url.to_owned(),
            source,
        }),
        Err(_) => Err(ClientError::Unreachable {
            url: url.to_owned(),
            within: CONNECT_WITHIN,
        }),
    }
}

/// Sends one request over a fresh connection.
///
/// The task that moves the bytes ends with the answer's body: when it is read to its
/// end or dropped, and when this future is dropped, hyper closes the connection.
async fn exchange(
    url: &str,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
    head_within: Duration,
) -> Result<Response<Incoming>, ClientError> {
    let failed = |source| ClientError::Exchange {
        url: url.to_owned(),
        source,
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(failed)?;
    // Its error reaches the caller through the answer or the answer's body.
    tokio::spawn(connection);
    match timeout(head_within, sender.send_request(request)).await {
        Ok(answer) => answer.map_err(failed),
        Err(_) => Err(ClientError::late(url, head_within)),
    }
}
