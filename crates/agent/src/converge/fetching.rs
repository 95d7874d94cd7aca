//! A fetch under way: it may wait for its turn, and it ends when it is dropped.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use lockgate_builds::client::Client;
use lockgate_builds::fetch::{self, FetchError, fetch_release};
use lockgate_model::{BuildId, Digest, Statement};
use tokio::sync::{Notify, watch};

use super::plan::Which;
use super::view::{self, View};

/// What came of a fetch.
pub(super) type Fetched = (Which, Result<fetch::Fetched, FetchError>);

/// One fetch.
pub(super) struct Fetching {
    which: Which,
    build: BuildId,
    manifest: Digest,
    now: Arc<Notify>,
    work: Pin<Box<dyn Future<Output = Result<fetch::Fetched, FetchError>> + Send>>,
    view: watch::Sender<View>,
}

impl Fetching {
    /// Prepares a fetch that begins after `delay` or when it is told to.
    pub(super) fn start(
        which: Which,
        statement: Statement,
        client: Client,
        releases: PathBuf,
        delay: Duration,
        view: watch::Sender<View>,
    ) -> Self {
        let now = Arc::new(Notify::new());
        let (told, shown) = (Arc::clone(&now), view.clone());
        let (build, manifest) = (statement.build.clone(), statement.manifest.clone());
        let work = Box::pin(async move {
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = told.notified() => {}
            }
            let on_step = move |step| view::change(&shown, |view| view.fetching = Some(step));
            fetch_release(&client, &statement, &releases, &on_step).await
        });
        Self {
            which,
            build,
            manifest,
            now,
            work,
            view,
        }
    }

    /// Whether this fetch brings what the statement wants.
    pub(super) fn serves(&self, statement: &Statement) -> bool {
        self.which == Which::Wanted
            && self.build == statement.build
            && self.manifest == statement.manifest
    }

    /// Waits no longer.
    pub(super) fn begin_now(&self) {
        self.now.notify_one();
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        view::change(&self.view, |view| view.fetching = None);
    }
}

/// The end of a fetch; never, when there is none.
pub(super) async fn done(fetching: &mut Option<Fetching>) -> Fetched {
    match fetching {
        Some(fetching) => {
            let result = fetching.work.as_mut().await;
            (fetching.which, result)
        }
        None => std::future::pending().await,
    }
}
