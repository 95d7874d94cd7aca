//! One request on its way to an upstream, and its answer on the way back.

use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use http_body_util::{Either, Empty};
use hyper::body::Incoming;
use hyper::upgrade::{self, OnUpgrade};
use lockgate_model::protocol;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::body::{AnswerBody, RequestBody};
use super::card::Introduction;
use super::client::Client;
use super::connection::{self, UpstreamError};
use super::files;
use super::headers::{self, Unforwardable};
use super::origin::{Origin, Wanted};
use super::page::{self, Page, RETRY_AFTER_SECS};
use super::pool::{Lease, Pool};
use super::rules::{Rules, Stage};
use super::tunnel::tunnel;
use super::wait::Wait;
use crate::lookup::{Decision, Lookup, Unavailable, Upstream};

/// How often a request is tried whose first bytes cannot be sent.
const MOST_TRIES: u32 = 3;

/// What all connections of one door share.
#[derive(Debug)]
pub(super) struct Forwarder {
    lookup: Lookup,
    rules: Rules,
    introduction: Option<Introduction>,
    pub(super) pool: Pool,
    /// Every task of the door: clients, upstream connections, tunnels.
    pub(super) tasks: TaskTracker,
    /// Ends what the drain did not.
    pub(super) cut: CancellationToken,
}

/// An answer's head, and the connection it came on.
struct Answered {
    response: Response<Incoming>,
    /// `None` where it has ended.
    lease: Option<Lease>,
}

/// An attempt that brought no answer.
struct Failed {
    error: UpstreamError,
    /// Whether the connection had served another request before.
    reused: bool,
    /// The request, where nothing of it was sent.
    unsent: Option<Request<RequestBody>>,
}

impl Forwarder {
    pub(super) fn new(lookup: Lookup, rules: Rules, introduction: Option<Introduction>) -> Self {
        let tasks = TaskTracker::new();
        Self {
            pool: Pool::new(lookup.clone(), tasks.clone()),
            lookup,
            rules,
            introduction,
            tasks,
            cut: CancellationToken::new(),
        }
    }

    /// Whether a client from this address is served.
    pub(super) fn lets_in(&self, peer: IpAddr) -> bool {
        self.rules.let_in(peer)
    }

