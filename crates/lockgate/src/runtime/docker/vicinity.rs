//! This server and the containers of one network: where they find it, and from where it looks for them.

use std::net::IpAddr;

use super::doors::Standpoint;
use super::engine::{Engine, EngineError};
use super::own::Own;
use super::servers::{self, ENGINE_HOST, Files, Heard};
use crate::server::bridge::{BridgeError, Bridges};

/// A network as this server stands to it.
#[derive(Debug, Clone)]
pub(super) struct Vicinity {
    /// The address of the engine's host in it: there, too, ports of containers are open.
    pub(super) bridge: IpAddr,
    /// From where its containers are looked for.
    pub(super) standpoint: Standpoint,
    /// What its containers are told of this server.
    pub(super) files: Files,
    /// Why they do not find it there.
    pub(super) problem: Option<String>,
    /// Why they may not find it there.
    pub(super) doubt: Option<String>,
}

/// Listens for a network's containers, where that is not so already.
///
/// A network that is not there, or that this server's own container is not in, is the matter of its
/// gateways alone: the inner error is theirs, the outer one the engine's.
pub(super) async fn of(
    network: &str,
    engine: &Engine,
    bridges: &Bridges,
    own: Option<&Own<'_>>,
) -> Result<Result<Vicinity, String>, EngineError> {
    let bridge = match engine.gateway_of(network).await {
        Ok(bridge) => bridge,
        Err(error @ EngineError::NoGateway { .. }) => return Ok(Err(error.in_one_line())),
        Err(error) if error.is_missing() => return Ok(Err(error.in_one_line())),
        Err(error) => return Err(error),
    };
    let near = match own {
        None => bridge,
        Some(own) => match own.address_in(network) {
            Some(address) => address,
            None => return Ok(Err(own.unconnected(network))),
        },
    };
    let listening = bridges.listen(near);
    let heard = match &listening {
        Err(BridgeError::NotHere { .. }) => Heard::NotHere,
        // Whoever has the address may go.
        Ok(()) | Err(BridgeError::Listen(_)) => Heard::There(near),
    };
    let front = match heard {
        Heard::There(near) => bridges.open_front(near),
        Heard::NotHere => None,
    };
    let (problem, doubt) = match &listening {
        Ok(()) => (None, None),
        Err(error @ BridgeError::Listen(_)) => (Some(error.in_one_line()), None),
        Err(error @ BridgeError::NotHere { .. }) => (None, Some(far(error, bridges.port()))),
    };
    Ok(Ok(Vicinity {
        bridge,
        standpoint: match (own, &heard) {
            (Some(_), _) => Standpoint::Container,
            (None, Heard::There(_)) => Standpoint::Host,
            (None, Heard::NotHere) => Standpoint::Elsewhere,
        },
        files: Files {
            servers: servers::file(&heard, bridges.given(), bridges.port(), front),
            authority: bridges.trusted(),
        },
        problem,
        doubt,
    }))
}

/// What is said of an engine whose networks do not begin on this machine.
fn far(error: &BridgeError, port: u16) -> String {
    format!(
        "{error}, so its containers look for this server at `{ENGINE_HOST}:{port}`; where that does \
         not lead here, `lockgate serve --listen ADDRESS:PORT` names an address that does"
    )
}
