//! What happened, request by request.

use std::collections::BTreeMap;
use std::time::Duration;

use super::loss::{Kind, Loss, Stage};
use super::orders::{Class, Order};
use super::speaks::Answerer;

/// A request that got a whole, right answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// What it was.
    pub class: Class,
    /// When it was due, since the start.
    pub due: Duration,
    /// When its answer was whole, since the start.
    pub done: Duration,
    /// Who answered: an index of [`Outcome::answerers`].
    pub answerer: usize,
    /// How long it takes by its own nature.
    pub asked: Duration,
}

impl Sample {
    /// How long the answer took, without what it takes by its own nature.
    pub fn latency(&self) -> Duration {
        self.done
            .saturating_sub(self.due)
            .saturating_sub(self.asked)
    }
}

/// Everything that happened. Times count from the start of the load.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How long it lasted.
    pub lasted: Duration,
    /// Requests that were answered, in the order of their answers.
    pub samples: Vec<Sample>,
    /// Requests that were lost, in the order in which they were.
    pub losses: Vec<Loss>,
    /// Requests that were sent, by class.
    pub sent: BTreeMap<Class, u64>,
    /// Kept connections that the server closed without having said so, seen in time.
    pub closed_idle: u64,
    /// The longest time by which a request was sent after it was due.
    pub behind: Duration,
    /// Who answered, in the order of their first answers.
    pub answerers: Vec<Answerer>,
    /// What became of the WebSockets.
    pub websockets: WebSockets,
}

/// What became of the WebSockets.
#[derive(Debug, Default)]
pub struct WebSockets {
    /// How many are open.
    pub open: usize,
    /// How often one was opened.
    pub opened: u64,
    /// Echoes that came back.
    pub echoes: u64,
    /// Closes by the server: when, and with which code.
    pub closes: Vec<(Duration, u16)>,
    /// Connections that ended without a close frame, or said what no server may.
    pub broken: Vec<String>,
    /// Attempts to open one that failed.
    pub not_opened: Vec<String>,
}

impl WebSockets {
    /// How often the server closed with which code.
    pub fn codes(&self) -> BTreeMap<u16, u64> {
        let mut codes = BTreeMap::new();
        for (_, code) in &self.closes {
            *codes.entry(*code).or_default() += 1;
        }
        codes
    }

    pub(super) fn opened(&mut self) {
        self.open += 1;
        self.opened += 1;
    }

    pub(super) fn closed(&mut self, at: Duration, code: u16) {
        self.open = self.open.saturating_sub(1);
        self.closes.push((at, code));
    }

    pub(super) fn broken(&mut self, at: Duration, kind: Kind, said: String) {
        self.open = self.open.saturating_sub(1);
        self.broken.push(line(at, kind, said));
    }

    pub(super) fn not_opened(&mut self, at: Duration, kind: Kind, said: String) {
        self.not_opened.push(line(at, kind, said));
    }
}

#[expect(clippy::needless_pass_by_value, reason = "both end here")]
fn line(at: Duration, kind: Kind, said: String) -> String {
    let said = said.lines().next().unwrap_or_default();
    format!("at {:.3} s: {kind}: {said}", at.as_secs_f64())
}

impl Outcome {
    /// Requests that were sent, of all classes.
    pub fn sent_in_all(&self) -> u64 {
        self.sent.values().sum()
    }

    /// Requests lost by a reset or an early end.
    pub fn resets(&self) -> usize {
        let reset = |loss: &&Loss| loss.kind == Kind::Reset;
        self.losses.iter().filter(reset).count()
    }

    /// The latencies of one class.
    pub fn latencies(&self, class: Class) -> Vec<Duration> {
        let of_class = self.samples.iter().filter(|it| it.class == class);
        of_class.map(Sample::latency).collect()
    }

    /// The latencies of all requests that are answered at once.
    pub fn quick_latencies(&self) -> Vec<Duration> {
        let quick = self.samples.iter().filter(|it| it.class.is_quick());
        quick.map(Sample::latency).collect()
    }

    /// The longest time without an answer to a request that is answered at once.
    pub fn longest_gap(&self) -> Duration {
        let quick = self.samples.iter().filter(|it| it.class.is_quick());
        let done: Vec<_> = quick.map(|it| it.done).collect();
        let gaps = done.windows(2).filter_map(|two| match two {
            [one, next] => Some(next.saturating_sub(*one)),
            _ => None,
        });
        gaps.max().unwrap_or_default()
    }

    pub(super) fn sent(&mut self, class: Class, behind: Duration) {
        *self.sent.entry(class).or_default() += 1;
        self.behind = self.behind.max(behind);
    }

    pub(super) fn answered(&mut self, order: &Order, at: Duration, answerer: Answerer) {
        // The newest is the likeliest.
        let known = self.answerers.iter().rposition(|it| *it == answerer);
        let answerer = known.unwrap_or_else(|| {
            self.answerers.push(answerer);
            self.answerers.len() - 1
        });
        self.samples.push(Sample {
            class: order.class,
            due: order.due,
            done: at,
            answerer,
            asked: order.takes(),
        });
    }

    pub(super) fn lost(&mut self, loss: Loss) {
        self.losses.push(loss);
    }

    pub(super) fn crowded(&mut self, order: &Order) {
        self.lost(Loss {
            class: order.class,
            due: order.due,
            at: order.due,
            stage: Stage::Connect,
            kind: Kind::Crowded,
            said: "not sent".to_owned(),
            answered_before: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(class: Class, due_ms: u64) -> Order {
        Order {
            due: Duration::from_millis(due_ms),
            class,
            slow_ms: 500,
            chance: 0,
        }
    }

    fn by(pid: u64) -> Answerer {
        Answerer {
            version: "1".to_owned(),
            pid,
        }
    }

    #[test]
    fn a_slow_answer_counts_what_it_took_beyond_what_was_asked() {
        let mut outcome = Outcome::default();
        outcome.answered(&order(Class::Slow, 100), Duration::from_millis(630), by(1));
        outcome.answered(&order(Class::New, 100), Duration::from_millis(130), by(2));
        outcome.answered(&order(Class::New, 200), Duration::from_millis(220), by(1));
        let ms = Duration::from_millis;
        assert_eq!(outcome.latencies(Class::Slow), [ms(30)]);
        assert_eq!(outcome.quick_latencies(), [ms(30), ms(20)]);
        assert_eq!(outcome.longest_gap(), ms(90));
        let answerers: Vec<_> = outcome.samples.iter().map(|it| it.answerer).collect();
        assert_eq!(answerers, [0, 1, 0]);
    }
}
