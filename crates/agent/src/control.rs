//! The agent's control socket: what all commands of `lockgate-agent` but `run` and
//! `logs` ask. HTTP on a unix socket that only the agent's own user can open.
//!
//! A request that comes from below the application's own process is answered when it is
//! accepted: the application waits for the answer, and its end must not wait for it.

mod ancestry;
mod listening;
mod routing;
mod settle;
mod socket;
mod vpn;

use std::time::Duration;

use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post, put};
use axum::serve::IncomingStream;
use axum::{Json, Router};
use lockgate_model::protocol::LISTENERS_PATH;
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::converge::Converging;
use crate::door::Routes;
use crate::report::Reporting;
use crate::supervisor::Handle;
use crate::vpn::Vpn;

pub(crate) use listening::Listening;
pub(crate) use routing::{AllRoutes, Lines};
pub(crate) use settle::Unsettled;
pub(crate) use socket::bind;
pub(crate) use vpn::{ClientOf, Profile, Start};

/// `GET`: the report.
pub(crate) const STATUS: &str = "/v1/status";
/// `POST`: ask the server now; answered with the report when the gateway is settled.
pub(crate) const RELOAD: &str = "/v1/reload";
/// `POST`: start the application again; answered with the report when it is ready.
pub(crate) const RESTART: &str = "/v1/restart";
/// `POST`: begin afresh, all of it or what [`Asked::part`] names; answered with the report
/// when the application is ready.
pub(crate) const RESET: &str = "/v1/reset";
/// `POST`: end the application; answered with the report when it is gone.
pub(crate) const STOP: &str = "/v1/stop";
/// `POST`: run it again; answered with the report when it is ready.
pub(crate) const START: &str = "/v1/start";
/// `GET`: the routes of user containers. `PUT`: set all of them, as lines.
pub(crate) const ROUTES: &str = "/v1/routes";
/// `GET`: what listens, and what should.
pub(crate) const LISTENERS: &str = LISTENERS_PATH;
/// `GET`: the VPN, its clients, and whether they are kept apart.
pub(crate) const VPN: &str = "/v1/vpn";
/// `POST`: start it, for the organization of the body.
pub(crate) const VPN_START: &str = "/v1/vpn/start";
/// `POST`: stop it.
pub(crate) const VPN_STOP: &str = "/v1/vpn/stop";
/// `POST`: a client's profile, with the host of the body.
pub(crate) const VPN_CLIENT: &str = "/v1/vpn/client";
/// How long a reload or restart may take where the caller does not say: the longest
/// start (20 s) of a new build and of the old one after it, and a fetch.
pub(crate) const WITHIN: Duration = Duration::from_mins(1);

/// Nobody waits for longer, whatever the caller says.
const LONGEST: Duration = Duration::from_hours(24);

/// What the control socket speaks for.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    /// The loop.
    pub(crate) converging: Converging,
    /// The application.
    pub(crate) supervisor: Handle,
    /// The door's routes.
    pub(crate) routes: Routes,
    /// What is answered.
    pub(crate) reporting: Reporting,
    /// The parts that listen.
    pub(crate) listening: Listening,
    /// The VPN.
    pub(crate) vpn: Vpn,
}

/// What a reset is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Part {
    /// What serves HTTP.
    Door,
    /// The application.
    Application,
}

/// The part that is meant; all where none is named.
#[derive(Debug, Clone, Deserialize)]
struct Asked {
    part: Option<Part>,
}

/// How long the caller waits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Patience {
    /// In seconds.
    pub(crate) timeout: Option<u64>,
}

impl Patience {
    fn within(&self) -> Duration {
        let asked = self.timeout.map(Duration::from_secs);
        asked.map_or(WITHIN, |asked| asked.min(LONGEST))
    }
}

/// Who connected, by its process number as the kernel knows it.
#[derive(Debug, Clone, Copy)]
struct Peer(Option<i32>);

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self(stream.io().peer_cred().ok().and_then(|peer| peer.pid()))
    }
}

/// Serves the socket until `stop` is cancelled.
pub(crate) async fn serve(
    listener: UnixListener,
    control: Control,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let router = Router::new()
        .route(STATUS, get(status))
        .route(RELOAD, post(reload))
        .route(RESTART, post(restart))
        .route(RESET, post(reset))
        .route(STOP, post(stop_application))
        .route(START, post(start_application))
        .route(ROUTES, get(routing::all))
        .route(ROUTES, put(routing::set))
        .route(LISTENERS, get(listening::all))
        .route(VPN, get(vpn::status))
        .route(VPN_START, post(vpn::start))
        .route(VPN_STOP, post(vpn::stop))
        .route(VPN_CLIENT, post(vpn::client))
        .fallback(|| async { said(StatusCode::NOT_FOUND, "there is nothing at this path") })
        .with_state(control);
    let service = router.into_make_service_with_connect_info::<Peer>();
    axum::serve(listener, service)
        .with_graceful_shutdown(async move { stop.cancelled().await })
        .await
}

