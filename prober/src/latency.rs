//! Histograms of latencies. Pure.

use std::sync::LazyLock;
use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest latency that is told apart, in µs: one hour.
const LONGEST_US: u64 = 3_600_000_000;

/// What nothing was counted in yet.
static EMPTY: LazyLock<Histogram<u64>> = LazyLock::new(growing);

/// A histogram that grows with what is recorded: most latencies are short, and most memory
/// is saved.
fn growing() -> Histogram<u64> {
    Histogram::new(3).expect("three digits are few enough")
}

/// A histogram of latencies in µs: three significant digits, 1 µs to 1 h. An empty one takes
/// no memory of its own.
#[derive(Clone, Default)]
pub struct Latency(Option<Box<Histogram<u64>>>);

impl PartialEq for Latency {
    fn eq(&self, other: &Self) -> bool {
        self.histogram() == other.histogram()
    }
}

impl std::fmt::Debug for Latency {
    /// Without the thousands of empty counts.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = self.histogram().len();
        write!(f, "Latency({count} counted, p50 {:?}, max {:?})", self.quantile(0.5), self.max())
    }
}

impl Latency {
    /// A histogram read from elsewhere; its values are µs.
    #[must_use]
    pub fn from_histogram(histogram: Histogram<u64>) -> Self {
        let mut own = Self::default();
        for step in histogram.iter_recorded() {
            // Cannot fail: the histogram grows to any value.
            let _ = own.own().record_n(step.value_iterated_to(), step.count_at_value());
        }
        own
    }

    /// The histogram, its values in µs.
    #[must_use]
    pub fn histogram(&self) -> &Histogram<u64> {
        self.0.as_deref().unwrap_or(&EMPTY)
    }

    fn own(&mut self) -> &mut Histogram<u64> {
        self.0.get_or_insert_with(|| Box::new(growing()))
    }

    /// The histogram with no more room than it needs: the same for equal counts, in whatever
    /// order they came.
    #[must_use]
    pub fn compact(&self) -> Histogram<u64> {
        let most = self.histogram().max().max(2);
        let compact = Histogram::new_with_bounds(1, most, 3);
        let mut compact = compact.expect("two or more is a valid bound");
        compact.add(self.histogram()).expect("there is room for the longest");
        compact
    }

    /// Counts one latency; what is longer than an hour counts as an hour.
    pub fn record(&mut self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).clamp(1, LONGEST_US);
        // Cannot fail: the histogram grows to any value.
        let _ = self.own().record(us);
    }

    /// Adds all of another's.
    pub fn merge(&mut self, other: &Self) {
        if !other.is_empty() {
            self.own().add(other.histogram()).expect("it grows to any value");
        }
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.histogram().is_empty()
    }

    /// The latency that the fraction `q` (0 to 1) of requests did not exceed;
    /// `None` if nothing was counted.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        (!self.is_empty()).then(|| Duration::from_micros(self.histogram().value_at_quantile(q)))
    }

    /// How many took this long or longer, to the 0.1 % that times are told apart by.
    #[must_use]
    pub fn at_least(&self, latency: Duration) -> u64 {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).clamp(1, LONGEST_US);
        let histogram = self.histogram();
        let below = histogram.count_between(0, us - 1);
        histogram.len() - below.min(histogram.len())
    }

    /// The longest latency; `None` if nothing was counted.
    #[must_use]
    pub fn max(&self) -> Option<Duration> {
        (!self.is_empty()).then(|| Duration::from_micros(self.histogram().max()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_beyond_an_hour_counts_as_an_hour() {
        let mut latency = Latency::default();
        assert_eq!(latency.quantile(0.5), None);
        latency.record(Duration::from_secs(90_000));
        let max = latency.max().unwrap().as_secs_f64();
        assert!((3590.0..3610.0).contains(&max), "{max}");
    }

    #[test]
    fn an_empty_histogram_takes_no_memory() {
        let mut latency = Latency::default();
        latency.merge(&Latency::from_histogram(growing()));
        assert!(latency.0.is_none());
        assert_eq!((latency.histogram().len(), latency.at_least(Duration::ZERO)), (0, 0));
    }

    #[test]
    fn histograms_of_different_ranges_merge() {
        let (mut short, mut long) = (Latency::default(), Latency::default());
        short.record(Duration::from_micros(5));
        long.record(Duration::from_secs(100));
        short.merge(&long);
        assert_eq!(short.histogram().len(), 2);
        assert!(short.max().unwrap() >= Duration::from_secs(100));
    }

    #[test]
    fn a_histogram_is_the_same_in_whatever_order_its_counts_came() {
        use hdrhistogram::serialization::{Serializer as _, V2Serializer};
        let bytes = |order: &[u64]| {
            let mut latency = Latency::default();
            order.iter().for_each(|us| latency.record(Duration::from_micros(*us)));
            let mut bytes = Vec::new();
            V2Serializer::new().serialize(&latency.compact(), &mut bytes).unwrap();
            assert_eq!(latency.compact(), *latency.histogram());
            bytes
        };
        assert_eq!(bytes(&[1, 900, 70_000, 3_000_000]), bytes(&[3_000_000, 900, 70_000, 1]));
        assert_eq!(bytes(&[1]).len(), bytes(&[2]).len());
        bytes(&[]);
    }
}
