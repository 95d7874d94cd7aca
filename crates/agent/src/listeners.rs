//! What listens in this gateway beside what should.
//!
//! ```text
//! parts that run ─▶ Expected ─┐
//!                             ├─ compare (pure) ─▶ Listeners ─▶ who asks
//! /proc/net, /proc/PID/fd ─▶ Found ─┘
//! ```
//!
//! Looked at only when somebody asks, and when an address cannot be had: at rest the agent does
//! not look, and reports carry nothing of it.

mod compare;
mod held;
mod table;

use std::net::SocketAddr;
use std::path::Path;

use lockgate_model::{Holder, Listeners, Transport, taken_by};

use self::compare::{compare, overlap};
use crate::process::{Mark, carries};

/// A part of the gateway that runs, and where it should listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    /// What it is, as it is shown: `application`.
    pub(crate) what: String,
    /// How it is reached.
    pub(crate) transport: Transport,
    /// Where.
    pub(crate) address: SocketAddr,
    /// The agent's own child that listens there, where it may keep its sockets to itself: one
    /// of another user.
    pub(crate) child: Option<Holder>,
}

/// A socket that listens in the agent's network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// How it is reached.
    pub(crate) transport: Transport,
    /// Where.
    pub(crate) address: SocketAddr,
    /// Who holds it, as far as the agent may see.
    pub(crate) processes: Vec<Holder>,
}

impl Expected {
    /// The same, by this child of the agent's.
    pub(crate) fn by(mut self, pid: u32, name: &str) -> Self {
        self.child = Some(Holder {
            pid,
            name: name.to_owned(),
            own: true,
        });
        self
    }

    /// A part that takes packets.
    pub(crate) fn udp(what: impl Into<String>, address: SocketAddr) -> Self {
        Self {
            transport: Transport::Udp,
            ..Self::tcp(what, address)
        }
    }

    /// A part that takes connections.
    pub(crate) fn tcp(what: impl Into<String>, address: SocketAddr) -> Self {
        Self {
            what: what.into(),
            transport: Transport::Tcp,
            address,
            child: None,
        }
    }
}

/// What listens, and what should. `state_dir` is where the agent's state lies: what it started
/// carries its mark. Blocks for some milliseconds, more where thousands of processes run.
pub(crate) fn look(expected: &[Expected], state_dir: &Path) -> Listeners {
    // A container's network is the gateway's own; elsewhere others' sockets are their affair.
    let is_alone = std::process::id() == 1;
    Listeners {
        listeners: compare(expected, found(state_dir), is_alone),
    }
}

/// Who has an address on which the agent could not listen, in words; `None` where nobody listens
/// there. Blocks as [`look`] does.
pub(crate) fn who_has(address: SocketAddr, state_dir: &Path) -> Option<String> {
    let there = |one: &Found| one.transport == Transport::Tcp && overlap(one.address, address);
    let found = found(state_dir).into_iter().find(there)?;
    Some(taken_by(&found.processes))
}

fn found(state_dir: &Path) -> Vec<Found> {
    let (mark, own) = (Mark::of_state(state_dir), std::process::id());
    held::find(table::read(), |pid, folder| {
        pid == own || carries(folder, &mark)
    })
}
