//! Who reloads, and where its clients ask.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use lockgate_e2e::load::Mix;

use super::FEWER_RELOADS;
use super::tally::Tally;

use crate::environment::{Environment, Gateway};
use crate::error::BenchError;
use crate::nginx;
use crate::process::{Running, free_port};
use crate::sequence::Shell;

/// Reloads in a quick look: of those that are measured in full, and of the others.
const QUICK: (u32, u32) = (5, 2);

/// What clients ask of the application, of a hundred requests: all that they do.
const ALL: Mix = Mix {
    new: 34,
    keep: 36,
    post: 16,
    slow: 6,
    stream: 0,
    upload: 4,
    late: 4,
};

/// Only what is answered at once.
const AT_ONCE: Mix = Mix {
    new: 40,
    keep: 42,
    post: 18,
    slow: 0,
    stream: 0,
    upload: 0,
    late: 0,
};

/// A way to bring new code into a gateway.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way<'a> {
    /// `lockgate deploy`.
    Lockgate(&'a Environment<'a>),
    /// Pack, fetch, TERM, a second's sleep, start.
    Shell(&'a Shell),
}

impl<'a> Way<'a> {
    /// Writes another build.
    pub(super) fn write_version(self, version: &str) -> Result<(), BenchError> {
        match self {
            Self::Lockgate(environment) => environment.write_version(version),
            Self::Shell(shell) => shell.write_version(version),
        }
    }

    /// What brings it into the gateway.
    pub(super) fn command(self) -> Command {
        match self {
            Self::Lockgate(environment) => environment.deploy(),
            Self::Shell(shell) => shell.command(),
        }
    }

    /// The gateway, where it has an agent.
    pub(super) fn gateway(self) -> Option<(&'a Environment<'a>, &'a Gateway)> {
        match self {
            Self::Lockgate(environment) => {
                environment.gateways().first().map(|it| (environment, it))
            }
            Self::Shell(_) => None,
        }
    }

    /// Where the application itself listens.
    fn application(self) -> Result<SocketAddr, BenchError> {
        let found = match self {
            Self::Lockgate(environment) => environment.gateways().first().map(Gateway::held),
            Self::Shell(shell) => shell.gateways().first().map(|addr| Ok(*addr)),
        };
        found.unwrap_or_else(|| {
            Err(BenchError::Unexpected {
                what: "there is no gateway".to_owned(),
            })
        })
    }
}

/// A way, asked at one place.
#[derive(Debug)]
pub(super) struct Contender<'a> {
    pub(super) name: String,
    pub(super) way: Way<'a>,
    pub(super) target: SocketAddr,
    pub(super) mix: Mix,
    /// Reloads over all rounds.
    reloads: u32,
    pub(super) tally: Tally,
    _nginx: Option<Running>,
}

impl<'a> Contender<'a> {
    fn new(way: Way<'a>, name: String, target: SocketAddr, reloads: u32) -> Self {
        Self {
            name,
            way,
            target,
            mix: ALL,
            reloads,
            tally: Tally::default(),
            _nginx: None,
        }
    }

    /// Asked where the application listens.
    pub(super) fn direct(way: Way<'a>, name: &str, reloads: u32) -> Result<Self, BenchError> {
        let name = format!("{name}, direct");
        Ok(Self::new(way, name, way.application()?, reloads))
    }

    /// The same, by clients that ask only for what is answered at once.
    pub(super) fn at_once(way: Way<'a>, name: &str, reloads: u32) -> Result<Self, BenchError> {
        Ok(Self {
            mix: AT_ONCE,
            ..Self::new(
                way,
                format!("{name}, direct, nothing slow"),
                way.application()?,
                reloads,
            )
        })
    }

    /// Asked at the gateway's door.
    pub(super) fn at_its_door(
        environment: &'a Environment<'a>,
        name: &str,
        reloads: u32,
    ) -> Result<Self, BenchError> {
        let name = format!("{name}, at its door");
        let way = Way::Lockgate(environment);
        match way.gateway() {
            Some((_, gateway)) => Ok(Self::new(way, name, gateway.door, reloads)),
            None => Err(BenchError::Unexpected {
                what: "there is no gateway".to_owned(),
            }),
        }
    }

    /// Asked at an nginx in front; `None` where it is not installed.
    pub(super) fn behind_nginx(
        way: Way<'a>,
        name: &str,
        folder: &Path,
    ) -> Result<Option<Self>, BenchError> {
        if !nginx::is_installed() {
            return Ok(None);
        }
        let door = free_port()?;
        let folder = folder.join(format!("nginx-{}", door.port()));
        let mut running = nginx::start(&folder, &nginx::door(door, way.application()?))?;
        running.answers(door, "/")?;
        let name = format!("{name}, behind nginx");
        Ok(Some(Self {
            _nginx: Some(running),
            ..Self::new(way, name, door, FEWER_RELOADS)
        }))
    }

    /// How many reloads in each round.
    pub(super) fn reloads_in(&self, rounds: u32, quick: bool) -> u32 {
        let (many, few) = QUICK;
        match quick {
            true if self.reloads > FEWER_RELOADS => many,
            true => few,
            false => self.reloads.div_ceil(rounds),
        }
    }
}
