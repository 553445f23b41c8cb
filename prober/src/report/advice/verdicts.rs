//! Advice on verdicts that failed or are inconclusive: the likeliest cause and the next command.
//! Pure.

use crate::expectation::{Expectation, Form, Group};
use crate::report::Row;
use crate::tally::{Label, Stopped, Tally};
use crate::units::count;
use crate::verdict::{Judged, Verdict, Why};

pub(super) fn of(judged: &Judged, row: &Row, tally: &Tally) -> Option<String> {
    let what = match judged.verdict {
        Verdict::Pass => return None,
        // Without answers, only the failures give advice.
        _ if tally.answers() == 0 => return None,
        Verdict::Inconclusive => open(judged, tally)?,
        Verdict::Fail => missed(&judged.expectation, row, tally)?,
    };
    Some(format!("'{}': {what}", judged.expectation))
}

/// The names that gave no answer.
fn silent(label: Label, names: &[String], tally: &Tally) -> Vec<String> {
    let answers = tally.answers_by(label);
    names.iter().filter(|name| !answers.contains_key(name.as_str())).cloned().collect()
}

/// Whether a verdict misses a group while requests or attempts failed.
pub(super) fn misses_a_group(judged: &Judged, tally: &Tally) -> bool {
    let is_missed = match &judged.expectation {
        Expectation::Who { form: Form::Reaches | Form::Exactly, label, names } => {
            !silent(*label, names, tally).is_empty()
        }
        _ => false,
    };
    let dead = tally.failed_requests() + tally.retried() > 0;
    is_missed && dead && judged.verdict == Verdict::Fail && tally.answers() > 0
}

fn open(judged: &Judged, tally: &Tally) -> Option<String> {
    // Such a reason has its own remedy.
    if judged.reason.starts_with("unknown: ") {
        return None;
    }
    if let Some(why) = Why::ALL.into_iter().find(|why| judged.reason.contains(why.words())) {
        return Some(dependent(why, tally));
    }
    Some(match tally.stopped {
        Some(Stopped::Exhausted) => {
            "The true share is too close to the limit. Send more requests: raise --max-requests"
                .to_owned()
        }
        _ => format!(
            "{} are too few to decide. Remove -n and -d (requests and duration in a matrix file): \
             prober then sends requests until the verdict is decided",
            count(tally.requests(), "request")
        ),
    })
}

/// Advice if answers depend on each other.
fn dependent(why: Why, tally: &Tally) -> String {
    match why {
        Why::Connections if tally.has_mixed_connections() => {
            "Requests on a reused connection are not independent samples. Run prober again with \
             --reuse never"
                .to_owned()
        }
        Why::Connections => format!(
            "{} came over {}, and a load balancer may pin each connection to one backend. Run \
             prober again with --reuse never",
            count(tally.answers(), "answer"),
            count(tally.connections, "connection"),
        ),
        Why::Runs => "The backend that answers changes slowly, so consecutive requests are not \
                independent samples. Spread the requests over more time: --rate 10 -d 10m"
            .to_owned(),
        Why::Address => {
            "A connection has one address. Run prober again with --reuse never".to_owned()
        }
        Why::LookUps => {
            "All connections use the first address of a DNS answer. Run prober again with \
                --select random"
                .to_owned()
        }
    }
}

fn missed(expectation: &Expectation, row: &Row, tally: &Tally) -> Option<String> {
    match expectation {
        Expectation::Who { label: Label::Address, .. }
        | Expectation::Balanced { label: Label::Address, .. }
        | Expectation::Shares { label: Label::Address, .. }
        | Expectation::Share { group: Group { label: Label::Address, .. }, .. } => {
            Some(addressed())
        }
        Expectation::Balanced { label, .. } | Expectation::Shares { label, .. } => {
            Some(skewed(*label, row, tally))
        }
        Expectation::Share { group, .. } => Some(skewed(group.label, row, tally)),
        Expectation::Who { form: Form::Reaches | Form::Exactly, label, names } => {
            let silent = silent(*label, names, tally);
            if silent.is_empty() {
                return Some(uninvited());
            }
            Some(missing(&format!("{} never answered", silent.join(", ")), row, tally))
        }
        Expectation::Who { form: Form::Only, .. } => Some(uninvited()),
        Expectation::Latency { of: None, below, .. } => slow(tally, *below),
        Expectation::NoRetries => Some(
            "Attempts fail, and retries of the mesh hide it. Find out which backend has fewer answers \
             than its share, and check its pods: run 'kubectl get pods'"
                .to_owned(),
        ),
        _ => None,
    }
}

fn addressed() -> String {
    "If an address refuses a connection, the connection goes to the next address of the name. Test \
     each address by itself: run prober again with --select each"
        .to_owned()
}

fn uninvited() -> String {
    "The service has other endpoints, too. Check where it has pods and which subsets its \
     DestinationRule has: run 'istioctl proxy-config endpoint POD' with a pod of the source"
        .to_owned()
}

/// Advice if groups did not answer, which `said` names.
fn missing(said: &str, row: &Row, tally: &Tally) -> String {
    let failed = tally.failed_requests();
    let failed = (failed > 0).then(|| format!("{} failed", count(failed, "request")));
    let retried = tally.retries_in_words().map(|retried| format!("the mesh retried {retried}"));
    let dead: Vec<_> = failed.into_iter().chain(retried).collect();
    if !dead.is_empty() {
        return format!(
            "{said}; {}: the mesh seems to know endpoints that it cannot reach. Find out which: \
             run prober again with --explain, or 'istioctl proxy-config endpoint POD' with a pod of \
             the source",
            dead.join(", and "),
        );
    }
    let local = if row.source.is_some() {
        "the source has a sidecar that knows them"
    } else {
        "the gateway knows them"
    };
    format!(
        "{said}, and nothing failed: other endpoints are not used. Check that {local}, and that localityLbSetting does not keep requests in one locality: run 'istioctl \
         proxy-config endpoint POD'"
    )
}

