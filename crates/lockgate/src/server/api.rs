//! The control socket's HTTP: reached through a file that only the owner can open, so it asks no token.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use lockgate_model::EnvName;
use lockgate_model::protocol::MAX_WAIT_SECS;
use serde::Deserialize;
use serde_json::json;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use super::ServerDescription;
use super::bridge::Bridges;
use super::gateways::Gateways;
use super::organizations;
use crate::environment::EnvironmentError;

/// What requests are answered from.
pub(super) struct Control {
    pub(super) bridges: Arc<Bridges>,
    pub(super) gateways: Arc<Gateways>,
    /// One change of organizations at a time, so that two of them never find each other's lock.
    pub(super) organizations: tokio::sync::Mutex<()>,
    asked: CancellationToken,
    stop: CancellationToken,
}

/// All paths of the control socket.
pub(super) fn router(
    bridges: Arc<Bridges>,
    gateways: Arc<Gateways>,
    asked: CancellationToken,
    stop: CancellationToken,
) -> Router {
    let control = Arc::new(Control {
        bridges,
        gateways,
        organizations: tokio::sync::Mutex::default(),
        asked,
        stop,
    });
    Router::new()
        .route("/v1/server", get(server))
        .route("/v1/stop", post(ask_to_stop))
        .route("/v1/environments/{env}/changed", post(changed))
        .route("/v1/environments/{env}/start", post(start))
        .route("/v1/environments/{env}/gateways", get(gateways_of))
        .route(
            "/v1/environments/{env}/organizations",
            get(organizations::list),
        )
        .route(
            "/v1/environments/{env}/organizations/{organization}",
            get(organizations::show)
                .put(organizations::assign)
                .delete(organizations::release),
        )
        .method_not_allowed_fallback(|| async {
            refuse(
                StatusCode::METHOD_NOT_ALLOWED,
                "this path is asked with another method",
            )
        })
        .fallback(|| async { refuse(StatusCode::NOT_FOUND, "there is no such path") })
        .with_state(control)
}

/// Serves until the token is cancelled; waiting queries are answered then.
pub(super) async fn serve(listener: UnixListener, router: Router, stop: CancellationToken) {
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = served.await {
        tracing::error!(%error, "control socket ended");
    }
}

async fn server(State(control): State<Arc<Control>>) -> Json<ServerDescription> {
    Json(control.bridges.description())
}

async fn ask_to_stop(State(control): State<Arc<Control>>) -> Response {
    control.asked.cancel();
    Json(json!({})).into_response()
}

async fn changed(State(control): State<Arc<Control>>, Path(env): Path<String>) -> Response {
    match EnvName::parse(&env) {
        Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
        Ok(env) => to_its_end(async move { control.gateways.changed(&env).await }).await,
    }
}

#[derive(Deserialize)]
struct Which {
    gateway: Option<u32>,
}

async fn start(
    State(control): State<Arc<Control>>,
    Path(env): Path<String>,
    which: Result<Query<Which>, QueryRejection>,
) -> Response {
    let number = match which {
        Ok(Query(which)) => which.gateway,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error.body_text()),
    };
    match EnvName::parse(&env) {
        Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
        Ok(env) => to_its_end(async move { control.gateways.start(&env, number).await }).await,
    }
}

/// In a task of its own: who asked may leave before the last gateway has ended.
async fn to_its_end(work: impl Future<Output = ()> + Send + 'static) -> Response {
    match tokio::spawn(work).await {
        Ok(()) => Json(json!({})).into_response(),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

#[derive(Deserialize)]
struct Since {
    after: Option<u64>,
    #[serde(default)]
    wait: u64,
}

async fn gateways_of(
    State(control): State<Arc<Control>>,
    Path(env): Path<String>,
    since: Result<Query<Since>, QueryRejection>,
) -> Response {
    let Query(since) = match since {
        Ok(since) => since,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error.body_text()),
    };
    let env = match EnvName::parse(&env) {
        Ok(env) => env,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let wait = Duration::from_secs(since.wait.min(MAX_WAIT_SECS));
    let view = control.gateways.view(&env, since.after, wait);
    match control.stop.run_until_cancelled(view).await {
        Some(Ok(view)) => Json(view).into_response(),
        Some(Err(error @ EnvironmentError::Unknown { .. })) => {
            refuse(StatusCode::NOT_FOUND, &error.to_string())
        }
        Some(Err(error)) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        None => refuse(StatusCode::SERVICE_UNAVAILABLE, "the server stops"),
    }
}

fn refuse(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}
