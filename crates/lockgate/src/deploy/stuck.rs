//! Whether it is in vain to wait for a gateway: its container cannot be made, or its agent cannot start,
//! and that stays so.

use std::time::Duration;

use crate::server::control::GatewayView;

/// How long it has to be so: what is being mended, or only between two states, is past by then.
const FOR: Duration = Duration::from_secs(2);

/// Since when a gateway does not come up. Times are counted from any moment, always the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stuck {
    since: Option<Duration>,
}

impl Stuck {
    /// Takes in how the gateway is at this time.
    pub(crate) fn see(&mut self, view: &GatewayView, elapsed: Duration) {
        let since = self.since.unwrap_or(elapsed);
        self.since = view.agent_stuck.then_some(since);
    }

    /// Whether nothing comes of it any more by itself.
    pub(crate) fn is_for_good(self, elapsed: Duration) -> bool {
        self.due().is_some_and(|due| elapsed >= due)
    }

    /// When that will be so, if nothing changes.
    pub(crate) fn due(self) -> Option<Duration> {
        Some(self.since? + FOR)
    }
}
