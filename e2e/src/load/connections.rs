//! Connections that are kept: as many as clients would have, each idle for a while
//! between two requests, none for too long.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use tokio::time::Instant;

use super::bodies::Sent;
use super::orders::{Class, Mix};

/// How long a client pauses between two requests on one connection, about.
const PAUSE: Duration = Duration::from_millis(400);

/// How long a connection is kept idle at most.
const IDLE_MOST: Duration = Duration::from_millis(500);

/// A connection that can be asked again.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) sender: Sender,
    /// The process that answered last.
    pub(super) answered: Option<u64>,
}

/// What sends requests, by the version they go by.
#[derive(Debug)]
pub(super) enum Sender {
    One(http1::SendRequest<Sent>),
    Two(http2::SendRequest<Sent>),
}

impl Sender {
    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(
        &mut self,
        request: Request<Sent>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Sent>>> {
        match self {
            Self::One(sender) => sender.try_send_request(request).await,
            Self::Two(sender) => sender.try_send_request(request).await,
        }
    }

    /// Waits until it may be asked again.
    pub(super) async fn ready(&mut self) -> hyper::Result<()> {
        match self {
            Self::One(sender) => sender.ready().await,
            Self::Two(sender) => sender.ready().await,
        }
    }
}

impl Connection {
    /// The same connection once more, where it takes several requests at a time.
    fn shared(&self) -> Option<Self> {
        match &self.sender {
            Sender::One(_) => None,
            Sender::Two(sender) => Some(Self {
                sender: Sender::Two(sender.clone()),
                answered: self.answered,
            }),
        }
    }
}

/// The kept connections of each class.
#[derive(Debug)]
pub(super) struct Connections(BTreeMap<Class, Ring<Connection>>);

impl Connections {
    /// As many as it takes for each to be asked again after the pause.
    pub(super) fn new(rate: u32, mix: Mix) -> Self {
        let ring = |class: Class| {
            let total = u128::from(mix.total().max(1));
            let taken = u128::from(rate) * u128::from(mix.parts(class));
            let service = if class.is_quick() { 0 } else { 900 };
            let size = taken * (PAUSE.as_millis() + service) / total / 1000;
            Ring::new(usize::try_from(size).unwrap_or(1).max(1))
        };
        Self(Class::ALL.map(|class| (class, ring(class))).into())
    }

    /// The connection that has been idle for longest. One by HTTP/2 stays for others, too.
    pub(super) fn take(&mut self, class: Class, now: Instant) -> Option<Connection> {
        let ring = self.0.get_mut(&class)?;
        let taken = ring.take(now)?;
        if let Some(again) = taken.shared() {
            ring.put(Some(again), now);
        }
        Some(taken)
    }

    /// Puts a connection back, or the place of one that is gone.
    pub(super) fn put(&mut self, class: Class, connection: Option<Connection>, now: Instant) {
        if let Some(ring) = self.0.get_mut(&class) {
            ring.put(connection, now);
        }
    }
}

/// Places that are taken in turns; some are empty.
#[derive(Debug)]
struct Ring<T> {
    places: VecDeque<Option<(T, Instant)>>,
    size: usize,
}

impl<T> Ring<T> {
    fn new(size: usize) -> Self {
        let places = (0..size).map(|_| None).collect();
        Self { places, size }
    }

    fn take(&mut self, now: Instant) -> Option<T> {
        let (one, since) = self.places.pop_front()??;
        (now.duration_since(since) <= IDLE_MOST).then_some(one)
    }

    fn put(&mut self, one: Option<T>, now: Instant) {
        if self.places.len() < self.size {
            self.places.push_back(one.map(|one| (one, now)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_taken_in_turns_and_none_is_idle_for_too_long() {
        let now = Instant::now();
        let mut ring = Ring::new(2);
        assert_eq!(ring.take(now), None);
        ring.put(Some('a'), now);
        // The second place was never filled and comes first.
        assert_eq!(ring.take(now), None);
        ring.put(Some('b'), now);
        ring.put(Some('c'), now);
        assert_eq!(ring.take(now + IDLE_MOST), Some('a'));
        let later = now + IDLE_MOST + Duration::from_millis(1);
        assert_eq!(ring.take(later), None);
        assert_eq!(ring.take(now), None, "there is no room for a third");
    }

    #[test]
    fn there_are_as_many_as_the_pause_asks_for() {
        let mix = Mix {
            new: 50,
            keep: 50,
            post: 0,
            slow: 0,
            stream: 0,
            upload: 0,
            late: 0,
        };
        let connections = Connections::new(300, mix);
        assert_eq!(connections.0[&Class::Keep].size, 60);
        assert_eq!(connections.0[&Class::Post].size, 1);
    }
}