fn skewed(label: Label, row: &Row, tally: &Tally) -> String {
    let answers = tally.answers_by(label);
    if answers.len() == 1 {
        let only: String = answers.keys().map(AsRef::as_ref).collect();
        return missing(&format!("Only the {} {only} answered", label.word()), row, tally);
    }
    if tally.failed_requests() * FEW_FAILURES >= tally.requests() {
        return blurred(tally);
    }
    if tally.retried() > 0 {
        return format!(
            "The mesh retried {}: a failing backend loses its share to others. Check the pods with \
             the fewest answers: run 'kubectl get pods'",
            count(tally.retried(), "answer")
        );
    }
    if tally.connections < tally.answers() && !tally.has_mixed_connections() {
        return "Connections were reused, and an L4 load balancer chooses a backend once per \
                connection. Run prober again with --reuse never"
            .to_owned();
    }
    "Each cluster gets a share by its endpoints, unless route weights or localityLbSetting change \
     that. Compare the replicas of the clusters: run prober again with --expect 'balanced by pod ± \
     5%'"
    .to_owned()
}

/// One failure in so many requests is too rare to change a share.
const FEW_FAILURES: u64 = 100;

/// Advice if requests failed: a share is one of the answers, so that failures change it.
fn blurred(tally: &Tally) -> String {
    let mut failing: Vec<_> = tally.failures_by(Label::Cluster).into_iter().collect();
    failing.sort_by_key(|(_, failed)| std::cmp::Reverse(*failed));
    let by = match failing.first() {
        Some((cluster, failed)) => format!(", {failed} of them in {cluster}"),
        None => String::new(),
    };
    format!(
        "Shares are those of answers, and {} failed{by}: a backend that fails seems to have a smaller \
         share. Fix the failures first, then run prober again",
        count(tally.failed_requests(), "request"),
    )
}

/// The backends that are slower than allowed, if not all are.
fn slow(tally: &Tally, below: std::time::Duration) -> Option<String> {
    let p99 = |backend: &crate::tally::BackendTally| backend.latency().quantile(0.99);
    let slow: Vec<_> = tally.backends.iter().filter(|(_, b)| p99(b) >= Some(below)).collect();
    if slow.is_empty() || slow.len() == tally.backends.len() {
        return Some(
            "All backends are slow, so the path to them may be. Look at the phases of the requests: \
             run prober again with --report run.html"
                .to_owned(),
        );
    }
    let names: Vec<_> =
        slow.iter().map(|(who, _)| format!("{} in {}", who.pod, who.cluster)).collect();
    let names = names.join(", ");
    Some(format!("The slow answers come from {names}. Check these pods: run 'kubectl top pods'"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expectation;
    use crate::report::{RowResult, samples};
    use crate::verdict::{Rules, judge};

    /// The advice on an expectation, for a changed sample run.
    fn advice(text: &str, change: impl FnOnce(&mut Tally)) -> Option<String> {
        let mut row = samples::plain().rows.remove(0);
        let RowResult::Probed { tally, .. } = &mut row.result else { panic!("it is probed") };
        change(tally);
        let tally = tally.clone();
        let expectation = expectation::parse(text).unwrap();
        of(&judge(&tally, &expectation, &Rules::default()), &row, &tally)
    }

    fn times(tally: &mut Tally, cluster: &str, factor: u64) {
        let all = tally.backends.iter_mut().filter(|(who, _)| who.cluster == cluster);
        all.for_each(|(_, backend)| {
            backend.answers *= factor;
            backend.connections *= factor;
        });
        tally.connections = tally.answers();
    }

    #[test]
    fn the_likeliest_cause_is_named_with_a_remedy() {
        let part = |text: &str, change: fn(&mut Tally), part: &str| {
            let said = advice(text, change).unwrap_or_default();
            assert!(said.contains(part), "{text}: {said}");
            assert_eq!(said.lines().count(), 1);
        };
        part("balanced ± 5%", |_| {}, "100 requests are too few to decide. Remove -n and -d");
        part(
            "balanced ± 5%",
            |tally| tally.stopped = Some(Stopped::Exhausted),
            "raise --max-requests",
        );
        part(
            "balanced ± 5%",
            |tally| {
                tally.connections = 10;
                tally.backends.values_mut().for_each(|b| b.connections = 5);
            },
            "100 answers came over 10 connections",
        );
        part("only kops", |_| {}, "Check where it has pods");
        part("balanced ± 5%", |tally| times(tally, "kops", 30), "The mesh retried 2 answers");
        part(
            "balanced ± 5%",
            |tally| {
                times(tally, "kops", 30);
                tally.backends.values_mut().for_each(|b| b.retried = 0);
            },
            "Compare the replicas",
        );
        part(
            "exactly kops,mars",
            |tally| times(tally, "kops", 30),
            "mars never answered; the mesh retried 2 of",
        );
        part("p50 < 1us", |_| {}, "All backends are slow");
        part("retried = 0", |_| {}, "retries of the mesh hide it");
        assert_eq!(advice("reaches kops", |_| {}), None, "it passes");
    }
}
