//! How a waiting query learns that there is something new, and that it shall end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use lockgate_model::GatewayName;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Tells waiting queries that statements changed. Clones ring the same bell.
#[derive(Debug, Clone, Default)]
pub struct Notice {
    sender: Arc<watch::Sender<u64>>,
}

impl Notice {
    /// Lets every waiting query look again. Whoever starts to wait later looks anyway.
    pub fn ring(&self) {
        self.sender
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Sees every ring from now on.
    pub(super) fn listen(&self) -> watch::Receiver<u64> {
        self.sender.subscribe()
    }
}

/// Who waits: one query a gateway. A newer one ends the older, so that an agent that
/// lost its connections without the server noticing holds one place, not many.
#[derive(Debug, Clone, Default)]
pub(super) struct Waiting {
    places: Arc<Mutex<Places>>,
}

#[derive(Debug, Default)]
struct Places {
    next: u64,
    by_gateway: HashMap<GatewayName, (u64, CancellationToken)>,
}

impl Waiting {
    /// Takes the gateway's place and ends whoever held it.
    pub(super) fn enter(&self, gateway: &GatewayName) -> Place {
        let ended = CancellationToken::new();
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let number = places.next;
        places.next = places.next.wrapping_add(1);
        let older = places
            .by_gateway
            .insert(gateway.clone(), (number, ended.clone()));
        drop(places);
        if let Some((_, older)) = older {
            older.cancel();
        }
        Place {
            waiting: self.clone(),
            gateway: gateway.clone(),
            number,
            ended,
        }
    }
}

/// A gateway's place among those who wait; given up when dropped.
#[derive(Debug)]
pub(super) struct Place {
    waiting: Waiting,
    gateway: GatewayName,
    number: u64,
    /// Cancelled when a newer query of the same gateway came.
    pub(super) ended: CancellationToken,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self
            .waiting
            .places
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let held = places.by_gateway.get(&self.gateway);
        if held.is_some_and(|(number, _)| *number == self.number) {
            places.by_gateway.remove(&self.gateway);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_query_ends_the_older_and_keeps_its_own_place() {
        let waiting = Waiting::default();
        let gateway = GatewayName::parse("gw-pool-dev-0").unwrap();
        let first = waiting.enter(&gateway);
        let other = waiting.enter(&GatewayName::parse("gw-pool-dev-1").unwrap());
        let second = waiting.enter(&gateway);
        assert!(first.ended.is_cancelled());
        assert!(!second.ended.is_cancelled() && !other.ended.is_cancelled());
        drop(first);
        let third = waiting.enter(&gateway);
        assert!(second.ended.is_cancelled());
        drop((second, third, other));
        assert!(waiting.places.lock().unwrap().by_gateway.is_empty());
    }
}
