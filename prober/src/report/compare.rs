//! Compares two reports of the same targets: is the later one worse in shares, errors or latency,
//! and do the samples prove it? Pure.
//!
//! Each difference fails if the samples prove that it is more than tolerated, passes if they prove
//! that it is not (a test of non-inferiority), and is inconclusive otherwise. That both look alike
//! proves nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use thiserror::Error;

use crate::report::{Report, Row};
use crate::stats::sequence::Sample;
use crate::stats::two_samples::{Hits, Reference, above, below, needed};
use crate::stats::{exact, homogeneity};
use crate::tally::latency::Latency;
use crate::tally::sequence::Indicator;
use crate::tally::{Label, Tally, is_unknown};
use crate::units::{percent, shown_time};
use crate::verdict::{Evidence, Rules, Verdict, Worth};

#[derive(Debug, Error)]
#[error("the reports have no source and target in common: {before} and {after}")]
pub struct NothingInCommon {
    pub before: String,
    pub after: String,
}

/// How much worse the later report may be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Limits {
    /// The change of a share, 0 to 1.
    pub shares: f64,
    /// The relative growth of a latency.
    pub latency: f64,
    /// The growth of the failed part of all requests, 0 to 1.
    pub errors: f64,
    /// The label whose shares are compared.
    pub label: Label,
    /// The confidence, and the rules of evidence.
    pub rules: Rules,
}

impl Default for Limits {
    fn default() -> Self {
        let (label, rules) = (Label::Cluster, Rules::default());
        Self { shares: 0.05, latency: 0.1, errors: 0.01, label, rules }
    }
}

impl Limits {
    fn risk(&self) -> f64 {
        1.0 - self.rules.confidence
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Pass if it is proven to be tolerated, fail if it is proven not to be.
    pub verdict: Verdict,
    /// What was compared, with its numbers.
    pub said: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compared {
    /// Headings and differences, in the order of the second report.
    pub rows: Vec<(String, Vec<Difference>)>,
    /// The headings that only one report has.
    pub alone: Vec<String>,
}

impl Compared {
    /// The comparison as text.
    #[must_use]
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        for (heading, differences) in &self.rows {
            let _ = writeln!(out, "{heading}");
            for Difference { verdict, said } in differences {
                let _ = writeln!(out, "  {}  {said}", verdict.word());
            }
        }
        for heading in &self.alone {
            let _ = writeln!(out, "not compared, because only one report has it: {heading}");
        }
        out
    }

    /// 0: everything is proven to be tolerated. 1: something is proven not to be. 3: neither.
    #[must_use]
    pub(crate) fn exit_code(&self) -> u8 {
        let all = self.rows.iter().flat_map(|(_, differences)| differences);
        match all.map(|difference| difference.verdict).max() {
            Some(Verdict::Fail) => 1,
            Some(Verdict::Inconclusive) => 3,
            Some(Verdict::Pass) | None => 0,
        }
    }
}

/// Compares the rows that both reports have.
///
/// # Errors
/// If they have no row in common.
pub(crate) fn compare(
    before: &Report,
    after: &Report,
    limits: &Limits,
) -> Result<Compared, NothingInCommon> {
    let headings =
        |report: &Report| -> BTreeSet<String> { report.rows.iter().map(Row::heading).collect() };
    let (old, new) = (headings(before), headings(after));
    if old.is_disjoint(&new) {
        let list = |all: BTreeSet<String>| Vec::from_iter(all).join("; ");
        return Err(NothingInCommon { before: list(old), after: list(new) });
    }
    let mut rows = Vec::new();
    // Of rows with the same heading, the first one counts.
    let known: BTreeMap<_, _> = before.rows.iter().rev().map(|row| (row.heading(), row)).collect();
    for row in &after.rows {
        let heading = row.heading();
        if let Some(was) = known.get(&heading) {
            rows.push((heading, compare_rows(was, row, limits)));
        }
    }
    let alone = old.symmetric_difference(&new).cloned().collect();
    Ok(Compared { rows, alone })
}

fn compare_rows(before: &Row, after: &Row, limits: &Limits) -> Vec<Difference> {
    match (before.tally(), after.tally()) {
        (Some(before), Some(after)) => {
            let mut all = vec![errors(before, after, limits)];
            all.extend(shares(before, after, limits));
            all.extend([0.5, 0.9, 0.99].map(|q| latency(before, after, q, limits)));
            all
        }
        (Some(_), None) => {
            vec![fixed(Verdict::Fail, "the source could probe before, but not after")]
        }
        (None, _) => vec![fixed(Verdict::Inconclusive, "the source could not probe before")],
    }
}

fn fixed(verdict: Verdict, said: &str) -> Difference {
    Difference { verdict, said: said.to_owned() }
}

/// What two samples prove of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    /// It is more than tolerated.
    Worse,
    /// It is not.
    NotWorse,
    Neither,
}

