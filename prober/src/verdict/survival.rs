//! `failover < …`, `failback < …`, `lost <= …`: judged by what was measured of a fault. Pure.
//!
//! A time passes only if all of this is proven at the verdict's confidence:
//!
//! - the fault had an effect ([`effect`]);
//! - calm began within the bound, and from there to the end, or to the recovery, no request
//!   failed, in so many requests that a failure rate of 5 % would have shown;
//! - the shares are those stated, or those before the fault ([`shares`]), in the answers after
//!   the window that calm was found in: what begins after it was not chosen for its shares.
//!
//! It fails if a request that was due at the bound or later failed, and requests did not fail
//! as often before the fault, or if the answers since the bound prove other shares. All else is
//! inconclusive. Requests and answers are assumed to be independent of each other.

use std::time::Duration;

use super::{Rules, Ruling, Verdict};
use crate::expectation::Expectation;
use crate::stats::two_samples::{Hits, more};
use crate::stats::{answers_to_miss, unseen_share};
use crate::tally::failover::{Course, Failover, Slice};
use crate::tally::{Label, Tally};
use crate::units::{count, percent};
use shares::Wanted;

mod effect;
mod shares;

/// A failure rate that must be ruled out before failures are said to have stopped.
const FAILING: f64 = 0.05;

/// Judges an expectation about a fault. A time is known to within the mean time between two
/// starts: a bound that is nearer than that is inconclusive.
pub(super) fn judge(tally: &Tally, expectation: &Expectation, rules: &Rules) -> Ruling {
    let Some(times) = &tally.failover else {
        return (Verdict::Inconclusive, "no fault was measured in this run".to_owned());
    };
    let before = &times.samples.before;
    let question = match expectation {
        Expectation::Lost { most } => return lost(times, *most, rules),
        Expectation::Failover(within) => Question {
            what: "failover",
            since: "the fault",
            until: if times.recovery_us.is_some() { "the recovery" } else { "the end" },
            within: *within,
            took: times.failover_us.map(Duration::from_micros),
            course: &times.samples.fault,
            wanted: Wanted::stated(&times.samples.stated),
            times,
            rules,
        },
        Expectation::Failback(within) => match &times.samples.recovery {
            None => {
                let reason = "nothing recovered: give a second --at";
                return (Verdict::Inconclusive, reason.to_owned());
            }
            Some(_) if tally.folded(Label::Cluster) > 0 => {
                let said = tally.folded_in_words(Label::Cluster).unwrap_or_default();
                return (Verdict::Inconclusive, format!("unknown: {said}"));
            }
            Some(course) => Question {
                what: "failback",
                since: "the recovery",
                until: "the end",
                within: *within,
                took: times.failback_us.map(Duration::from_micros),
                course,
                wanted: Wanted::of_sample(before, rules.min_share),
                times,
                rules,
            },
        },
        _ => return (Verdict::Inconclusive, "not about a fault".to_owned()),
    };
    question.judge()
}

/// Failures are counted, not estimated: this is exact, whatever the fault's effect.
fn lost(times: &Failover, most: u64, rules: &Rules) -> Ruling {
    let verdict = if times.lost <= most { Verdict::Pass } else { Verdict::Fail };
    let mut reason = format!("{} lost since the fault", times.lost);
    if !effect::is_visible(times, risk(rules)) {
        reason = format!("{reason}; {}", effect::missing(times));
    }
    (verdict, reason)
}

fn risk(rules: &Rules) -> f64 {
    1.0 - rules.confidence
}

fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

/// A time, and what it must be below.
struct Question<'a> {
    what: &'static str,
    since: &'static str,
    until: &'static str,
    within: Duration,
    took: Option<Duration>,
    course: &'a Course,
    wanted: Wanted<'a>,
    times: &'a Failover,
    rules: &'a Rules,
}

