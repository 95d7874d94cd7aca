//! What the loop shows of itself.

use lockgate_builds::client::Endpoint;
use lockgate_builds::fetch;
use lockgate_model::{BuildId, Refusal, Statement};
use tokio::sync::watch;

use super::Remembered;

/// The loop's part of a report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct View {
    /// The accepted statement's number; 0 before the first.
    pub(crate) seq: u64,
    /// The build it names.
    pub(crate) build: Option<BuildId>,
    /// The organization that it names.
    pub(crate) organization: Option<String>,
    /// What was given up on last.
    pub(crate) refused: Option<Refusal>,
    /// The step of a fetch under way.
    pub(crate) fetching: Option<fetch::Step>,
    /// How long the fetch of the newest statement's build took.
    pub(crate) fetch_ms: Option<u64>,
    /// How long its verification took.
    pub(crate) verify_ms: Option<u64>,
    /// Why the build is not here yet.
    pub(crate) fetch_problem: Option<String>,
    /// How many fetches failed since the agent started.
    pub(crate) failed_fetches: u64,
    /// Why the server cannot be followed.
    pub(crate) server_problem: Option<String>,
    /// Why the agent would not remember.
    pub(crate) state_problem: Option<String>,
    /// The server that answered last.
    pub(crate) server: Option<Endpoint>,
    /// How often contact was made anew: a server that was restarted knows nothing of
    /// this gateway until it is told.
    pub(crate) contacts: u64,
}

impl View {
    pub(super) fn of(remembered: &Remembered) -> Self {
        let mut view = Self {
            refused: remembered.refused.clone(),
            ..Self::default()
        };
        if let Some(wanted) = &remembered.wanted {
            view.accepted(&wanted.statement);
        }
        view
    }

    pub(super) fn accepted(&mut self, statement: &Statement) {
        self.seq = statement.seq;
        self.build = Some(statement.build.clone());
        self.organization.clone_from(&statement.organization);
        self.fetch_problem = None;
        self.fetch_ms = None;
        self.verify_ms = None;
    }

    pub(super) fn contact(&mut self, server: Endpoint, regained: bool) {
        self.server = Some(server);
        self.contacts += u64::from(regained);
    }

    pub(super) fn fetched(&mut self, fetched: &fetch::Fetched) {
        let ms = |duration: std::time::Duration| u64::try_from(duration.as_millis()).ok();
        self.fetching = None;
        self.fetch_problem = None;
        self.fetch_ms = ms(fetched.fetch);
        self.verify_ms = ms(fetched.verify);
    }

    pub(super) fn fetch_failed(&mut self, why: String) {
        self.fetching = None;
        self.fetch_problem = Some(why);
        self.failed_fetches += 1;
    }
}

/// Changes the view; watchers are woken only when it really changed.
pub(super) fn change(view: &watch::Sender<View>, change: impl FnOnce(&mut View)) {
    view.send_if_modified(|view| {
        let before = view.clone();
        change(view);
        *view != before
    });
}
