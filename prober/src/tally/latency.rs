//! Latencies, counted in the classes of an HdrHistogram. A few classes are a short list; many take
//! a histogram of tens of kilobytes. In a report of ten thousand backends each has few. Pure.

use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest latency that is distinguished, in µs: one hour.
const LONGEST_US: u64 = 3_600_000_000;
/// Up to this many classes are a list; more take a histogram.
const FEW: usize = 64;
/// The same when all classes are known at once, so that none is put between others. A histogram of the
/// longest latency has 23,552 counts of eight bytes, a class has sixteen.
const FEW_AT_ONCE: usize = 23_552 / 2;
/// The significant bits of a latency: three decimal digits, as in an HdrHistogram.
const BITS: u32 = 11;

/// Latencies in µs: three significant digits, 1 µs to 1 h. Allocates nothing while it is empty.
#[derive(Clone)]
pub struct Latency(Counts);

#[derive(Clone)]
enum Counts {
    /// The classes that are not empty, the shortest first.
    Few(Vec<Class>),
    Many(Box<Histogram<u64>>),
}

/// A range of latencies that are not distinguished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// The shortest latency, in µs.
    pub least_us: u64,
    pub count: u64,
}

impl Class {
    fn of(us: u64, count: u64) -> Self {
        let dropped = (u64::BITS - us.leading_zeros()).saturating_sub(BITS);
        Self { least_us: us >> dropped << dropped, count }
    }

    /// The longest latency, in µs.
    #[must_use]
    pub fn most_us(&self) -> u64 {
        let dropped = (u64::BITS - self.least_us.leading_zeros()).saturating_sub(BITS);
        self.least_us + ((1 << dropped) - 1)
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self(Counts::Few(Vec::new()))
    }
}

impl PartialEq for Latency {
    fn eq(&self, other: &Self) -> bool {
        self.classes().eq(other.classes())
    }
}

impl std::fmt::Debug for Latency {
    /// A summary: a histogram has thousands of empty counts.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = self.count();
        write!(f, "Latency({count} counted, p50 {:?}, max {:?})", self.quantile(0.5), self.max())
    }
}

impl Latency {
    /// The latencies of a histogram whose values are µs.
    #[must_use]
    pub fn from_histogram(histogram: &Histogram<u64>) -> Self {
        let steps = histogram.iter_recorded();
        let classes = steps.map(|step| Class::of(step.value_iterated_to(), step.count_at_value()));
        let mut classes: Vec<_> = classes.collect();
        let distinct = classes.windows(2).all(|pair| pair[0].least_us < pair[1].least_us);
        if distinct && classes.len() <= FEW_AT_ONCE {
            classes.shrink_to_fit();
            return Self(Counts::Few(classes));
        }
        let mut own = Self::default();
        classes.iter().for_each(|class| own.add(class.least_us, class.count, FEW));
        own
    }

    /// The smallest histogram that fits, with values in µs. Equal counts give the same histogram,
    /// in whatever order they were recorded.
    #[must_use]
    pub fn histogram(&self) -> Histogram<u64> {
        let most = self.classes().last().map_or(0, |class| class.most_us()).max(2);
        let histogram = Histogram::new_with_bounds(1, most, 3);
        let mut histogram = histogram.expect("two or more is a valid bound");
        for class in self.classes() {
            let added = histogram.record_n(class.least_us, class.count);
            added.expect("there is room for the longest");
        }
        histogram
    }