impl Question<'_> {
    /// Failures and shares can each be reason to fail, so that they share the risk.
    fn judge(&self) -> Ruling {
        let late = self.course.since(self.within);
        if let Some(ruling) = self.failed_late(&late).or_else(|| self.off_late(&late)) {
            return ruling;
        }
        if !effect::is_visible(self.times, self.risk()) {
            return (Verdict::Inconclusive, effect::missing(self.times));
        }
        let Some(took) = self.took else {
            return (Verdict::Inconclusive, self.no_calm());
        };
        let resolution = Duration::from_micros(self.times.resolution_us);
        let reason = format!("{} took {} (± {})", self.what, seconds(took), seconds(resolution));
        if took + resolution >= self.within {
            let near = took < self.within + resolution;
            let remedy = if near { "raise --rate to tell" } else { "run longer (-d) to prove it" };
            return (Verdict::Inconclusive, format!("{reason}: {remedy}"));
        }
        match self.calm_since(took) {
            Ok(proof) => (Verdict::Pass, format!("{reason}; {proof}")),
            Err(doubt) => (Verdict::Inconclusive, format!("{reason}, but {doubt}")),
        }
    }

    fn risk(&self) -> f64 {
        risk(self.rules)
    }

    fn sure(&self) -> String {
        format!("{} % sure", percent(self.rules.confidence))
    }

    /// Requests failed that were due at the bound or later.
    fn failed_late(&self, late: &Slice) -> Option<Ruling> {
        let last = self.course.last_failed_us.map(Duration::from_micros)?;
        if last < self.within {
            return None;
        }
        let (bound, before) = (seconds(self.within), &self.times.samples.before);
        let last = format!("the last one {} after {}", seconds(last), self.since);
        if before.failed == 0 {
            let reason = format!("no {} within {bound}: requests failed later, {last}", self.what);
            return Some((Verdict::Fail, reason));
        }
        let of = |slice: &Slice| Hits { hits: slice.failed, trials: slice.requests };
        let seen = format!(
            "{} of {} failed later than {bound}, {last}, and {} of {} before the fault",
            late.failed,
            count(late.requests, "request"),
            before.failed,
            before.requests,
        );
        Some(match more(of(before), of(late)) <= self.risk() / 2.0 {
            true => (Verdict::Fail, format!("no {}: {seen} ({})", self.what, self.sure())),
            false => {
                let doubt = "which does not prove more failures than before";
                (Verdict::Inconclusive, format!("{seen}, {doubt}"))
            }
        })
    }

    /// The answers since the bound prove other shares.
    fn off_late(&self, late: &Slice) -> Option<Ruling> {
        if self.wanted.is_empty() {
            return None;
        }
        let off = self.wanted.off(late, self.risk() / 2.0)?;
        let reason = format!(
            "no {} within {}: {} gave {} % of {} later than that, and must give {} % ({})",
            self.what,
            seconds(self.within),
            off.cluster,
            percent(off.seen),
            count(late.answered(), "answer"),
            off.allowed,
            self.sure(),
        );
        Some((Verdict::Fail, reason))
    }

    fn no_calm(&self) -> String {
        format!(
            "no {} in the {} from {} to {}, and calm must last {}: run longer (-d), or let the \
             next --at come later",
            self.what,
            seconds(Duration::from_micros(self.course.length_us)),
            self.since,
            self.until,
            seconds(Duration::from_micros(self.times.hold_us)),
        )
    }

    /// What proves that it stayed calm, or what is missing for a proof.
    fn calm_since(&self, took: Duration) -> Result<String, String> {
        let since = self.course.since(took);
        let rate = unseen_share(since.requests, self.rules.confidence);
        let seen = format!("no failure in {} since", count(since.requests, "request"));
        if rate > FAILING {
            let needed = answers_to_miss(FAILING, self.risk());
            return Err(format!(
                "{seen} leaves room for a failure rate of {} % ({}): it takes {needed} requests \
                 before {}",
                percent(rate),
                self.sure(),
                self.until,
            ));
        }
        let calm = format!("{seen}: a rate above {} % would have been seen", percent(rate));
        if self.wanted.is_empty() {
            return Ok(format!("{calm} ({})", self.sure()));
        }
        let after = self.course.since(took + Duration::from_micros(self.times.hold_us));
        let shares = self.wanted.words(&after);
        let answers = count(after.answered(), "answer");
        if self.wanted.hold(&after, self.risk()) {
            return Ok(format!("{calm}; {shares} of {answers} ({})", self.sure()));
        }
        let needed = self.wanted.needed(self.risk());
        let before = match self.what {
            "failback" => {
                let before = self.times.samples.before.answered();
                format!(" before the fault (there are {before}) and as many after the failback")
            }
            _ => String::new(),
        };
        Err(format!(
            "{shares} of {answers} do not prove it ({}): it takes about {needed} answers{before}",
            self.sure(),
        ))
    }
}

#[cfg(test)]
mod tests;
