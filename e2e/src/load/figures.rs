//! A distribution in five figures.

use std::fmt;
use std::time::Duration;

/// How many, and how long they took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// How many there are.
    pub count: usize,
    /// Half of them took no longer.
    pub p50: Duration,
    /// Nine of ten took no longer.
    pub p90: Duration,
    /// Ninety-nine of a hundred took no longer.
    pub p99: Duration,
    /// The longest.
    pub most: Duration,
}

impl Figures {
    /// The figures of these times.
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |percent: usize| {
            let rank = (times.len() * percent).div_ceil(100).saturating_sub(1);
            times.get(rank).copied().unwrap_or_default()
        };
        Self {
            count: times.len(),
            p50: at(50),
            p90: at(90),
            p99: at(99),
            most: at(100),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        write!(
            f,
            "p50 {:.1}  p90 {:.1}  p99 {:.1}  max {:.1} ms",
            ms(self.p50),
            ms(self.p90),
            ms(self.p99),
            ms(self.most)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_times() {
        let ms = Duration::from_millis;
        let figures = Figures::of((1..=200).rev().map(ms).collect());
        assert_eq!(figures.count, 200);
        assert_eq!(
            [figures.p50, figures.p90, figures.p99, figures.most],
            [100, 180, 198, 200].map(ms)
        );
        assert_eq!(Figures::of(vec![ms(3)]).p50, ms(3));
        assert_eq!(Figures::of(Vec::new()), Figures::default());
    }
}
