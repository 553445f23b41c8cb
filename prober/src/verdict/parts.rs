//! Whether samples have the same shares, as parts of one sample have. Pure.

use std::collections::BTreeSet;

use super::evidence::Worth;
use super::{Evidence, Rules, counts};
use crate::expectation::Expectation;
use crate::stats::homogeneity;
use crate::tally::Tally;

/// The chance that parts of one sample differ as much as these in what an expectation is about. It uses
/// the independent answers of each part. It is 1 for expectations without statistics.
#[must_use]
pub(crate) fn alike(parts: &[Tally], expectation: &Expectation, rules: &Rules) -> f64 {
    let evidence: Vec<_> = parts.iter().map(|part| Evidence::new(part, rules)).collect();
    let table = match expectation {
        Expectation::ErrorRate { .. } => hits_and_misses(&evidence, counts::failed),
        Expectation::Latency { of, below, .. } => {
            hits_and_misses(&evidence, |part| counts::slow(part, of.as_ref(), *below))
        }
        _ => match expectation.label() {
            Some(label) => {
                let all = evidence.iter().flat_map(|part| part.answers(label).keys());
                let names: BTreeSet<&String> = all.collect();
                let count =
                    |part: &Evidence<'_>, name: &String| part.worth(label, name).independent().hits;
                let row = |name| evidence.iter().map(|part| count(part, name)).collect();
                names.into_iter().map(row).collect()
            }
            None => return 1.0,
        },
    };
    homogeneity::p_value(&table)
}

fn hits_and_misses(
    evidence: &[Evidence<'_>],
    worth: impl Fn(&Evidence<'_>) -> Worth,
) -> Vec<Vec<f64>> {
    let samples = evidence.iter().map(|part| worth(part).independent());
    let (hits, misses) = samples.map(|some| (some.hits, some.mirrored().hits)).unzip();
    vec![hits, misses]
}

#[cfg(test)]
mod tests {
    use super::super::tests::{recorded, tally};
    use super::*;
    use crate::expectation::parse;
    use std::time::Duration;

    fn chance(parts: &[Tally], text: &str) -> f64 {
        alike(parts, &parse(text).unwrap(), &Rules::default())
    }

    #[test]
    fn parts_that_differ_are_not_parts_of_one_sample() {
        let balanced = "balanced kops,gke1 ± 5%";
        let even = || tally(&[("kops", 500), ("gke1", 500)], 0);
        let skewed = tally(&[("kops", 600), ("gke1", 400)], 0);
        assert!(chance(&[even(), even(), even()], balanced) > 0.9);
        assert!(chance(&[even(), even(), skewed.clone()], balanced) < 0.001);
        assert!(chance(&[even(), even(), skewed], "errors = 0") > 0.9, "that is not a sample");
        let failing = tally(&[("kops", 500), ("gke1", 500)], 100);
        assert!(chance(&[even(), failing.clone()], "error-rate <= 5%") < 0.001);
        assert!(chance(&[failing.clone(), failing], "error-rate <= 5%") > 0.9);
        let slow = recorded(&[("kops", 1_000)], 0, u64::MAX, Duration::from_millis(90));
        assert!(chance(&[even(), slow], "p99 < 50ms") < 0.001);
    }
}
