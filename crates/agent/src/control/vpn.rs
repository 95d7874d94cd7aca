//! The VPN over the control socket.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use tracing::info;

use super::{Control, said};
use crate::vpn::Phase;

/// How long a start may take: openvpn is up in a tenth of a second.
const WITHIN: Duration = Duration::from_secs(15);

/// For whom it is started.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Start {
    /// The organization; without one, the one that it was started for last.
    pub(crate) organization: Option<String>,
    /// Also where clients cannot be kept apart.
    pub(crate) unsafely: bool,
}

/// Whose profile is wanted.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ClientOf {
    /// Where the client finds the gateway; without one, by its host name.
    pub(crate) host: Option<String>,
}

/// A client's profile.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Profile {
    /// The whole `.ovpn`.
    pub(crate) profile: String,
}

pub(super) async fn status(State(control): State<Control>) -> Response {
    Json(control.vpn.status().await).into_response()
}

pub(super) async fn start(State(control): State<Control>, Json(start): Json<Start>) -> Response {
    let known = || control.vpn.last_organization();
    let Some(organization) = start.organization.or_else(known) else {
        return said(
            StatusCode::BAD_REQUEST,
            "this gateway serves no organization: name one by `--organization` or `ORGANIZATION_ID`",
        );
    };
    info!(organization, "start of the VPN asked");
    let shown = control
        .vpn
        .start_by_hand(organization, start.unsafely, WITHIN)
        .await;
    match (shown.phase, shown.problem) {
        (Phase::Ready, _) => Json(control.vpn.status().await).into_response(),
        (_, Some(problem)) => said(StatusCode::CONFLICT, &problem.to_string()),
        (_, None) => said(
            StatusCode::GATEWAY_TIMEOUT,
            "the VPN is still not up; `lockgate-agent vpn status` says more",
        ),
    }
}

pub(super) async fn stop(State(control): State<Control>) -> Response {
    info!("stop of the VPN asked");
    control.vpn.stop_by_hand().await;
    Json(control.vpn.status().await).into_response()
}

pub(super) async fn client(State(control): State<Control>, Json(of): Json<ClientOf>) -> Response {
    match control.vpn.profile(of.host.as_deref()) {
        Some(profile) => Json(Profile { profile }).into_response(),
        None => said(
            StatusCode::CONFLICT,
            "there is no VPN to connect to; `lockgate-agent vpn status` says why",
        ),
    }
}