    /// Resolves at the first change of decisions after this call.
    pub(super) fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.lookup.changed()
    }

    /// Answers a request: with the upstream's answer, or with a page that says why not.
    pub(super) async fn forward(
        &self,
        client: &Client,
        request: Request<Incoming>,
    ) -> Response<AnswerBody> {
        let html = page::wants_html(request.headers());
        match self.exchange(client, request).await {
            Ok(answer) => answer,
            Err(page) => page.answer(html),
        }
    }

    async fn exchange(
        &self,
        client: &Client,
        mut request: Request<Incoming>,
    ) -> Result<Response<AnswerBody>, Page> {
        let upgraded = upgrade::on(&mut request);
        let (mut parts, body) = request.into_parts();
        let host = headers::host(&parts)?;
        let wanted = Wanted::new(host.clone(), &parts);
        client.may_ask_for(wanted.asked().host)?;
        let own = self.introduction.as_ref();
        if let Some(answer) = own.and_then(|own| own.answer(&parts.method, &wanted.asked())) {
            return Ok(answer);
        }
        let upgrade = headers::to_upstream(&mut parts, host, client, &self.rules)?;
        let mut wait = Wait::new(self.rules.room.as_ref());
        let upstream = match self.admitted(&wanted, &mut wait).await? {
            Decision::Files(folder) => return files::answer(folder, &parts).await,
            decision => decided(decision, &wanted)?,
        };
        let answered = self
            .answered(parts, body, upgrade, &upstream, &wanted, wait)
            .await?;
        self.returned(answered, upgrade.then_some(upgraded), &upstream, &wanted)
    }

    /// What is decided now, or when the request's gateway is there.
    async fn admitted(&self, wanted: &Wanted, wait: &mut Wait) -> Result<Decision, Page> {
        loop {
            // Subscribed before it is decided, so that no change passes in between.
            let changed = self.lookup.changed();
            match self.lookup.decide(&wanted.asked()) {
                Decision::Wait(why) => wait
                    .for_change(changed)
                    .await
                    .map_err(|over| over.page(why))?,
                decision => {
                    wait.ends();
                    return Ok(decision);
                }
            }
        }
    }

    /// Sends a request until it is answered.
    ///
    /// An idempotent request without a body is sent once more, on a fresh connection,
    /// when the first ended unanswered for a reason that is not the request: it had
    /// been idle, or the upstream's process is about to end or was exchanged meanwhile.
    /// Or it is a gateway's door that died over it: then after a moment, since while it
    /// goes its socket still takes connections that nobody will serve.
    /// Any request is tried again of which nothing was sent. Where a gateway's door
    /// refused the connection, that is done as long as the request may wait.
    async fn answered(
        &self,
        parts: Parts,
        body: Incoming,
        upgrade: bool,
        upstream: &Upstream,
        wanted: &Wanted,
        mut wait: Wait,
    ) -> Result<Answered, Page> {
        let repeatable = !upgrade && body.is_end_stream() && parts.method.is_idempotent();
        let mut again = repeatable.then(|| with_body(&parts, Either::Right(Empty::new())));
        let body = if body.is_end_stream() {
            Either::Right(Empty::new())
        } else {
            Either::Left(body)
        };
        let mut changed = self.lookup.changed();
        let mut exchanged = false;
        let mut tries = MOST_TRIES;
        let origin = Origin::new(upstream, wanted);
        let mut attempt = pin!(self.send(with_body(&parts, body), origin, repeatable));
        loop {
            tokio::select! {
                biased;
                answer = attempt.as_mut() => {
                    let mut failed = match answer {
                        Ok(answered) => return Ok(answered),
                        Err(failed) => failed,
                    };
                    if is_ready(changed.as_mut()).await {
                        changed = self.lookup.changed();
                        exchanged = true;
                    }
                    let request = if failed.error.is_refusal() {
                        if upstream.gateway.is_none() || !wait.may() {
                            return Err(self.unanswered(&failed, upstream, wanted));
                        }
                        wait.for_change_or_a_moment(changed.as_mut())
                            .await
                            .map_err(|over| over.page(refused(&failed, upstream)))?;
                        changed = self.lookup.changed();
                        failed.unsent.take()
                    } else {
                        tries -= 1;
                        let died = self.has_died_itself(upstream);
                        let blameless = failed.reused || exchanged || upstream.leaves || died;
                        match failed.unsent.take() {
                            None if blameless && failed.error.is_early_end() => {
                                if died && again.is_some() {
                                    // Who finds no room to wait is not told to leave for that.
                                    let _ = wait.for_change_or_a_moment(changed.as_mut()).await;
                                    wait.ends();
                                    changed = self.lookup.changed();
                                }
                                again.take()
                            }
                            unsent => unsent,
                        }
                    };
                    let Some(request) = request.filter(|_| tries > 0) else {
                        return Err(self.unanswered(&failed, upstream, wanted));
                    };
                    tracing::debug!(error = %failed.error, "asking once more");
                    let now = decided(self.admitted(wanted, &mut wait).await?, wanted)?;
                    attempt.set(self.send(request, Origin::new(&now, wanted), false));
                }
                () = changed.as_mut() => {
                    changed = self.lookup.changed();
                    exchanged = true;
                    if let Decision::Unavailable(why) = self.lookup.decide(&wanted.asked()) {
                        return Err(Page::unavailable(why));
                    }
                }
            }
        }
    }

    /// Whether a connection that ended unanswered means that the upstream itself is gone:
    /// a gateway's door says so where its application ended over a request.
    fn has_died_itself(&self, upstream: &Upstream) -> bool {
        self.rules.stage == Stage::Front && upstream.gateway.is_some()
    }

    /// One attempt, on an idle connection when `reuse` allows it and there is one.
    async fn send(
        &self,
        request: Request<RequestBody>,
        origin: Origin,
        reuse: bool,
    ) -> Result<Answered, Failed> {
        let addr = origin.addr;
        let idle = if reuse { self.pool.take(&origin) } else { None };
        let reused = idle.is_some();
        let sender = match idle {
            Some(sender) => sender,
            None => match connection::open(addr, &self.tasks, &self.cut).await {
                Ok(sender) => sender,
                Err(error) => {
                    return Err(Failed {
                        error,
                        reused,
                        unsent: Some(request),
                    });
                }
            },
        };
        match connection::exchange(sender, request).await {
            Ok((response, sender)) => Ok(Answered {
                response,
                lease: sender.map(|sender| self.pool.lease(origin, sender)),
            }),
            Err((source, unsent)) => Err(Failed {
                error: UpstreamError::Exchange { addr, source },
                reused,
                unsent,
            }),
        }
    }

    /// The page for a request that got no answer.
    fn unanswered(&self, failed: &Failed, upstream: &Upstream, wanted: &Wanted) -> Page {
        if failed.error.is_of_the_request() {
            return Page::plain(
                StatusCode::BAD_REQUEST,
                "the request's body could not be read to its end",
            );
        }
        if let Decision::Unavailable(why) = self.lookup.decide(&wanted.asked()) {
            return Page::unavailable(why);
        }
        let why = failed.error.sentence();
        tracing::warn!(
            gateway = upstream.gateway.as_ref().map(tracing::field::display),
            path = wanted.path(),
            why,
            "request not answered"
        );
        let build = self.build_now(upstream, wanted);
        Page::no_answer(upstream.gateway.clone(), build, why)
    }

    /// Turns the upstream's answer into the client's.
    fn returned(
        &self,
        answered: Answered,
        client: Option<OnUpgrade>,
        upstream: &Upstream,
        wanted: &Wanted,
    ) -> Result<Response<AnswerBody>, Page> {
        let Answered {
            mut response,
            lease,
        } = answered;
        let switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let upgraded = switched.then(|| upgrade::on(&mut response));
        let (mut parts, incoming) = response.into_parts();
        if headers::from_upstream(&mut parts.headers, switched).is_err() {
            return Err(Page::plain(
                StatusCode::BAD_GATEWAY,
                "the application used a transfer coding other than `chunked`",
            ));
        }
        parts.version = Version::HTTP_11;
        // A gateway's own door knows better than what is told of it.
        let told =
            self.rules.stage == Stage::Front && parts.headers.contains_key(protocol::BUILD_HEADER);
        if !told
            && let Some(build) = self.build_now(upstream, wanted).as_ref()
            && let Some(value) = page::build_value(build)
        {
            parts.headers.insert(protocol::BUILD_HEADER, value);
        }
        let body = match (upgraded, client) {
            (None, _) => AnswerBody::streamed(incoming, lease),
            (Some(upgraded), Some(client)) => {
                self.tasks.spawn(tunnel(client, upgraded, self.cut.clone()));
                AnswerBody::empty()
            }
            (Some(_), None) => {
                return Err(Page::plain(
                    StatusCode::BAD_GATEWAY,
                    "the application switched protocols unasked",
                ));
            }
        };
        Ok(Response::from_parts(parts, body))
    }

    /// The build that answers now. A request that waited for a new process was decided
    /// when the old build was the one, so it is asked for again when the answer comes.
    fn build_now(&self, upstream: &Upstream, wanted: &Wanted) -> Option<lockgate_model::BuildId> {
        match self.lookup.decide(&wanted.asked()) {
            Decision::To(now) if now.addr == upstream.addr => now.build,
            _ => upstream.build.clone(),
        }
    }
}

