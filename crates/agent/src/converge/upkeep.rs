//! What the loop learns, keeps and clears away.

use std::error::Error;
use std::io;

use lockgate_builds::fetch::{collect_releases, release_present};
use lockgate_model::{BuildId, Statement};
use tracing::{info, warn};

use super::{Converge, Present};
use crate::error::{chain, in_one_line};
use crate::state::{State, StateError};
use crate::supervisor::Snapshot;

impl Converge {
    /// Learns from the supervisor what proved good and what was given up on.
    pub(super) async fn learn(&mut self, snapshot: Snapshot) {
        if let Some(good) = snapshot.good
            && self
                .good
                .as_ref()
                .is_none_or(|known| known.statement.seq != good.seq)
        {
            let found = self
                .known
                .iter()
                .rev()
                .find(|known| known.statement.seq == good.seq);
            if let Some(good) = found.cloned() {
                info!(build = %good.statement.build, seq = good.statement.seq, "build is good");
                let kept = good.kept();
                self.good = Some(good);
                self.present.good = true;
                self.keep(move |state| state.keep_good(&kept)).await;
            }
        }
        if let Some(refused) = snapshot.refused
            && self.refused.as_ref() != Some(&refused)
        {
            self.refused = Some(refused.clone());
            self.show(|view| view.refused = Some(refused.clone()));
            self.keep(move |state| state.keep_refused(&refused)).await;
        }
    }

    /// Looks which releases are whole on disk.
    pub(super) async fn look_at_releases(&mut self) {
        let wanted = self.wanted.as_ref().map(|wanted| wanted.statement.clone());
        let good = self.good.as_ref().map(|good| good.statement.clone());
        let releases = self.means.releases.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let present = |statement: Option<Statement>| {
                statement.is_some_and(|statement| release_present(&statement, &releases))
            };
            Present {
                wanted: present(wanted),
                good: present(good),
            }
        });
        self.present = looked.await.unwrap_or_default();
    }

    /// Removes all but the newest `keep` releases, and none that is needed.
    pub(super) async fn collect(&mut self, keep: usize) {
        let in_use = self.builds_in_use();
        let releases = self.means.releases.clone();
        let collected =
            tokio::task::spawn_blocking(move || collect_releases(&releases, keep, &in_use));
        match collected.await {
            Ok(Ok(removed)) => {
                for build in removed {
                    info!(%build, "old release removed");
                }
            }
            Ok(Err(error)) => warn!(why = in_one_line(&error), "old releases stay"),
            Err(error) => warn!(%error, "old releases stay"),
        }
    }

    pub(super) fn builds_in_use(&self) -> Vec<BuildId> {
        let watch = self.means.supervisor.watch();
        let snapshot = watch.borrow();
        let ours = [&self.wanted, &self.good]
            .into_iter()
            .flatten()
            .map(|accepted| &accepted.statement.build);
        ours.chain(snapshot.builds()).cloned().collect()
    }

    /// Writes to the state folder off this thread. A gateway whose disk is full still
    /// follows its statement; it says that it will not remember.
    pub(super) async fn keep(
        &mut self,
        write: impl FnOnce(&State) -> Result<(), StateError> + Send + 'static,
    ) {
        let state = self.means.state.clone();
        let problem = match tokio::task::spawn_blocking(move || write(&state)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(in_one_line(&error)),
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = &problem {
            warn!(%why, "the agent will not remember this");
        }
        self.show(|view| view.state_problem = problem);
    }
}

/// Whether an error comes of a disk, or a share of it, that is full.
pub(super) fn is_disk_full(error: &(dyn Error + 'static)) -> bool {
    chain(error)
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| {
            matches!(
                error.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot unpack")]
    struct Outer(#[source] io::Error);

    #[test]
    fn a_full_disk_is_known_below_other_errors() {
        let error = |errno: nix::errno::Errno| Outer(errno.into());
        assert!(is_disk_full(&error(nix::errno::Errno::ENOSPC)));
        assert!(is_disk_full(&error(nix::errno::Errno::EDQUOT)));
        assert!(!is_disk_full(&error(nix::errno::Errno::EACCES)));
    }
}
