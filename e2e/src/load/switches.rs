//! From one process to the next, as clients saw it.
//!
//! ```text
//!   old accepts ──▶│ old finishes │ nobody answers │▶ new answers
//!         accepted_until      old_until           at
//! ```

use std::time::Duration;

use super::outcome::{Outcome, Sample};

/// How long after its first answer a new process may still answer slowly because it is new.
const NEW_FOR: Duration = Duration::from_secs(1);

/// One process took over from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switch {
    /// Who answered before: an index of [`Outcome::answerers`].
    pub from: usize,
    /// Who answered then.
    pub to: usize,
    /// When the last request was due that the old one answered at once.
    pub accepted_until: Duration,
    /// When the old one gave its last answer.
    pub old_until: Duration,
    /// When the new one gave its first.
    pub at: Duration,
    /// The longest that a client waited for an answer that is given at once.
    pub pause: Duration,
    /// Requests that were due after the new one's first answer and that the old one
    /// answered: both were there at once.
    pub both: usize,
}

impl Switch {
    /// How long clients waited for the old one's last answers.
    pub fn finishing(&self) -> Duration {
        self.old_until.saturating_sub(self.accepted_until)
    }

    /// How long nobody answered.
    pub fn nobody(&self) -> Duration {
        self.at.saturating_sub(self.old_until)
    }
}

impl Outcome {
    /// Every change of the process that answers, in order.
    pub fn switches(&self) -> Vec<Switch> {
        (1..self.answerers.len())
            .filter_map(|to| self.switch(to - 1, to))
            .collect()
    }

    fn switch(&self, from: usize, to: usize) -> Option<Switch> {
        let of = |who: usize| self.samples.iter().filter(move |it| it.answerer == who);
        let quick = |it: &&Sample| it.class.is_quick();
        let at = of(to).map(|it| it.done).min()?;
        let waited = of(to).filter(quick).filter(|it| it.due < at + NEW_FOR);
        Some(Switch {
            from,
            to,
            accepted_until: of(from).filter(quick).map(|it| it.due).max()?,
            old_until: of(from).map(|it| it.done).max()?,
            at,
            pause: waited.map(Sample::latency).max().unwrap_or_default(),
            both: of(from).filter(|it| it.due > at).count(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::orders::{Class, Order};
    use crate::load::speaks::Answerer;

    fn outcome(answers: &[(Class, u64, u64, u64)]) -> Outcome {
        let mut outcome = Outcome::default();
        for &(class, due_ms, done_ms, pid) in answers {
            let order = Order {
                due: Duration::from_millis(due_ms),
                class,
                slow_ms: 300,
                chance: 0,
            };
            let version = "1".to_owned();
            let at = Duration::from_millis(done_ms);
            outcome.answered(&order, at, Answerer { version, pid });
        }
        outcome
    }

    #[test]
    fn a_switch_is_the_old_ones_end_and_the_new_ones_first_answer() {
        let outcome = outcome(&[
            (Class::New, 0, 2, 1),
            (Class::Keep, 100, 103, 1),
            (Class::Slow, 50, 350, 1),
            (Class::New, 110, 380, 2),
            (Class::New, 105, 390, 2),
            (Class::New, 2000, 2900, 2),
        ]);
        let ms = Duration::from_millis;
        let [switch] = outcome.switches()[..] else {
            panic!("{:?}", outcome.switches());
        };
        assert_eq!(
            (switch.accepted_until, switch.old_until),
            (ms(100), ms(350))
        );
        assert_eq!((switch.at, switch.pause), (ms(380), ms(285)));
        assert_eq!((switch.finishing(), switch.nobody()), (ms(250), ms(30)));
        assert_eq!(switch.both, 0);
    }

    #[test]
    fn an_answer_of_the_old_one_to_a_later_question_shows_both_at_once() {
        let outcome = outcome(&[
            (Class::New, 0, 2, 1),
            (Class::New, 4, 10, 2),
            (Class::New, 12, 14, 1),
        ]);
        assert_eq!(outcome.switches()[0].both, 1);
    }
}
