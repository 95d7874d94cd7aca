//! What the gateways last said of themselves.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lockgate_model::{GatewayName, Report};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// The newest report of every gateway, in memory; readers wait for a change.
///
/// Clones share what they know.
#[derive(Debug, Clone, Default)]
pub struct Reports {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    gateways: Mutex<BTreeMap<GatewayName, Heard>>,
    version: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Heard {
    report: Option<Report>,
    last_contact: u64,
    reported_at: u64,
}

/// A gateway's newest report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// What the gateway said.
    pub report: Report,
    /// When it was last in contact, in any way: UNIX milliseconds.
    pub last_contact: u64,
    /// When the report came last, be it the same as before: UNIX milliseconds.
    pub reported_at: u64,
}

impl Reports {
    /// Takes in a report that came at `now_ms` (UNIX milliseconds).
    pub fn put(&self, report: Report, now_ms: u64) {
        let mut gateways = self.gateways();
        let heard = gateways.entry(report.gateway.clone()).or_default();
        heard.last_contact = now_ms;
        heard.reported_at = now_ms;
        let changed = heard.report.as_ref() != Some(&report);
        heard.report = Some(report);
        drop(gateways);
        if changed {
            self.changed();
        }
    }

    /// Notes that a gateway was in contact, whatever it wanted. No change to wait for.
    pub fn contact(&self, gateway: &GatewayName, now_ms: u64) {
        let mut gateways = self.gateways();
        match gateways.get_mut(gateway) {
            Some(heard) => heard.last_contact = now_ms,
            None => {
                gateways.insert(
                    gateway.clone(),
                    Heard {
                        last_contact: now_ms,
                        ..Heard::default()
                    },
                );
            }
        }
    }

    /// All reports, by gateway.
    pub fn all(&self) -> Vec<Received> {
        let received = |heard: &Heard| {
            heard.report.clone().map(|report| Received {
                report,
                last_contact: heard.last_contact,
                reported_at: heard.reported_at,
            })
        };
        self.gateways().values().filter_map(received).collect()
    }

    /// When a gateway was last in contact, with or without a report: UNIX milliseconds.
    pub fn last_contact(&self, gateway: &GatewayName) -> Option<u64> {
        self.gateways().get(gateway).map(|heard| heard.last_contact)
    }

    /// Drops what is known of a gateway that is no more.
    pub fn forget(&self, gateway: &GatewayName) {
        let known = self.gateways().remove(gateway).is_some();
        if known {
            self.changed();
        }
    }

    /// Changes whenever a report changes; a report that says the same again is no change.
    pub fn version(&self) -> watch::Receiver<u64> {
        self.shared.version.subscribe()
    }

    fn changed(&self) {
        self.shared
            .version
            .send_modify(|version| *version = version.wrapping_add(1));
    }

    /// A panic while it was held leaves whole entries: each is written at once.
    fn gateways(&self) -> MutexGuard<'_, BTreeMap<GatewayName, Heard>> {
        self.shared
            .gateways
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_that_says_the_same_again_is_contact_but_no_change() {
        let reports = Reports::default();
        let mut version = reports.version();
        let gateway = GatewayName::parse("gw-pool-dev-0").unwrap();
        let first = Report::of_new_agent(gateway, "0.1.0", 1);
        reports.put(first.clone(), 1);
        assert!(version.has_changed().unwrap());
        version.mark_unchanged();
        reports.put(first.clone(), 2);
        assert!(!version.has_changed().unwrap());
        assert_eq!(reports.last_contact(&first.gateway), Some(2));
        reports.contact(&first.gateway, 3);
        assert!(!version.has_changed().unwrap());
        let all = reports.all();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].last_contact, 3);
        reports.forget(&first.gateway);
        assert!(version.has_changed().unwrap());
        assert!(reports.all().is_empty());
    }

    #[test]
    fn contact_without_a_report_is_remembered() {
        let reports = Reports::default();
        let gateway = GatewayName::parse("gw-pool-dev-1").unwrap();
        reports.contact(&gateway, 7);
        assert_eq!(reports.last_contact(&gateway), Some(7));
        assert!(reports.all().is_empty());
    }
}
