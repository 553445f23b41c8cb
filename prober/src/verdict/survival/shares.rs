//! Whether clusters' shares are what they were before a fault, or what was stated: an
//! equivalence test, by two one-sided tests. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::stats::two_samples::{Hits, Reference, above, below, needed};
use crate::tally::failover::Slice;
use crate::units::percent;

/// How far a share may be off, as a part of its product with the others' shares: 50 % may be
/// 12.5 points off, 33 % 11, 20 % 8.
const PART: f64 = 0.5;
/// How far a share may be off at least, of 1.
const LEAST: f64 = 0.05;
/// What must be left of a share, however small it was.
const LEFT: f64 = 0.25;

/// How far from `share` a share may be.
fn tolerance(share: f64) -> f64 {
    LEAST.max(PART * share * (1.0 - share))
}

/// The lowest share that counts as `share`.
fn lowest(share: f64) -> f64 {
    (share - tolerance(share)).max(LEFT * share)
}

fn highest(share: f64) -> f64 {
    share + tolerance(share)
}

/// A share and its tolerance, in percent and points.
fn allowed(share: f64) -> String {
    format!("{} ± {}", percent(share), percent(tolerance(share)))
}

/// A cluster's answers among all.
pub(super) fn hits(slice: &Slice, cluster: &str) -> Hits {
    let hits = slice.answers.get(cluster).copied().unwrap_or(0);
    Hits { hits, trials: slice.answered() }
}

/// All that answered in any of the slices.
pub(super) fn clusters<'a>(slices: impl IntoIterator<Item = &'a Slice>) -> BTreeSet<&'a str> {
    slices.into_iter().flat_map(|slice| slice.answers.keys()).map(String::as_str).collect()
}

/// The shares that must hold.
pub(super) struct Wanted<'a> {
    references: BTreeMap<&'a str, Reference>,
    /// A cluster with a smaller share before may be missing.
    min_share: f64,
}

/// A cluster whose share is proven not to be what it must be.
pub(super) struct Off<'a> {
    pub cluster: &'a str,
    pub seen: f64,
    /// What it must give: `50 ± 12.5`.
    pub allowed: String,
}

impl<'a> Wanted<'a> {
    /// Those of a sample.
    pub(super) fn of_sample(before: &'a Slice, min_share: f64) -> Self {
        let names = clusters([before]).into_iter();
        let references = names.map(|name| (name, Reference::Sample(hits(before, name)))).collect();
        Self { references, min_share }
    }

    /// Those that were stated.
    pub(super) fn stated(shares: &'a BTreeMap<String, f64>) -> Self {
        let named = shares.iter();
        let references = named.map(|(name, share)| (name.as_str(), Reference::Share(*share)));
        Self { references: references.collect(), min_share: 0.0 }
    }

    /// Whether any share will do.
    pub(super) fn is_empty(&self) -> bool {
        self.references.is_empty()
    }

    /// The clusters that must hold a share or were seen, and what each is compared with.
    fn all<'b>(&'b self, after: &'b Slice) -> impl Iterator<Item = (&'b str, Reference)> {
        // Who did not answer before has no answers among as many; who was not stated has none.
        let absent = match self.references.values().next() {
            Some(Reference::Sample(any)) => Reference::Sample(Hits { hits: 0, ..*any }),
            _ => Reference::Share(0.0),
        };
        let mut names = clusters([after]);
        names.extend(self.references.keys());
        names
            .into_iter()
            .map(move |name| (name, self.references.get(name).copied().unwrap_or(absent)))
    }

    fn must_answer(&self, reference: Reference) -> bool {
        reference.share() > 0.0 && reference.share() >= self.min_share
    }

    /// Whether each cluster is proven to be within the tolerance of its share. Each of the
    /// tests must succeed, so that each may be wrong with the whole risk (Berger 1982).
    pub(super) fn hold(&self, after: &Slice, risk: f64) -> bool {
        self.all(after).all(|(name, wanted)| {
            let seen = hits(after, name);
            let there = !self.must_answer(wanted) || above(wanted, seen, &lowest, risk);
            there && below(wanted, seen, &highest, risk)
        })
    }

    /// A cluster that is proven to be outside the tolerance of its share. One of the tests is
    /// enough, so that they share the risk.
    pub(super) fn off<'b>(&'b self, after: &'b Slice, risk: f64) -> Option<Off<'b>> {
        let risk = risk / 2.0 / self.all(after).count().max(1) as f64;
        let mut all = self.all(after);
        let (cluster, wanted) = all.find(|(name, wanted)| {
            let seen = hits(after, name);
            let gone = self.must_answer(*wanted) && below(*wanted, seen, &lowest, risk);
            gone || above(*wanted, seen, &highest, risk)
        })?;
        let seen = hits(after, cluster).share();
        Some(Off { cluster, seen, allowed: allowed(wanted.share()) })
    }

    /// About how many answers it takes to prove that equal shares are equal: so many before
    /// the fault, where the shares are those of a sample, and so many after it.
    pub(super) fn needed(&self, risk: f64) -> u64 {
        let of = |reference: &Reference| {
            let share = reference.share();
            let margin = (share - lowest(share)).min(highest(share) - share).max(f64::EPSILON);
            // A known share has no scatter of its own.
            let n = needed(share, margin, risk);
            if matches!(reference, Reference::Share(_)) { n.div_ceil(2) } else { n }
        };
        let there = self.references.values().filter(|share| self.must_answer(**share));
        // Nobody else may have 5 points, even if all is as it should be.
        there.map(of).max().unwrap_or(0).max(needed(0.0, LEAST, risk))
    }

    /// Each cluster's share, and what it must be: `kops 51 % (50 ± 12.5), gke1 49 % (50 ± 12.5)`.
    pub(super) fn words(&self, after: &Slice) -> String {
        let parts = self.all(after).map(|(name, wanted)| {
            let seen = percent(hits(after, name).share());
            format!("{name} {seen} % ({})", allowed(wanted.share()))
        });
        parts.collect::<Vec<_>>().join(", ")
    }
}