    /// The classes that are not empty, the shortest first.
    pub fn classes(&self) -> Box<dyn Iterator<Item = Class> + '_> {
        match &self.0 {
            Counts::Few(classes) => Box::new(classes.iter().copied()),
            Counts::Many(histogram) => Box::new(
                histogram
                    .iter_recorded()
                    .map(|step| Class::of(step.value_iterated_to(), step.count_at_value())),
            ),
        }
    }

    /// Counts one latency; more than an hour counts as an hour.
    pub fn record(&mut self, latency: Duration) {
        self.add(micros(latency), 1, FEW);
    }

    /// The same in no more memory than its classes need. A new class takes more time.
    pub(super) fn record_compactly(&mut self, latency: Duration) {
        self.add(micros(latency), 1, FEW_AT_ONCE);
    }

    /// `few`: up to how many classes are a list.
    fn add(&mut self, us: u64, count: u64, few: usize) {
        match &mut self.0 {
            Counts::Few(classes) => {
                let new = Class::of(us, count);
                match classes.binary_search_by_key(&new.least_us, |class| class.least_us) {
                    Ok(place) => {
                        let known = &mut classes[place].count;
                        *known = known.saturating_add(count);
                    }
                    Err(place) if classes.len() < few => classes.insert(place, new),
                    Err(_) => {
                        // Starts small and grows, since most latencies are short.
                        let many = Histogram::new(3).expect("three digits are few enough");
                        let listed = std::mem::replace(&mut self.0, Counts::Many(Box::new(many)));
                        for class in Self(listed).classes().chain([new]) {
                            self.add(class.least_us, class.count, few);
                        }
                    }
                }
            }
            Counts::Many(histogram) => {
                // Cannot fail: the histogram grows to any value.
                let _ = histogram.record_n(us, count);
            }
        }
    }

    pub fn merge(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            (Counts::Many(own), Counts::Many(more)) => {
                own.add(&**more).expect("it grows to any value");
            }
            (Counts::Many(_), Counts::Few(classes)) => {
                classes.iter().for_each(|class| self.add(class.least_us, class.count, FEW));
            }
            (Counts::Few(own), Counts::Few(more)) if own.len() + more.len() <= FEW_AT_ONCE => {
                *own = merged(own, more);
            }
            (Counts::Few(_), Counts::Few(classes)) => {
                classes.iter().for_each(|class| self.add(class.least_us, class.count, FEW));
            }
            (Counts::Few(_), Counts::Many(_)) => {
                let few = std::mem::replace(self, other.clone());
                self.merge(&few);
            }
        }
    }

    /// Whether it takes little memory as it is.
    #[must_use]
    pub fn is_small(&self) -> bool {
        matches!(&self.0, Counts::Few(classes) if classes.len() <= FEW)
    }

    /// The number of latencies.
    #[must_use]
    pub fn count(&self) -> u64 {
        match &self.0 {
            Counts::Few(classes) => {
                classes.iter().fold(0, |sum, class| sum.saturating_add(class.count))
            }
            Counts::Many(histogram) => histogram.len(),
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// The latency that a fraction `q` (0 to 1) of the requests did not exceed; `None` if empty.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let rank = ((q.clamp(0.0, 1.0) * self.count() as f64).ceil() as u64).max(1);
        let us = match &self.0 {
            Counts::Few(classes) => {
                let mut counted = 0_u64;
                let at = classes.iter().find(|class| {
                    counted = counted.saturating_add(class.count);
                    counted >= rank
                });
                let class = at.or(classes.last())?;
                if q > 0.0 { class.most_us() } else { class.least_us }
            }
            Counts::Many(histogram) => histogram.value_at_quantile(q),
        };
        Some(Duration::from_micros(us))
    }

    /// p50, p90, p99 and the maximum, in µs; 0 if empty.
    #[must_use]
    pub fn summary_us(&self) -> [u64; 4] {
        let at = |q| self.quantile(q);
        // Fits, since it is an hour at most.
        [at(0.5), at(0.9), at(0.99), self.max()]
            .map(|time| time.unwrap_or_default().as_micros() as u64)
    }

    /// How many took this long or longer, within the resolution of 0.1 %.
    #[must_use]
    pub fn at_least(&self, latency: Duration) -> u64 {
        let us = micros(latency);
        self.classes()
            .filter(|class| class.least_us >= us)
            .fold(0, |sum, class| sum.saturating_add(class.count))
    }

    /// The longest latency; `None` if empty.
    #[must_use]
    pub fn max(&self) -> Option<Duration> {
        match &self.0 {
            Counts::Few(classes) => {
                classes.last().map(|class| Duration::from_micros(class.most_us()))
            }
            Counts::Many(histogram) => Some(Duration::from_micros(histogram.max())),
        }
    }
}

