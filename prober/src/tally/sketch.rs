//! Latencies in a few bytes, for quantiles with a stated error. Pure.

/// The bits of a count; a full bucket stays full.
const COUNT_BITS: u32 = 24;
pub(crate) const MAX_COUNT: u32 = (1 << COUNT_BITS) - 1;
/// Where the second to eighth bucket of an octave begin: 2^(1/8), 2^(2/8), …, in 128ths above the
/// start of the octave.
const STEPS: [u32; 7] = [12, 24, 38, 53, 69, 87, 107];

/// A histogram of µs with eight buckets per octave; empty buckets take no memory. The middle of a
/// bucket is within 5 % or 1 µs of every latency in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sketch(Vec<u32>);

impl Sketch {
    /// Counts one latency in µs, at least 1.
    pub fn record(&mut self, us: u32) {
        self.record_n(bucket(us), 1);
    }

    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in other.entries() {
            self.record_n(bucket, count);
        }
    }

    /// The buckets that are not empty, in order, with their counts.
    pub fn entries(&self) -> impl Iterator<Item = (u8, u32)> {
        self.0.iter().map(|entry| ((entry >> COUNT_BITS) as u8, entry & MAX_COUNT))
    }

    /// The sketch with these buckets; `None` if they are out of order, or a count is 0 or above
    /// [`MAX_COUNT`].
    #[must_use]
    pub fn from_entries(entries: &[(u8, u32)]) -> Option<Self> {
        let counted = entries.iter().all(|(_, count)| (1..=MAX_COUNT).contains(count));
        let ordered = entries.windows(2).all(|pair| pair[0].0 < pair[1].0);
        (counted && ordered)
            .then(|| Self(entries.iter().map(|(b, n)| u32::from(*b) << COUNT_BITS | n).collect()))
    }

    #[must_use]
    pub fn count(&self) -> u64 {
        self.entries().map(|(_, count)| u64::from(count)).sum()
    }

    /// The latency in µs, within 5 % or 1 µs, that a fraction `q` (0 to 1) of the requests did not
    /// exceed; `None` if empty.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<u32> {
        let rank = ((self.count() as f64 * q).ceil() as u64).max(1);
        let mut below = 0;
        let found = self.entries().find(|(_, count)| {
            below += u64::from(*count);
            below >= rank
        });
        found.map(|(bucket, _)| middle(bucket))
    }

    fn record_n(&mut self, bucket: u8, count: u32) {
        let key = u32::from(bucket) << COUNT_BITS;
        let place = self.0.partition_point(|entry| *entry < key);
        match self.0.get_mut(place).filter(|entry| **entry >> COUNT_BITS == u32::from(bucket)) {
            Some(entry) => *entry = key | (*entry & MAX_COUNT).saturating_add(count).min(MAX_COUNT),
            None => self.0.insert(place, key | count),
        }
    }
}

/// The bucket of a latency in µs: its octave, and its step of eight.
pub(super) fn bucket(us: u32) -> u8 {
    let us = us.max(1);
    let zeros = us.leading_zeros();
    // The bits after the leading one, in 128ths.
    let rest = (us << zeros) >> 24 & 0x7f;
    let step = STEPS.iter().filter(|begin| rest >= **begin).count();
    ((31 - zeros) * 8) as u8 + step as u8
}

/// The middle of a bucket, in µs.
fn middle(bucket: u8) -> u32 {
    let (octave, step) = (u32::from(bucket / 8), usize::from(bucket % 8));
    let begin = |step: usize| match step {
        0 => 128u64,
        8 => 256,
        step => 128 + u64::from(STEPS[step - 1]),
    };
    // Low octaves have fewer whole numbers than steps; then the first one in the bucket counts.
    let first = (begin(step) << octave).div_ceil(128);
    let last = ((begin(step + 1) << octave).div_ceil(128) - 1).max(first);
    u32::try_from(first.midpoint(last)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_full_bucket_stays_full() {
        let mut sketch = Sketch::from_entries(&[(9, MAX_COUNT - 1)]).unwrap();
        for _ in 0..3 {
            sketch.record_n(9, 1);
        }
        assert_eq!(sketch.entries().collect::<Vec<_>>(), [(9, MAX_COUNT)]);
    }

    #[test]
    fn entries_out_of_order_or_range_are_refused() {
        for bad in [&[(3, 1), (3, 1)][..], &[(3, 1), (2, 1)], &[(1, 0)], &[(1, MAX_COUNT + 1)]] {
            assert_eq!(Sketch::from_entries(bad), None, "{bad:?}");
        }
    }

    fn near(shown: f64, exact: f64) -> bool {
        (shown - exact).abs() <= (0.05 * exact).max(1.0)
    }

    proptest! {
        #[test]
        fn every_latency_is_within_five_percent(us in prop_oneof![1u32..5000, 1u32..=u32::MAX]) {
            let mut sketch = Sketch::default();
            sketch.record(us);
            let shown = f64::from(sketch.quantile(1.0).unwrap());
            prop_assert!(near(shown, us.into()), "{us} is shown as {shown}");
        }

        #[test]
        fn a_quantile_is_within_five_percent_of_the_exact_one(
            mut all in prop::collection::vec(1u32..10_000_000, 1..300),
            q in 0.0f64..=1.0,
        ) {
            let mut sketch = Sketch::default();
            all.iter().for_each(|us| sketch.record(*us));
            all.sort_unstable();
            let rank = ((all.len() as f64 * q).ceil() as usize).max(1);
            let (exact, shown) = (f64::from(all[rank - 1]), f64::from(sketch.quantile(q).unwrap()));
            prop_assert!(near(shown, exact), "{exact} is shown as {shown}");
        }

        #[test]
        fn parts_merge_to_the_whole_in_any_order(
            all in prop::collection::vec((1u32..1_000_000, any::<bool>()), 0..200),
        ) {
            let (mut whole, mut a, mut b) = <(Sketch, Sketch, Sketch)>::default();
            for (us, first) in all {
                whole.record(us);
                if first { a.record(us) } else { b.record(us) }
            }
            let mut other = b.clone();
            other.merge(&a);
            a.merge(&b);
            prop_assert_eq!(&a, &whole);
            prop_assert_eq!(&other, &whole);
            let entries: Vec<_> = whole.entries().collect();
            prop_assert_eq!(Sketch::from_entries(&entries), Some(whole));
        }
    }
}
