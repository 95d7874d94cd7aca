//! The build server: hands archives, manifests and statements to gateways and takes
//! in their reports.
//!
//! ```text
//!             listen ── patience: how long a connection may be silent
//!                │
//!   request ─▶ route ─▶ access ─▶ archive ─ negotiate, conditional, files ─▶ body
//!             (what?)   (who?)    gateway ─ notice, reports                  │
//!                                                          journal ◀─────────┘
//! ```
//!
//! It reads the store and changes nothing in it, except that an archive is compressed
//! when the first client asks for that. Left out on purpose: listings, uploads and
//! whatever else a path might name; the control socket, which is another server.

mod access;
mod archive;
mod body;
mod conditional;
mod files;
mod gateway;
mod journal;
mod listen;
mod negotiate;
mod notice;
mod patience;
mod refusal;
mod reports;
mod route;
mod tokens;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use lockgate_model::{EnvName, GatewayName, ports, protocol};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use archive::Ask;
use body::Content;
use files::{Files, blocking};
use journal::{Noted, Visit};
use notice::Waiting;
use patience::Stage;
use refusal::Refusal;
use route::Route;
use tokens::Tokens;

pub use notice::Notice;
pub use reports::{Received, Reports};

use crate::store::Store;

/// The longest request target, in bytes. The longest that means something has a
/// tenth of that.
const TARGET_BYTES: usize = 2 << 10;

/// Where a listener is reached from. The listener decides what may be had without a
/// token, never the peer's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// This host only: current archives without a token.
    Loopback,
    /// Containers and other machines: everything with a token.
    Bridge,
}

/// Why a listener could not be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener has no address.
    #[error("the listener has no address")]
    Listener(#[source] std::io::Error),
}

/// The build server of one store. It serves any number of listeners.
#[derive(Debug)]
pub struct BuildServer {
    /// What is served.
    pub store: Store,
    /// What the gateways say of themselves.
    pub reports: Reports,
    /// Rung when statements changed.
    pub notice: Notice,
    /// The program and its version, said in every answer: `lockgate/0.1.0`.
    pub program: String,
    plain: BTreeSet<EnvName>,
    files: Files,
    tokens: Arc<Tokens>,
    waiting: Waiting,
}

impl BuildServer {
    /// A server of this store; `program` is said in every answer: `lockgate/0.1.0`.
    pub fn new(store: Store, reports: Reports, notice: Notice, program: String) -> Self {
        Self {
            store,
            reports,
            notice,
            program,
            plain: BTreeSet::new(),
            files: Files::default(),
            tokens: Arc::default(),
            waiting: Waiting::default(),
        }
    }

    /// Opens one environment's current archive to bridges without a token, for
    /// containers that have no agent yet.
    #[must_use]
    pub fn allow_plain(mut self, env: EnvName) -> Self {
        tracing::warn!(%env, "its archive is open to everybody who reaches a listener");
        self.plain.insert(env);
        self
    }