impl Proof {
    fn verdict(self) -> Verdict {
        match self {
            Self::Worse => Verdict::Fail,
            Self::NotWorse => Verdict::Pass,
            Self::Neither => Verdict::Inconclusive,
        }
    }
}

/// Whole independent trials that a sample is worth: those of its effective size.
fn independent(worth: Worth) -> Hits {
    let trials = worth.independent().trials.floor();
    Hits { hits: (worth.sample.share() * trials).round() as u64, trials: trials as u64 }
}

fn errors(before: &Tally, after: &Tally, limits: &Limits) -> Difference {
    let of = |tally: &Tally| {
        let (failed, all) = (tally.failed_requests() as f64, tally.requests() as f64);
        let sample = Sample { hits: failed, trials: all };
        independent(Evidence::new(tally, &limits.rules).worth_of(Indicator::Failed, sample))
    };
    let (was, is, tolerated) = (Reference::Sample(of(before)), of(after), limits.errors);
    let edge = |share: f64| share + tolerated;
    // One of the two tests may err with each risk: only one of them can be wrong.
    let proof = if above(was, is, &edge, limits.risk()) {
        Proof::Worse
    } else if below(was, is, &edge, limits.risk()) {
        Proof::NotWorse
    } else {
        Proof::Neither
    };
    let said = format!(
        "errors: {} of {} before, {} of {} after: {}",
        before.failed_requests(),
        before.requests(),
        after.failed_requests(),
        after.requests(),
        points(proof, tolerated, limits)
    );
    Difference { verdict: proof.verdict(), said }
}

/// What is proven about a difference of at most so many points.
fn points(proof: Proof, tolerated: f64, limits: &Limits) -> String {
    let (points, sure) = (percent(tolerated), percent(limits.rules.confidence));
    match proof {
        Proof::Worse => format!("more than {points} points worse ({sure} % sure)"),
        Proof::NotWorse => format!("at most {points} points worse ({sure} % sure)"),
        Proof::Neither => {
            format!("too few requests to tell whether it is more than {points} points worse")
        }
    }
}

/// A change of a share in either direction counts as worse.
fn shares(before: &Tally, after: &Tally, limits: &Limits) -> Option<Difference> {
    if before.answers() == 0 {
        return None;
    }
    if after.answers() == 0 {
        return Some(fixed(Verdict::Fail, "shares: the later report has no answers"));
    }
    let folded = [before, after].into_iter().find_map(|tally| tally.folded_in_words(limits.label));
    if let Some(said) = folded {
        return Some(fixed(Verdict::Inconclusive, &format!("shares: unknown: {said}")));
    }
    let (old, new) = (Evidence::new(before, &limits.rules), Evidence::new(after, &limits.rules));
    let (was, is) = (old.answers(limits.label), new.answers(limits.label));
    let names: BTreeSet<&str> = was.keys().chain(is.keys()).map(String::as_str).collect();
    let unknown = names.iter().any(|name| is_unknown(name));
    let tolerated = limits.shares;
    let (down, up) = (|share: f64| share - tolerated, |share: f64| share + tolerated);
    // Any of the tests for a change may err; all of those against one must.
    let each = limits.risk() / (2.0 * names.len() as f64);
    let (mut worse, mut same) = (false, true);
    let (mut list, mut table) = (Vec::new(), Vec::new());
    for name in names {
        let (a, b) = (old.worth(limits.label, name), new.worth(limits.label, name));
        let (first, second) = (independent(a), independent(b));
        let reference = Reference::Sample(first);
        worse |= above(reference, second, &up, each) || below(reference, second, &down, each);
        same = same
            && above(reference, second, &down, limits.risk())
            && below(reference, second, &up, limits.risk());
        let (a, b) = (a.sample.share(), b.sample.share());
        list.push(format!("{name} {} % → {} %", percent(a), percent(b)));
        table.push(vec![first.hits as f64, second.hits as f64]);
    }
    let proof = match (worse, same) {
        _ if unknown => Proof::Neither,
        (true, _) => Proof::Worse,
        (false, true) => Proof::NotWorse,
        (false, false) => Proof::Neither,
    };
    let said = format!(
        "shares: {}: {}; if nothing changed, the chance of such a difference is {}",
        list.join(", "),
        moved(proof, limits),
        chance(homogeneity::p_value(&table)),
    );
    Some(Difference { verdict: proof.verdict(), said })
}

