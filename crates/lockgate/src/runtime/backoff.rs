//! How long to wait before an agent is started again.

use std::time::Duration;

/// The first delay: long enough not to spin, short enough not to be noticed.
const FIRST: Duration = Duration::from_millis(200);
/// The longest delay: somebody who mends the cause does not wait long for the effect.
const LONGEST: Duration = Duration::from_secs(10);
/// An agent that lived this long was well; the next end is a new story.
const WELL: Duration = Duration::from_secs(30);

/// Delays that double while an agent keeps ending.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    last: Option<Duration>,
}

impl Backoff {
    /// The delay after an agent that lived this long.
    pub(crate) fn after(&mut self, lived: Duration) -> Duration {
        let next = match self.last {
            Some(last) if lived < WELL => (last * 2).min(LONGEST),
            _ => FIRST,
        };
        self.last = Some(next);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_start_again_after_a_long_life() {
        let mut backoff = Backoff::default();
        let delays: Vec<u128> = (0..8)
            .map(|_| backoff.after(Duration::ZERO).as_millis())
            .collect();
        assert_eq!(delays, [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!(backoff.after(WELL), FIRST);
        assert_eq!(backoff.after(Duration::ZERO), FIRST * 2);
    }
}
