//! Delays that grow, with jitter, so that many agents do not ask at once.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// A delay that doubles from `first` to `most`.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, most: Duration) -> Self {
        Self {
            first,
            most,
            next: first,
        }
    }

    /// The delay before the next attempt; `random` is any 64 bits.
    pub(crate) fn after_failure(&mut self, random: u64) -> Duration {
        let delay = self.next;
        self.next = (delay * 2).min(self.most);
        jittered(delay, random)
    }

    /// It worked: the next failure starts small again.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

/// Between half of `delay` and all of it.
fn jittered(delay: Duration, random: u64) -> Duration {
    let share = u32::try_from(random % 1000).unwrap_or(0);
    delay / 2 + delay / 2 * share / 1000
}

/// 64 bits that differ from call to call; not for secrets.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(0_u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_most_and_start_small_again() {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        let all: Vec<_> = (0..7)
            .map(|_| backoff.after_failure(0).as_millis())
            .collect();
        assert_eq!(all, [100, 200, 400, 800, 1600, 2500, 2500]);
        backoff.reset();
        assert_eq!(backoff.after_failure(999).as_millis(), 199);
    }
}
