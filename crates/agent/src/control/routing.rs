//! Routes over the control socket.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use lockgate_model::RouteTable;
use serde::{Deserialize, Serialize};

use super::{Control, said};
use crate::door::SetError;
use crate::error::in_one_line;

/// The lines of all routes, as they are set.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Lines {
    /// `fqdn ip port`, a route a line.
    pub(crate) lines: String,
}

/// All routes, as they are told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AllRoutes {
    /// Sorted by name.
    pub(crate) routes: RouteTable,
}

pub(super) async fn all(State(control): State<Control>) -> Response {
    let routes = control.routes.all().await;
    Json(AllRoutes { routes }).into_response()
}

pub(super) async fn set(
    State(control): State<Control>,
    Json(Lines { lines }): Json<Lines>,
) -> Response {
    match control.routes.set(&lines).await {
        Ok(routes) => Json(AllRoutes { routes }).into_response(),
        Err(error) => {
            let status = match error {
                SetError::Lines(_) => StatusCode::BAD_REQUEST,
                SetError::Follow(_) => StatusCode::BAD_GATEWAY,
                SetError::Keep(_) => StatusCode::INSUFFICIENT_STORAGE,
            };
            said(status, &in_one_line(&error))
        }
    }
}