    /// Serves one bound listener until the token is cancelled, then drains for at
    /// most 5 s. Returns the address that was served.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        reach: Reach,
        stop: CancellationToken,
    ) -> Result<SocketAddr, ServeError> {
        listen::listen(self, listener, reach, stop).await
    }

    /// Answers one request, whatever it is.
    async fn answer(
        &self,
        reach: Reach,
        peer: SocketAddr,
        stage: Stage,
        stop: &CancellationToken,
        request: Request<Incoming>,
    ) -> Response<Noted> {
        let mut visit = Visit::begin(peer, request.method(), request.uri().path(), stage);
        let answered = self.fulfil(reach, stop, request, &mut visit).await;
        let answer = answered.unwrap_or_else(refused);
        visit.status = Some(answer.status());
        let mut answer = answer.map(|content| Noted::new(content, visit));
        let headers = answer.headers_mut();
        headers.insert(
            HeaderName::from_static(protocol::VERSION_HEADER),
            HeaderValue::from(protocol::VERSION),
        );
        if let Ok(program) = HeaderValue::try_from(&self.program) {
            headers.insert(HeaderName::from_static(protocol::PROGRAM_HEADER), program);
        }
        answer
    }

    async fn fulfil(
        &self,
        reach: Reach,
        stop: &CancellationToken,
        request: Request<Incoming>,
        visit: &mut Visit,
    ) -> Result<Response<Content>, Refusal> {
        let route = judge(visit.peer(), &request)?;
        visit.gateway = self.admit(&route, reach, &request).await?;
        if let Some(gateway) = &visit.gateway {
            self.reports.contact(gateway, now_ms());
        }
        let ask = Ask {
            method: request.method(),
            headers: request.headers(),
        };
        match &route {
            Route::Health => Ok(json(
                StatusCode::OK,
                &serde_json::json!({"status": "ok", "program": self.program}),
            )),
            Route::Archive(env) => archive::current(self, &ask, env).await,
            Route::Manifest(env, build) => archive::manifest(self, &ask, env, build).await,
            Route::Build(env, build) => archive::build(self, &ask, env, build).await,
            Route::Desired(gateway) => {
                gateway::desired(self, gateway, request.uri().query(), stop).await
            }
            Route::Status(gateway) => gateway::status(self, gateway, request).await,
        }
    }

    /// Whether the request may have this, and the gateway whose token says so.
    async fn admit(
        &self,
        route: &Route,
        reach: Reach,
        request: &Request<Incoming>,
    ) -> Result<Option<GatewayName>, Refusal> {
        if *route == Route::Health {
            return Ok(None);
        }
        let Some(token) = access::bearer(request.headers())? else {
            let Route::Archive(env) = route else {
                return Err(Refusal::unauthorized("this needs a gateway's token"));
            };
            let opened = self.plain.contains(env);
            let authority = request.uri().authority();
            access::without_token(reach, opened, authority, request.headers())?;
            return Ok(None);
        };
        let owner = self.owner(token).await?;
        let owner = owner.ok_or_else(|| Refusal::unauthorized("no gateway has this token"))?;
        if route.open_to(&owner) {
            Ok(Some(owner))
        } else {
            Err(Refusal::forbidden(format!(
                "the token of `{owner}` does not open this"
            )))
        }
    }

    async fn owner(&self, token: &str) -> Result<Option<GatewayName>, Refusal> {
        let (store, tokens, token) = (
            self.store.clone(),
            Arc::clone(&self.tokens),
            token.to_owned(),
        );
        blocking(move || tokens.owner(&store, &token))
            .await
            .map_err(|error| Refusal::internal(&error))
    }
}

/// What is asked, when it can be asked at all: decided from the head alone.
fn judge<B>(peer: SocketAddr, request: &Request<B>) -> Result<Route, Refusal> {
    if ports::is_in_vpn(peer.ip()) {
        return Err(Refusal::forbidden("clients of a VPN get nothing here"));
    }
    let uri = request.uri();
    let target = uri
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    if target > TARGET_BYTES {
        return Err(Refusal::new(
            StatusCode::URI_TOO_LONG,
            format!("the request's target has {target} bytes, at most {TARGET_BYTES} are read"),
        ));
    }
    let route = Route::parse(uri.path()).ok_or_else(|| Refusal::not_found("nothing is here"))?;
    if !route.answers(request.method()) {
        return Err(Refusal::method(&route, request.method()));
    }
    if route.speaks_protocol() {
        access::same_protocol(request.headers())?;
    }
    Ok(route)
}

fn refused(refusal: Refusal) -> Response<Content> {
    let body = serde_json::json!({"error": refusal.sentence});
    let mut answer = json(refusal.status, &body);
    if let Some((name, value)) = refusal.header {
        answer.headers_mut().insert(name, value);
    }
    answer
}

fn json(status: StatusCode, body: &serde_json::Value) -> Response<Content> {
    let body = Bytes::from(format!("{body}\n"));
    let mut answer = Response::new(Content::Memory(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// UNIX milliseconds: when a gateway was heard.
#[expect(
    clippy::disallowed_methods,
    reason = "the server is the driver that stamps what it hears"
)]
fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
