//! The driver: writes what was rendered, and has it tested before it counts.

use std::future::Future;
use std::path::Path;

use tokio::sync::Mutex;

use super::place::Place;
use super::render::{NginxDoor, render};
use crate::seam::{FollowError, Followed, Proxy, Table};

const NAME: &str = "nginx";

/// The process, as far as the driver needs it.
pub trait Master: Send + Sync {
    /// Runs `nginx -t` on this file; what it says where the file is not right.
    fn test(&self, config: &Path) -> impl Future<Output = Result<(), String>> + Send;

    /// Has the process read its configuration again. No error where none runs: it reads
    /// the file when it starts.
    fn reload(&self) -> impl Future<Output = Result<(), String>> + Send;
}

/// A door that nginx serves.
#[derive(Debug)]
pub struct NginxProxy<M> {
    door: NginxDoor,
    place: Place,
    master: M,
    /// What the file says; empty before the first table.
    written: Mutex<String>,
}

impl<M: Master> NginxProxy<M> {
    /// A door whose files lie in `place`; nothing is written yet.
    pub fn new(door: NginxDoor, place: Place, master: M) -> Self {
        Self {
            door,
            place,
            master,
            written: Mutex::default(),
        }
    }

    /// The process.
    pub fn master(&self) -> &M {
        &self.master
    }

    /// Has the process read its configuration again, changed or not.
    pub async fn reload(&self) -> Result<(), FollowError> {
        let _held = self.written.lock().await;
        self.tell().await
    }

    async fn tell(&self) -> Result<(), FollowError> {
        let untold = |why| FollowError::Untold { driver: NAME, why };
        self.master.reload().await.map_err(untold)
    }
}

impl<M: Master> Proxy for NginxProxy<M> {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn follow(&self, table: &Table) -> Result<Followed, FollowError> {
        let mut written = self.written.lock().await;
        let text = render(&self.door, &self.place, table);
        if text == *written {
            return Ok(Followed::Unchanged);
        }
        let candidate = self.place.write_candidate(&text)?;
        if let Err(said) = self.master.test(&candidate).await {
            self.place.drop_candidate();
            return Err(FollowError::Refused { driver: NAME, said });
        }
        self.place.take_candidate()?;
        *written = text;
        self.tell().await?;
        Ok(Followed::Changed)
    }
}