/// Whether a future is done already. One that is must not be polled again.
async fn is_ready(mut future: Pin<&mut (dyn Future<Output = ()> + Send)>) -> bool {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await
}

impl From<Unforwardable> for Page {
    fn from(why: Unforwardable) -> Self {
        let (status, text) = match why {
            Unforwardable::Host => (
                StatusCode::BAD_REQUEST,
                "an HTTP/1.1 request names exactly one host",
            ),
            Unforwardable::TwoHosts => (
                StatusCode::BAD_REQUEST,
                "`Host` and `:authority` name two hosts",
            ),
            Unforwardable::Headers => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "the request has too many headers",
            ),
            Unforwardable::Connect => (
                StatusCode::METHOD_NOT_ALLOWED,
                "this is a reverse proxy: CONNECT is not served",
            ),
            Unforwardable::TransferCoding => (
                StatusCode::NOT_IMPLEMENTED,
                "the only transfer coding served is `chunked`, once",
            ),
        };
        Self::plain(status, text)
    }
}

fn decided(decision: Decision, wanted: &Wanted) -> Result<Upstream, Page> {
    let not_found = |why: &str| Page::plain(StatusCode::NOT_FOUND, why);
    match decision {
        Decision::To(upstream) => Ok(upstream),
        Decision::Wait(why) | Decision::Unavailable(why) => Err(Page::unavailable(why)),
        Decision::Secure(port) => Err(match wanted.by_https(port) {
            Some(location) => Page::elsewhere(location),
            None => not_found("no route for this host and path"),
        }),
        // A folder answers before anything is sent; one that comes later comes too late.
        Decision::NotFound | Decision::Files(_) => {
            Err(not_found("no route for this host and path"))
        }
        Decision::Nobody(why) => Err(not_found(&why)),
    }
}

/// What is said of a gateway whose door still refuses when the time is over.
fn refused(failed: &Failed, upstream: &Upstream) -> Unavailable {
    Unavailable {
        gateway: upstream.gateway.clone(),
        build: upstream.build.clone(),
        why: failed.error.sentence(),
        retry_after: Duration::from_secs(RETRY_AFTER_SECS),
    }
}

/// A request with this head; the client connection's own extensions stay behind.
fn with_body(parts: &Parts, body: RequestBody) -> Request<RequestBody> {
    let mut request = Request::new(body);
    *request.method_mut() = Method::clone(&parts.method);
    *request.uri_mut() = parts.uri.clone();
    *request.headers_mut() = parts.headers.clone();
    request
}
