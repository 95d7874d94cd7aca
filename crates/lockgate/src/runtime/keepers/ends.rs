//! How an agent ended, and whether it will end like that until somebody does something about it.

use std::time::Duration;

use tokio::time::Instant;

/// An agent that ends in the same way for so long does not come up by itself. One that another server
/// has left behind keeps its place for fifteen seconds at most, and is no such case.
const KEEPS_ENDING: Duration = Duration::from_secs(20);

/// How an agent ended, or why it could not be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    /// In words: `the agent ended with exit status: 78: …`.
    pub(super) how: String,
    /// Whether it says itself that it will end so again.
    pub(super) lasts: bool,
}

/// Ends that follow each other.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// How the last ones were, and when the first of them was.
    same: Option<(String, Instant)>,
}

impl Ends {
    /// Takes in another end; whether it takes somebody to mend it.
    pub(super) fn is_stuck(&mut self, ended: &Ended, now: Instant) -> bool {
        let same = self.same.take().filter(|(how, _)| *how == ended.how);
        let (_, since) = self.same.insert(same.unwrap_or((ended.how.clone(), now)));
        ended.lasts || now.duration_since(*since) >= KEEPS_ENDING
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_agent_that_ends_alike_for_long_is_stuck_and_one_that_says_so_at_once() {
        let ended = |how: &str, lasts| Ended {
            how: how.to_owned(),
            lasts,
        };
        let (begin, mut ends) = (Instant::now(), Ends::default());
        let mut at = |secs, how, lasts| {
            let now = begin + Duration::from_secs(secs);
            ends.is_stuck(&ended(how, lasts), now)
        };
        assert!(at(0, "exit status: 78", true));
        assert!(!at(1, "port is taken", false));
        assert!(!at(20, "port is taken", false));
        assert!(at(21, "port is taken", false));
        assert!(!at(22, "no memory", false));
        assert!(!at(23, "port is taken", false));
        assert!(at(43, "port is taken", false));
    }
}
