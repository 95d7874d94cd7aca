//! In which order lines of several gateways are shown.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lockgate_model::LogLine;

/// How long a line is held for an older one that comes later. Readers look at their
/// logs ten times a second.
const HOLD: Duration = Duration::from_millis(250);

/// Where one gateway's lines stand in time, in the order in which they were written:
/// those without a time with the one before, those of a clock set back, too.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Clock(u64);

impl Clock {
    /// The place of the next line.
    pub(super) fn place(&mut self, line: &LogLine) -> u64 {
        self.0 = self.0.max(line.time.unwrap_or_default());
        self.0
    }
}

/// Lines that are held for a moment, so that they come out in the order of their times.
#[derive(Debug)]
pub(super) struct Hold<T> {
    /// By place in time and number of arrival.
    held: BTreeMap<(u64, u64), (Instant, T)>,
    arrived: u64,
    time: Duration,
}

impl<T> Default for Hold<T> {
    fn default() -> Self {
        Self {
            held: BTreeMap::new(),
            arrived: 0,
            time: HOLD,
        }
    }
}

impl<T> Hold<T> {
    /// The lines of a single gateway are in order as they come.
    pub(super) fn wait_for_others(&mut self, others: bool) {
        self.time = if others { HOLD } else { Duration::ZERO };
    }

    /// Takes a line in.
    pub(super) fn push(&mut self, place: u64, line: T, now: Instant) {
        self.arrived += 1;
        self.held.insert((place, self.arrived), (now, line));
    }

    /// When there is something to show.
    pub(super) fn due(&self) -> Option<Instant> {
        let oldest = self.held.values().map(|(arrived, _)| *arrived).min()?;
        Some(oldest + self.time)
    }

    /// What was held long enough, and all that stands before it.
    pub(super) fn release(&mut self, now: Instant) -> Vec<T> {
        let held = self.held.iter();
        let due = |(place, (arrived, _)): (&(u64, u64), &(Instant, T))| {
            (*arrived + self.time <= now).then_some(*place)
        };
        let Some((place, number)) = held.filter_map(due).next_back() else {
            return Vec::new();
        };
        let later = self.held.split_off(&(place, number + 1));
        let ready = std::mem::replace(&mut self.held, later);
        ready.into_values().map(|(_, line)| line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines as (milliseconds of arrival, place), shown as (milliseconds, places).
    fn check(lines: &[(u64, u64)], expected: &[(u64, &[u64])]) {
        let start = since_start(Duration::ZERO);
        let mut hold = Hold::default();
        let mut shown: Vec<(u64, Vec<u64>)> = Vec::new();
        let mut lines = lines.iter().peekable();
        loop {
            let due = hold.due().map(|due| due - start);
            let next = lines.peek().map(|(ms, _)| Duration::from_millis(*ms));
            match (due, next) {
                (None, None) => break,
                (Some(due), next) if next.is_none_or(|next| due <= next) => {
                    let ready = hold.release(start + due);
                    shown.push((u64::try_from(due.as_millis()).unwrap(), ready));
                }
                _ => {
                    let (ms, place) = lines.next().unwrap();
                    hold.push(*place, *place, start + Duration::from_millis(*ms));
                }
            }
        }
        let expected: Vec<_> = expected.iter().map(|(ms, it)| (*ms, it.to_vec())).collect();
        assert_eq!(shown, expected);
    }

    #[expect(clippy::disallowed_methods, reason = "a test needs some instant")]
    fn since_start(time: Duration) -> Instant {
        Instant::now() + time
    }

    #[test]
    fn lines_come_out_by_time_a_moment_later() {
        check(&[], &[]);
        check(&[(0, 10)], &[(250, &[10])]);
        check(
            &[(0, 10), (50, 5), (90, 20)],
            &[(250, &[5, 10]), (340, &[20])],
        );
        check(
            &[(0, 10), (100, 5), (300, 7)],
            &[(250, &[5, 10]), (550, &[7])],
        );
        check(&[(0, 10), (0, 10), (0, 9)], &[(250, &[9, 10, 10])]);
    }

    #[test]
    fn a_gateways_own_lines_stay_in_order() {
        let mut clock = Clock::default();
        let at = |time| LogLine {
            time,
            ..LogLine::default()
        };
        let times = [None, Some(5), None, Some(3), Some(7)];
        let places: Vec<u64> = times.map(|time| clock.place(&at(time))).into();
        assert_eq!(places, [0, 5, 5, 5, 7]);
    }
}
