//! What is remembered of each gateway between two looks at the engine: when it may be started again,
//! what went wrong last.

use std::collections::{BTreeMap, BTreeSet};

use lockgate_model::{EnvName, GatewayName};
use tokio::time::Instant;

use super::servers::Files;
use crate::runtime::backoff::Backoff;

/// All gateways' entries.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: BTreeMap<GatewayName, Entry>,
    /// Containers whose agent ended because of its configuration.
    misconfigured: BTreeSet<String>,
    /// What containers' files say.
    files: BTreeMap<String, Files>,
}

#[derive(Debug, Default)]
struct Entry {
    backoff: Backoff,
    /// When it was started last.
    started: Option<Instant>,
    /// When it may be started again.
    due: Option<Instant>,
    /// What was tried last and did not succeed.
    failed: Option<Failure>,
}

/// A step that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// Why.
    pub(super) problem: String,
    /// Whether it fails again until somebody does something about it.
    pub(super) lasts: bool,
}

impl Ledger {
    /// Whether a gateway that needs a start may have it now; else it is due later.
    pub(super) fn may_start(&mut self, gateway: &GatewayName, now: Instant) -> bool {
        let entry = self.entries.entry(gateway.clone()).or_default();
        let Some(started) = entry.started else {
            entry.started = Some(now);
            return true;
        };
        let due = *entry
            .due
            .get_or_insert_with(|| now + entry.backoff.after(now.duration_since(started)));
        if now < due {
            return false;
        }
        entry.started = Some(now);
        entry.due = None;
        true
    }

    /// When the next start is due that had to wait.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.entries.values().filter_map(|entry| entry.due).min()
    }

    /// Notes how a step ended.
    pub(super) fn done(&mut self, gateway: &GatewayName, failed: Option<Failure>) {
        let entry = self.entries.entry(gateway.clone()).or_default();
        entry.failed = failed;
    }

    /// What was tried last and did not succeed.
    pub(super) fn failed(&self, gateway: &GatewayName) -> Option<&Failure> {
        self.entries.get(gateway)?.failed.as_ref()
    }

    /// Lets a gateway be started at once, whatever it did before.
    pub(super) fn forget(&mut self, gateway: &GatewayName) {
        self.entries.remove(gateway);
    }

    /// Somebody asks for an environment: what failed before is tried at once, and told when it
    /// fails again.
    pub(super) fn hurry(&mut self, env: &EnvName) {
        let is_its =
            |gateway: &GatewayName, entry: &Entry| gateway.env() == *env && entry.failed.is_some();
        self.entries
            .retain(|gateway, entry| !is_its(gateway, entry));
    }

    /// Drops what is known of gateways that are no more.
    pub(super) fn keep(&mut self, is_wanted: impl Fn(&GatewayName) -> bool) {
        self.entries.retain(|gateway, _| is_wanted(gateway));
    }

    /// Notes that a container's agent ended because of its configuration.
    pub(super) fn misconfigured(&mut self, id: &str) {
        self.misconfigured.insert(id.to_owned());
    }

    /// Whether it did.
    pub(super) fn is_misconfigured(&self, id: &str) -> bool {
        self.misconfigured.contains(id)
    }

    /// Notes what a container's files say now.
    pub(super) fn told(&mut self, id: String, files: Files) {
        self.files.insert(id, files);
    }

    /// What a container's files are known to say.
    pub(super) fn files(&self, id: &str) -> Option<&Files> {
        self.files.get(id)
    }

    /// Drops what is known of the files of containers that are no more.
    pub(super) fn keep_files(&mut self, is_there: impl Fn(&str) -> bool) {
        self.files.retain(|id, _| is_there(id));
    }

    /// A container gets another chance, or is no more.
    pub(super) fn absolve(&mut self, id: &str) {
        self.misconfigured.remove(id);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn starts_that_follow_each_other_wait_longer_and_longer() {
        let gateway = GatewayName::new(&EnvName::parse("dev").unwrap(), 0);
        let mut ledger = Ledger::default();
        let mut now = Instant::now();
        assert!(ledger.may_start(&gateway, now), "the first one at once");
        for wait_ms in [200, 400, 800] {
            let wait = Duration::from_millis(wait_ms);
            assert!(!ledger.may_start(&gateway, now));
            assert_eq!(ledger.next_due(), Some(now + wait));
            assert!(!ledger.may_start(&gateway, now + wait / 2));
            now += wait;
            assert!(ledger.may_start(&gateway, now));
            assert_eq!(ledger.next_due(), None);
        }
        // After a long life it is a new story.
        now += Duration::from_mins(1);
        assert!(!ledger.may_start(&gateway, now));
        assert_eq!(ledger.next_due(), Some(now + Duration::from_millis(200)));
        ledger.forget(&gateway);
        assert!(ledger.may_start(&gateway, now));
    }

    #[tokio::test]
    async fn who_asks_for_an_environment_has_what_failed_tried_at_once() {
        let env = |name| EnvName::parse(name).unwrap();
        let gateway = GatewayName::new(&env("dev"), 0);
        let mut ledger = Ledger::default();
        let now = Instant::now();
        ledger.may_start(&gateway, now);
        let failure = Failure {
            problem: "no image".to_owned(),
            lasts: true,
        };
        ledger.done(&gateway, Some(failure.clone()));
        ledger.hurry(&env("other"));
        assert_eq!(ledger.failed(&gateway), Some(&failure));
        assert!(!ledger.may_start(&gateway, now));
        ledger.hurry(&env("dev"));
        assert_eq!(ledger.failed(&gateway), None);
        assert!(ledger.may_start(&gateway, now));
        // One that started well waits its time, however often somebody asks.
        ledger.done(&gateway, None);
        ledger.hurry(&env("dev"));
        assert!(!ledger.may_start(&gateway, now));
    }
}
