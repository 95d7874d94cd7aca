//! What was measured, and its median.

use std::time::Duration;

/// Measurements of one thing in one unit.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// Adds a time, in milliseconds.
    pub(crate) fn push_time(&mut self, time: Duration) {
        self.push(time.as_secs_f64() * 1000.0);
    }

    /// Adds a figure.
    pub(crate) fn push(&mut self, figure: f64) {
        let at = self.0.partition_point(|other| *other < figure);
        self.0.insert(at, figure);
    }

    /// The middle one, or the mean of the two in the middle; `None` when there is none.
    pub(crate) fn median(&self) -> Option<f64> {
        let upper = *self.0.get(self.0.len() / 2)?;
        if self.0.len() % 2 == 1 {
            return Some(upper);
        }
        let lower = *self.0.get(self.0.len() / 2 - 1)?;
        Some(f64::midpoint(lower, upper))
    }

    /// What so many of a hundred do not exceed.
    pub(crate) fn at(&self, percent: usize) -> Option<f64> {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0.get(rank.checked_sub(1)?).copied()
    }

    /// The smallest and the largest.
    pub(crate) fn range(&self) -> Option<(f64, f64)> {
        Some((*self.0.first()?, *self.0.last()?))
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(figures: I) -> Self {
        let mut samples = Self::default();
        for figure in figures {
            samples.push(figure);
        }
        samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_in_whatever_order_they_came() {
        for (figures, expected) in [
            (vec![], None),
            (vec![3.0], Some(3.0)),
            (vec![3.0, 1.0], Some(2.0)),
            (vec![5.0, 1.0, 3.0], Some(3.0)),
            (vec![4.0, 1.0, 3.0, 2.0], Some(2.5)),
        ] {
            let samples: Samples = figures.iter().copied().collect();
            assert_eq!(samples.median(), expected, "{figures:?}");
        }
    }

    #[test]
    fn the_range_is_the_smallest_and_the_largest() {
        let samples: Samples = [2.0, 9.0, 1.0].into_iter().collect();
        assert_eq!(samples.range(), Some((1.0, 9.0)));
        assert_eq!(Samples::default().range(), None);
    }

    #[test]
    fn a_percentile_is_one_of_the_figures() {
        let samples: Samples = (1..=200).map(f64::from).collect();
        assert_eq!(samples.at(99), Some(198.0));
        assert_eq!(samples.at(100), Some(200.0));
        assert_eq!(Samples::default().at(99), None);
    }

    #[test]
    fn times_are_in_milliseconds() {
        let mut samples = Samples::default();
        samples.push_time(Duration::from_millis(250));
        assert_eq!(samples.median(), Some(250.0));
    }
}
