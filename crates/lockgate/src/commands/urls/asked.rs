//! Asks whether names resolve and answer, all beside one another.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use lockgate_route::{Visit, VisitError, Visited};

use super::listed::Listed;
use crate::certificates::Seen;
use crate::error::in_one_line;
use crate::names::{Resolved, resolve};

/// How long an answer may take before a person is told that there is none.
const WITHIN: Duration = Duration::from_secs(3);

/// What was found at one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Whether the system's resolver knows it; doors that are reached by address have no name.
    pub(super) resolves: Option<Resolved>,
    /// The status of the answer, or why there is none.
    pub(super) answer: Result<u16, String>,
    /// The certificate that was shown.
    pub(super) certificate: Option<Seen>,
}

/// What was found at one thing that is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// At its own name.
    pub(super) own: Found,
    /// At a name as its user containers have.
    pub(super) containers: Option<Found>,
}

/// Asks for all of it; `front` is the front door's port, where it is open.
pub(super) async fn ask_all(all: &[Listed<'_>], front: Option<u16>) -> Vec<Asked> {
    join_all(all.iter().map(|one| ask(one, front))).await
}

async fn ask(listed: &Listed<'_>, front: Option<u16>) -> Asked {
    let container = listed.container_host();
    match listed {
        Listed::Gateway { address, .. } => {
            let host = address.ip().to_string();
            let visited = visit(*address, &host, false).await;
            Asked {
                own: found(None, visited),
                containers: None,
            }
        }
        Listed::Organization { host, .. } | Listed::Site { host, .. } => {
            let containers = async {
                match &container {
                    Some(host) => Some(ask_front(host, front).await),
                    None => None,
                }
            };
            let (own, containers) = tokio::join!(ask_front(host, front), containers);
            Asked { own, containers }
        }
    }
}

/// Asks the front door where it listens, whether or not the name leads there.
async fn ask_front(host: &str, front: Option<u16>) -> Found {
    let visited = async {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, front?));
        Some(visit(address, host, true).await)
    };
    let (resolved, visited) = tokio::join!(resolve(host), visited);
    match visited {
        Some(visited) => found(Some(resolved), visited),
        None => Found {
            resolves: Some(resolved),
            answer: Err("the front door is closed".to_owned()),
            certificate: None,
        },
    }
}

async fn visit(address: SocketAddr, host: &str, tls: bool) -> Visited {
    Visit { address, host, tls }.pay(WITHIN).await
}

/// Why there is no answer, in few words: where it was asked stands beside it.
fn said(error: &VisitError) -> String {
    match error {
        VisitError::Connect { source, .. } if source.kind() == ErrorKind::ConnectionRefused => {
            "connection refused".to_owned()
        }
        VisitError::Connect { source, .. } => in_one_line(source),
        VisitError::Tls { source, .. } => format!("no TLS: {}", in_one_line(source)),
        other => in_one_line(other),
    }
}

fn found(resolves: Option<Resolved>, visited: Visited) -> Found {
    let answer = visited.answer.map(|status| status.as_u16());
    let certificate = visited.certificate.as_deref();
    Found {
        resolves,
        answer: answer.map_err(|error| said(&error)),
        certificate: certificate.and_then(|der| Seen::of_der(der).ok()),
    }
}
