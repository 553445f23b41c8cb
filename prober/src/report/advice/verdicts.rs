//! What a missed or open verdict suggests: likely causes, the likeliest first, and the next
//! command. Pure.

use crate::expectation::{Expectation, Form, Group};
use crate::report::Row;
use crate::tally::{Label, Stopped, Tally};
use crate::verdict::{Judged, Verdict};

/// Advice on one verdict of a row.
pub(super) fn of(judged: &Judged, row: &Row, tally: &Tally) -> Option<String> {
    let what = match judged.verdict {
        Verdict::Pass => return None,
        // Without an answer, the failures say more than any share.
        _ if tally.answers() == 0 => return None,
        Verdict::Inconclusive => open(judged, tally),
        Verdict::Fail => missed(&judged.expectation, row, tally)?,
    };
    Some(format!("{}: '{}': {what}", row.heading(), judged.expectation))
}

fn open(judged: &Judged, tally: &Tally) -> String {
    if judged.reason.contains("kept connections may be pinned") {
        return format!(
            "{} answers came on {} connections, each of which a balancer may have pinned; run it \
             again with --reuse never, or with --reuse 10 and more connections (-c)",
            tally.answers(),
            tally.connections
        );
    }
    if judged.reason.contains("answers of a kind follow each other") {
        return "who answers changes slowly, so that many requests see one state of it; spread them \
                over more time with --rate and -d, or ask from more sources (prober matrix)"
            .to_owned();
    }
    if judged.reason.contains("look-ups chose the addresses") {
        return "without it every connection goes to the first address of a look-up's answer, so that \
                none says anything of the others; add --select random or --select round-robin"
            .to_owned();
    }
    match tally.stopped {
        Some(Stopped::Exhausted) => {
            "the truth is so near the bound that more requests are needed to tell; raise \
             --max-requests, or move the bound or widen the tolerance"
                .to_owned()
        }
        _ => format!(
            "{} requests are too few; leave -n and -d away, so that sampling goes on until it is \
             decided, or see 'prober explain'",
            tally.requests()
        ),
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
            let answers = tally.answers_by(*label);
            let silent: Vec<_> =
                names.iter().filter(|name| !answers.contains_key(name.as_str())).cloned().collect();
            if silent.is_empty() { Some(uninvited()) } else { Some(missing(&silent, row, tally)) }
        }
        Expectation::Who { form: Form::Only, .. } => Some(uninvited()),
        Expectation::Latency { of: None, below, .. } => slow(tally, *below),
        Expectation::NoRetries => Some(
            "a backend fails behind the mesh's retries; it is the one with fewer answers than its \
             share: look at its pods, then at 'istioctl proxy-config endpoint' of the source"
                .to_owned(),
        ),
        _ => None,
    }
}

fn addressed() -> String {
    "a connection that its address does not take goes to the next one of the name: look first at those \
     that were passed over, then whether the name still has all of them; '--select each' asks each \
     address by itself"
        .to_owned()
}

fn uninvited() -> String {
    "others are among the endpoints of this service; look first whether it has pods there, then at \
     the subsets of its DestinationRule, and at 'istioctl proxy-config endpoint' of the source"
        .to_owned()
}

fn missing(silent: &[String], row: &Row, tally: &Tally) -> String {
    let names = silent.join(", ");
    let dead = tally.failed_requests() + tally.retried();
    if dead > 0 {
        return format!(
            "{names} never answered, and {} requests failed, {} were retried: it is known and does \
             not work; look at its pods, at the east-west gateway, and whether both clusters trust \
             one root ('certs show')",
            tally.failed_requests(),
            tally.retried()
        );
    }
    let local = if row.source.is_some() {
        "the source has a sidecar and knows its endpoints"
    } else {
        "the gateway knows its endpoints"
    };
    format!(
        "{names} never answered, and nothing failed: its endpoints are not used; look whether {local} \
         ('istioctl proxy-config endpoint', 'istioctl remote-clusters'), then whether locality \
         load balancing keeps requests at home (localityLbSetting)"
    )
}

fn skewed(label: Label, row: &Row, tally: &Tally) -> String {
    let answers = tally.answers_by(label);
    if answers.len() == 1 {
        let names = vec![format!(
            "any {} but {}",
            label.word(),
            answers.keys().map(AsRef::as_ref).collect::<String>()
        )];
        return missing(&names, row, tally);
    }
    if tally.retried() > 0 {
        return format!(
            "{} answers were retried: a backend that fails gives its share to others; look at the \
             pods of the one with fewer answers",
            tally.retried()
        );
    }
    if tally.connections < tally.answers() {
        return "connections were kept, which pins a balancer of connections; run it again with \
                --reuse never"
            .to_owned();
    }
    "endpoints are weighted by their number in each cluster and by locality: compare the replicas of \
     the clusters, then look at the weights of the route and at localityLbSetting; 'prober --expect \
     \"balanced by pod ± 5%\"' tells whether pods are even"
        .to_owned()
}

/// The slowest backend, if one is to blame.
fn slow(tally: &Tally, below: std::time::Duration) -> Option<String> {
    let p99 = |backend: &crate::tally::BackendTally| backend.latency().quantile(0.99);
    let slow: Vec<_> = tally.backends.iter().filter(|(_, b)| p99(b) >= Some(below)).collect();
    if slow.is_empty() || slow.len() == tally.backends.len() {
        return Some(
            "all backends are slow: look at the way there first ('-o json' has the phases of a \
             request), or ask for less at once (-c)"
                .to_owned(),
        );
    }
    let names: Vec<_> =
        slow.iter().map(|(who, _)| format!("{} in {}", who.pod, who.cluster)).collect();
    Some(format!("the slow answers are those of {}; look at these", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expectation;
    use crate::report::{RowResult, samples};
    use crate::verdict::{Rules, judge};

    /// The advice on an expectation about the sample run, changed before it is judged.
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
    fn the_likeliest_cause_is_named_with_what_to_do() {
        let part = |text: &str, change: fn(&mut Tally), part: &str| {
            let said = advice(text, change).unwrap_or_default();
            assert!(said.contains(part), "{text}: {said}");
            assert_eq!(said.lines().count(), 1);
        };
        part("balanced ± 5%", |_| {}, "100 requests are too few; leave -n and -d away");
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
            "100 answers came on 10 connections",
        );
        part("only kops", |_| {}, "look first whether it has pods there");
        part("balanced ± 5%", |tally| times(tally, "kops", 30), "2 answers were retried");
        part(
            "balanced ± 5%",
            |tally| {
                times(tally, "kops", 30);
                tally.backends.values_mut().for_each(|b| b.retried = 0);
            },
            "compare the replicas",
        );
        part(
            "exactly kops,mars",
            |tally| times(tally, "kops", 30),
            "it is known and does not work",
        );
        part("p50 < 1us", |_| {}, "all backends are slow");
        part("retried = 0", |_| {}, "fails behind the mesh's retries");
        assert_eq!(advice("reaches kops", |_| {}), None, "it passes");
    }
}