/// The classes of both lists, in order.
fn merged(own: &[Class], more: &[Class]) -> Vec<Class> {
    let mut all = [own, more].concat();
    // Of two sorted lists, it takes one pass.
    all.sort_by_key(|class| class.least_us);
    all.dedup_by(|next, kept| {
        let same = next.least_us == kept.least_us;
        kept.count = kept.count.saturating_add(if same { next.count } else { 0 });
        same
    });
    all.shrink_to_fit();
    all
}

/// A latency in µs; more than an hour counts as an hour.
fn micros(latency: Duration) -> u64 {
    u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).clamp(1, LONGEST_US)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
    fn an_empty_one_takes_no_memory() {
        let mut latency = Latency::default();
        latency.merge(&Latency::from_histogram(&Histogram::new(3).unwrap()));
        assert!(matches!(&latency.0, Counts::Few(classes) if classes.capacity() == 0));
        assert_eq!((latency.count(), latency.at_least(Duration::ZERO)), (0, 0));
        assert_eq!((latency.quantile(0.5), latency.max()), (None, None));
    }

    /// One for each of these times.
    fn counted(times: &[u64]) -> Latency {
        let mut latency = Latency::default();
        times.iter().for_each(|us| latency.record(Duration::from_micros(*us)));
        latency
    }

    #[test]
    fn few_become_many_beyond_so_many_classes() {
        let times: Vec<_> = (1..=FEW as u64).collect();
        let mut latency = counted(&times);
        latency.merge(&latency.clone());
        assert!(matches!(&latency.0, Counts::Few(classes) if classes.len() == FEW));
        latency.record(Duration::from_micros(FEW as u64 + 1));
        assert!(matches!(latency.0, Counts::Many(_)));
        assert_eq!(latency.count(), 2 * FEW as u64 + 1);
    }

    #[test]
    fn a_histogram_is_the_same_in_whatever_order_its_counts_came() {
        use hdrhistogram::serialization::{Serializer as _, V2Serializer};
        let bytes = |order: &[u64]| {
            let mut bytes = Vec::new();
            V2Serializer::new().serialize(&counted(order).histogram(), &mut bytes).unwrap();
            bytes
        };
        assert_eq!(bytes(&[1, 900, 70_000, 3_000_000]), bytes(&[3_000_000, 900, 70_000, 1]));
        assert_eq!(bytes(&[1]).len(), bytes(&[2]).len());
        bytes(&[]);
    }

    /// Times of every magnitude, some of them often.
    fn times() -> impl Strategy<Value = Vec<u64>> {
        let time = (0_u32..32, any::<u64>()).prop_map(|(bits, us)| 1 + us % (1 << bits));
        prop::collection::vec(time.prop_map(|us| us.min(LONGEST_US)), 0..200)
    }

    proptest! {
        #[test]
        fn few_and_many_say_what_a_histogram_says(times in times(), more in times(), q in 0.0..=1.0) {
            let mut histogram = Histogram::<u64>::new(3).unwrap();
            let all = times.iter().chain(&more);
            all.clone().for_each(|us| histogram.record(*us).unwrap());
            let mut merged = counted(&times);
            merged.merge(&counted(&more));
            let at_once = counted(&all.copied().collect::<Vec<_>>());
            prop_assert_eq!(&merged, &at_once);
            prop_assert_eq!(&Latency::from_histogram(&histogram), &merged);
            prop_assert_eq!(&merged.histogram(), &histogram);
            for latency in [merged, at_once] {
                prop_assert_eq!(latency.count(), histogram.len());
                if histogram.is_empty() {
                    continue;
                }
                for q in [0.0, q, 0.5, 0.99, 1.0] {
                    let us = latency.quantile(q).unwrap().as_micros();
                    prop_assert_eq!(us, u128::from(histogram.value_at_quantile(q)), "at {}", q);
                }
                prop_assert_eq!(latency.max().unwrap().as_micros(), u128::from(histogram.max()));
                for us in times.iter().chain(&more).take(8).flat_map(|us| [*us, us + 1]) {
                    let below = histogram.count_between(0, us.clamp(1, LONGEST_US) - 1);
                    let slow = latency.at_least(Duration::from_micros(us));
                    prop_assert_eq!(slow, histogram.len() - below);
                }
            }
        }
    }
}
