//! Compares two reports of the same targets: is the later one worse in shares, errors or latency,
//! and do the samples prove it? Pure.
//!
//! A difference is proven if two exact bounds, each at half the risk, differ by more than the
//! tolerance. This is conservative, and valid for any sample size.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use thiserror::Error;

use crate::report::{Report, Row, groups};
use crate::stats::{exact, homogeneity};
use crate::tally::latency::Latency;
use crate::tally::{Label, Tally};
use crate::units::percent;
use crate::verdict::{Evidence, Rules, Verdict};

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
        Self { shares: 0.05, latency: 0.1, errors: 0.0, label, rules }
    }
}

impl Limits {
    fn risk(&self) -> f64 {
        1.0 - self.rules.confidence
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Fail if it is proven to be worse than tolerated, inconclusive if it only looks worse.
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

    /// 0: nothing is worse than tolerated. 1: something is proven worse. 3: something looks worse.
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

fn verdict(looks: bool, proven: bool) -> Verdict {
    match (looks, proven) {
        (_, true) => Verdict::Fail,
        (true, false) => Verdict::Inconclusive,
        (false, false) => Verdict::Pass,
    }
}

fn errors(before: &Tally, after: &Tally, limits: &Limits) -> Difference {
    let of = |tally: &Tally| (tally.failed_requests() as f64, tally.requests() as f64);
    let ((was, n_was), (is, n_is)) = (of(before), of(after));
    let rate = |failed: f64, all: f64| if all > 0.0 { failed / all } else { 1.0 };
    let half = limits.risk() / 2.0;
    let least = exact::lower(is, n_is, half) - exact::upper(was, n_was, half);
    let looks = rate(is, n_is) - rate(was, n_was) > limits.errors;
    let said = format!(
        "errors: {was} of {n_was} before, {is} of {n_is} after{}",
        grown(least > limits.errors, least, " points", limits)
    );
    Difference { verdict: verdict(looks, least > limits.errors), said }
}

fn grown(proven: bool, least: f64, unit: &str, limits: &Limits) -> String {
    if !proven {
        return String::new();
    }
    let sure = percent(limits.rules.confidence);
    format!(": worse by at least {}{unit} ({sure} % sure)", percent(least))
}

/// A change of a share in either direction counts as worse.
fn shares(before: &Tally, after: &Tally, limits: &Limits) -> Option<Difference> {
    if before.answers() == 0 {
        return None;
    }
    if after.answers() == 0 {
        return Some(fixed(Verdict::Fail, "shares: the later report has no answers"));
    }
    let (was, is) = (before.answers_by(limits.label), after.answers_by(limits.label));
    let names: BTreeSet<&str> = was.keys().chain(is.keys()).map(AsRef::as_ref).collect();
    // Each share needs four bounds: two in each report.
    let part = limits.risk() / (4.0 * names.len() as f64);
    let (old, new) = (Evidence::new(before, &limits.rules), Evidence::new(after, &limits.rules));
    let (mut least, mut moved): (f64, Option<(f64, &str)>) = (0.0, None);
    let mut list = Vec::new();
    let mut table = Vec::new();
    for name in names {
        let (a, b) = (old.worth(limits.label, name), new.worth(limits.label, name));
        least = least.max(b.lower(part) - a.upper(part)).max(a.lower(part) - b.upper(part));
        let (a, b) = (a.sample, b.sample);
        let change = (b.share() - a.share()).abs();
        if moved.is_none_or(|(most, _)| change > most) {
            moved = Some((change, name));
        }
        list.push(format!("{name} {} % → {} %", percent(a.share()), percent(b.share())));
        table.push((a.hits, b.hits));
    }
    let change = moved.map_or(0.0, |(change, _)| change);
    let proven = least > limits.shares;
    let said = format!(
        "shares: {}; if nothing changed, the chance of such a difference is {}{}",
        list.join(", "),
        chance(homogeneity::p_value(&table)),
        grown(proven, least, " points", limits)
    );
    Some(Difference { verdict: verdict(change > limits.shares, proven), said })
}

fn chance(p: f64) -> String {
    if p >= 0.001 { format!("{p:.3}") } else { format!("{p:.1e}") }
}

/// Compares a quantile by bounds on its rank, from the binomial distribution of the number of
/// answers below it (Conover 1999, 3.2).
fn latency(before: &Tally, after: &Tally, quantile: f64, limits: &Limits) -> Difference {
    let name = format!("p{}", quantile * 100.0);
    let (old, new) = (groups::latency(before), groups::latency(after));
    let (Some(was), Some(is)) = (old.quantile(quantile), new.quantile(quantile)) else {
        let verdict = if new.is_empty() { Verdict::Fail } else { Verdict::Inconclusive };
        return fixed(verdict, &format!("{name}: one of the reports has no latencies"));
    };
    let half = limits.risk() / 2.0;
    let least = ranks(&new, quantile, half).0;
    let most = ranks(&old, quantile, half).1;
    let allowed = 1.0 + limits.latency;
    let looks = is.as_secs_f64() > was.as_secs_f64() * allowed;
    let proven = most.is_some_and(|most| {
        least.is_some_and(|least| least.as_secs_f64() > most.as_secs_f64() * allowed)
    });
    let ms = |time: std::time::Duration| time.as_secs_f64() * 1e3;
    let bound = |time: Option<std::time::Duration>| {
        time.map_or_else(|| "?".to_owned(), |time| format!("{:.3}", ms(time)))
    };
    let said = format!(
        "{name}: {:.3} ms before (at most {}), {:.3} ms after (at least {})",
        ms(was),
        bound(most),
        ms(is),
        bound(least)
    );
    Difference { verdict: verdict(looks, proven), said }
}

/// The lower and upper bound of a quantile, each at `risk`; `None` if the sample is too small.
fn ranks(
    latency: &Latency,
    quantile: f64,
    risk: f64,
) -> (Option<std::time::Duration>, Option<std::time::Duration>) {
    let n = latency.count() as f64;
    let at = |rank: f64| latency.quantile((rank / n).clamp(0.0, 1.0));
    // At `risk`, more than `low - 1` and fewer than `high` latencies lie below the quantile.
    let (mut low, mut high) = (0.0, n + 1.0);
    let (mut from, mut to) = (0.0, n);
    while from < to {
        let middle = ((from + to + 1.0) / 2.0).floor();
        if exact::at_most(middle - 1.0, n, quantile) <= risk {
            from = middle
        } else {
            to = middle - 1.0
        }
    }
    if from >= 1.0 {
        low = from;
    }
    let (mut from, mut to) = (1.0, n + 1.0);
    while from < to {
        let middle = ((from + to) / 2.0).floor();
        if exact::at_least(middle, n, quantile) <= risk { to = middle } else { from = middle + 1.0 }
    }
    if from <= n {
        high = from;
    }
    (if low >= 1.0 { at(low) } else { None }, if high <= n { at(high) } else { None })
}

#[cfg(test)]
mod tests;
