//! The clock: the one place that reads it.

use std::time::{Duration, Instant, SystemTime};

/// Time since a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[expect(
        clippy::disallowed_methods,
        reason = "a benchmark reads the clock, here only"
    )]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// How long ago it started.
    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// The time of day.
#[expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock, here only"
)]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}