async fn status(State(mut control): State<Control>) -> Response {
    // A container's health is asked so: rules that are gone are seen within its interval.
    control.vpn.look().await;
    Json(control.reporting.now()).into_response()
}

async fn reload(
    State(mut control): State<Control>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Query(patience): Query<Patience>,
) -> Response {
    info!("reload asked");
    if asks_from_below(&control, peer) {
        // The application waits for this answer: its end must not wait for it.
        let converging = control.converging.clone();
        tokio::spawn(async move { converging.reload().await });
        return (StatusCode::ACCEPTED, Json(control.reporting.now())).into_response();
    }
    answer(&mut control, async |control| {
        settle::reload(control, patience.within()).await
    })
    .await
}

async fn restart(
    State(mut control): State<Control>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Query(patience): Query<Patience>,
) -> Response {
    info!("restart asked");
    if asks_from_below(&control, peer) {
        let supervisor = control.supervisor.clone();
        tokio::spawn(async move { supervisor.restart().await });
        return (StatusCode::ACCEPTED, Json(control.reporting.now())).into_response();
    }
    answer(&mut control, async |control| {
        settle::restart(control, patience.within()).await
    })
    .await
}

async fn reset(
    State(mut control): State<Control>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Query(patience): Query<Patience>,
    Query(asked): Query<Asked>,
) -> Response {
    info!(part = ?asked.part, "reset asked");
    if asks_from_below(&control, peer) {
        let now = Json(control.reporting.now());
        tokio::spawn(async move {
            let done = settle::reset(&mut control, asked.part, patience.within()).await;
            if let Err(why) = done {
                warn!(why = crate::error::in_one_line(&why), "reset");
            }
        });
        return (StatusCode::ACCEPTED, now).into_response();
    }
    answer(&mut control, async |control| {
        settle::reset(control, asked.part, patience.within()).await
    })
    .await
}

async fn stop_application(
    State(mut control): State<Control>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Query(patience): Query<Patience>,
) -> Response {
    info!("stop asked");
    if asks_from_below(&control, peer) {
        let converging = control.converging.clone();
        tokio::spawn(async move { converging.stop().await });
        return (StatusCode::ACCEPTED, Json(control.reporting.now())).into_response();
    }
    answer(&mut control, async |control| {
        settle::stop(control, patience.within()).await
    })
    .await
}

async fn start_application(
    State(mut control): State<Control>,
    Query(patience): Query<Patience>,
) -> Response {
    info!("start asked");
    answer(&mut control, async |control| {
        settle::start(control, patience.within()).await
    })
    .await
}

async fn answer(
    control: &mut Control,
    work: impl AsyncFnOnce(&mut Control) -> Result<(), Unsettled>,
) -> Response {
    match work(control).await {
        Ok(()) => Json(control.reporting.now()).into_response(),
        Err(why) => {
            let status = match why {
                Unsettled::NotWanted => StatusCode::CONFLICT,
                Unsettled::Door(_)
                | Unsettled::NoServer(_)
                | Unsettled::Fetch(_)
                | Unsettled::Crashed(_) => StatusCode::BAD_GATEWAY,
                Unsettled::TooSlow { .. } => StatusCode::GATEWAY_TIMEOUT,
                Unsettled::Ending => StatusCode::SERVICE_UNAVAILABLE,
            };
            said(status, &crate::error::in_one_line(&why))
        }
    }
}

/// Whether the caller is the application or a process that it started.
fn asks_from_below(control: &Control, peer: Peer) -> bool {
    let running = control.reporting.snapshot().running;
    match (peer.0, running) {
        (Some(peer), Some(running)) => ancestry::is_below(peer, running.pid),
        _ => false,
    }
}

fn said(status: StatusCode, error: &str) -> Response {
    (status, Json(serde_json::json!({ "error": error }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_longer_than_there_is_time() {
        let timeout = Some(u64::MAX);
        let within = Patience { timeout }.within();
        assert!(tokio::time::Instant::now().checked_add(within).is_some());
    }
}
