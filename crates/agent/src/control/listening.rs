//! What listens in this gateway, over the control socket.

use std::path::PathBuf;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use super::{Control, said};
use crate::config::Config;
use crate::door;
use crate::listeners::{Expected, look};
use crate::supervisor::Snapshot;

/// The parts of the gateway that listen. A part that comes and goes says where when it is asked,
/// as the application does by its snapshot.
#[derive(Debug, Clone)]
pub(crate) struct Listening {
    /// The agent's state folder.
    state_dir: PathBuf,
    /// Where the door listens as long as the agent runs.
    door: Vec<Expected>,
}

impl Listening {
    /// The parts that are there from the start.
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            state_dir: config.state(),
            door: door::listens(config),
        }
    }
}

/// Looks each time: nothing of it is kept.
pub(super) async fn all(State(control): State<Control>) -> Response {
    let Listening { state_dir, door } = control.listening;
    let mut expected = application(&control.reporting.snapshot());
    expected.extend(door);
    expected.extend(control.vpn.listens());
    let looked = tokio::task::spawn_blocking(move || look(&expected, &state_dir)).await;
    match looked {
        Ok(listeners) => Json(listeners).into_response(),
        Err(error) => said(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// Where the application's sockets are held, or should be.
fn application(snapshot: &Snapshot) -> Vec<Expected> {
    let sockets = &snapshot.sockets;
    let what = |port: u16| match sockets.as_slice() {
        [_] => "application".to_owned(),
        _ => format!("application {port}"),
    };
    let each = sockets.iter();
    each.map(|(port, address)| Expected::tcp(what(*port), *address))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_socket_of_the_application_is_expected_where_it_is_held() {
        let mut snapshot = Snapshot::initial();
        assert_eq!(application(&snapshot), []);
        let first = (8888, "127.0.0.1:8888".parse().unwrap());
        let second = (9000, "127.0.0.1:9000".parse().unwrap());
        snapshot.sockets = vec![first];
        assert_eq!(
            application(&snapshot),
            [Expected::tcp("application", first.1)]
        );
        snapshot.sockets.push(second);
        assert_eq!(
            application(&snapshot),
            [
                Expected::tcp("application 8888", first.1),
                Expected::tcp("application 9000", second.1)
            ]
        );
    }
}