fn moved(proof: Proof, limits: &Limits) -> String {
    let (points, sure) = (percent(limits.shares), percent(limits.rules.confidence));
    match proof {
        Proof::Worse => format!("moved by more than {points} points ({sure} % sure)"),
        Proof::NotWorse => format!("moved by less than {points} points ({sure} % sure)"),
        Proof::Neither => format!(
            "too few independent answers to tell whether a share moved by {points} points; about {} \
             are needed in each report",
            needed(0.5, limits.shares.max(f64::EPSILON), limits.risk())
        ),
    }
}

fn chance(p: f64) -> String {
    if p >= 0.001 { format!("{p:.3}") } else { format!("{p:.1e}") }
}

/// Compares a quantile by bounds on its rank, from the binomial distribution of the number of
/// answers below it (Conover 1999, 3.2), each at half of the risk. Answers that depend on each
/// other count as the independent ones that they are worth, by the order of those that reach the
/// quantile.
fn latency(before: &Tally, after: &Tally, quantile: f64, limits: &Limits) -> Difference {
    let name = format!("p{}", quantile * 100.0);
    let (old, new) = (before.latency(), after.latency());
    let (Some(was), Some(is)) = (old.quantile(quantile), new.quantile(quantile)) else {
        let verdict = if new.is_empty() { Verdict::Fail } else { Verdict::Inconclusive };
        return fixed(verdict, &format!("{name}: one of the reports has no latencies"));
    };
    let half = limits.risk() / 2.0;
    let bounds = |tally: &Tally, latency: &Latency, at: Duration| {
        let us = u32::try_from(at.as_micros()).unwrap_or(u32::MAX);
        let all = latency.count() as f64;
        let sample = Sample { hits: latency.at_least(at) as f64, trials: all };
        let evidence = Evidence::new(tally, &limits.rules);
        let time = evidence.worth_of(Indicator::Slow(us, None), sample).time;
        ranks(latency, quantile, half, time)
    };
    let (old, new) = (bounds(before, &old, was), bounds(after, &new, is));
    let allowed = 1.0 + limits.latency;
    let beyond = |a: Option<Duration>, b: Option<Duration>| {
        a.zip(b).map(|(a, b)| a.as_secs_f64() > b.as_secs_f64() * allowed)
    };
    let proof = match (beyond(new.0, old.1), beyond(new.1, old.0)) {
        (Some(true), _) => Proof::Worse,
        (_, Some(false)) => Proof::NotWorse,
        _ => Proof::Neither,
    };
    let (more, sure) = (percent(limits.latency), percent(limits.rules.confidence));
    let result = match proof {
        Proof::Worse => format!("more than {more} % slower ({sure} % sure)"),
        Proof::NotWorse => format!("at most {more} % slower ({sure} % sure)"),
        Proof::Neither => {
            format!("too few independent answers to tell whether it is more than {more} % slower")
        }
    };
    let said = format!(
        "{name}: {} before{}, {} after{}: {result}",
        shown_time(Some(was)),
        between(old),
        shown_time(Some(is)),
        between(new),
    );
    Difference { verdict: proof.verdict(), said }
}

/// Bounds of a quantile; `None` if the sample is too small for one.
type Bounds = (Option<Duration>, Option<Duration>);

fn between((low, high): Bounds) -> String {
    match (low, high) {
        (Some(low), Some(high)) => {
            format!(" ({} to {})", shown_time(Some(low)), shown_time(Some(high)))
        }
        (Some(low), None) => format!(" (at least {})", shown_time(Some(low))),
        (None, Some(high)) => format!(" (at most {})", shown_time(Some(high))),
        (None, None) => String::new(),
    }
}

/// The lower and upper bound of a quantile, each at `risk`, where `time` answers are worth an
/// independent one.
fn ranks(latency: &Latency, quantile: f64, risk: f64, time: f64) -> Bounds {
    let n = latency.count() as f64;
    let trials = (n / time).floor();
    // The rank among independent answers, as one among all.
    let at = |rank: f64| latency.quantile((rank / trials).clamp(0.0, 1.0));
    // The largest rank below the quantile and the smallest above it, each but for the risk.
    let below = last(trials, |rank| exact::at_most(rank - 1.0, trials, quantile) <= risk);
    let before_above = last(trials, |rank| exact::at_least(rank, trials, quantile) > risk);
    let above = before_above + 1.0;
    (if below >= 1.0 { at(below) } else { None }, if above <= trials { at(above) } else { None })
}

/// The last of the ranks 1 to `most` for which `holds`, which holds up to some rank; 0 if none.
fn last(most: f64, holds: impl Fn(f64) -> bool) -> f64 {
    let (mut from, mut to) = (0.0, most);
    while from < to {
        let middle = ((from + to + 1.0) / 2.0).floor();
        if holds(middle) {
            from = middle;
        } else {
            to = middle - 1.0;
        }
    }
    from
}

#[cfg(test)]
mod tests;
