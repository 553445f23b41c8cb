//! From readings and a tally to findings. Each rule looks for one cause in the numbers. Nothing is
//! guessed: what was not read is reported as unknown. Pure.

mod balance;
mod case;
mod connections;
mod erring;
mod refusals;
mod said;
mod servers;
mod shares;

use std::cmp::Reverse;

use super::evidence::{Reading, Readings};
use super::finding::{Effect, Explanation, Finding, Layer};
use crate::expectation::Expectation;
use crate::tally::Tally;
use crate::verdict::{Judged, Verdict};
use case::Case;

/// Why the answers of a row are distributed as they are; `tally` is `None` if its source could not
/// probe.
#[must_use]
pub(crate) fn explain(
    readings: &Readings,
    tally: Option<&Tally>,
    verdicts: &[Judged],
) -> Explanation {
    let mut found = Explanation { unknown: unread(readings), ..Explanation::default() };
    let Some(tally) = tally else {
        found.unknown.push("no requests were sent, so there is nothing to explain".to_owned());
        return found;
    };
    let case = Case::new(readings, tally, meets_its_shares(verdicts));
    servers::plaintext(&case, &mut found);
    servers::unknown_server_names(&case, &mut found);
    let rest = refusals::refused(&case, &mut found);
    match case.client {
        None => {
            let what = "the client's Envoy was not read; if the client has one, name its admin interface \
                        with --envoy-admin URL, or 'envoy-admin' in a matrix file";
            found.unknown.push(what.to_owned());
        }
        Some(client) if client.unread.is_some() => {}
        Some(client) if client.upstreams.is_empty() => {
            found.unknown.extend(bypassed(client, &found))
        }
        Some(_) => {
            balance::ejection_capped(&case, &mut found);
            servers::error_answers(&case, rest.of_applications, &mut found);
            servers::no_answer(&case, &mut found);
            balance::retries_capped(&case, &mut found);
            connections::failed(&case, &mut found);
            connections::broken(&case, &mut found);
            balance::no_healthy_endpoint(&case, &mut found);
            balance::ejected(&case, &mut found);
            servers::slow(&case, &mut found);
            balance::chosen(&case, &mut found);
            servers::pinned(&case, &mut found);
            missing_counters(&case, &mut found);
        }
    }
    conclude(&case, rest.placeless, &mut found);
    found.findings.sort_by_key(|finding| Reverse(weight(finding)));
    found
}

/// Ranks a finding by the requests that it accounts for. A failed request counts as ten that another
/// backend got; one that only stayed with a pod or took longer counts half of one that moved.
fn weight(finding: &Finding) -> u64 {
    let factor = match finding.effect {
        Effect::Failed => 20,
        Effect::Moved => 2,
        Effect::Concentrated | Effect::Delayed => 1,
    };
    finding.requests.saturating_mul(factor)
}

/// Whether every verdict passes, and one of them is about who answers.
fn meets_its_shares(verdicts: &[Judged]) -> bool {
    let about_who = |expectation: &Expectation| {
        expectation.is_about_all_clusters() || !expectation.clusters().is_empty()
    };
    verdicts.iter().all(|judged| judged.verdict == Verdict::Pass)
        && verdicts.iter().any(|judged| about_who(&judged.expectation))
}

/// The Envoys that could not be read.
fn unread(readings: &Readings) -> Vec<String> {
    let line = |reading: &Reading| {
        Some(format!("{} was not read: {}", reading.name, reading.unread.as_ref()?))
    };
    readings.envoys.iter().filter_map(line).collect()
}

/// How to make a sidecar keep what tells causes apart.
const KEEP_COUNTERS: &str = "annotate its pod with proxy.istio.io/config: '{proxyStatsMatcher: \
                             {inclusionRegexps: [\".*\"]}}'";

/// That no cluster of the client's Envoy received a request; `None` if that is explained.
fn bypassed(client: &Reading, found: &Explanation) -> Option<String> {
    if found.findings.iter().any(|finding| finding.layer == Layer::ClientBalancer) {
        return None;
    }
    let from = &client.from;
    let none = format!("no cluster of the client's Envoy ({from}) received any of these requests");
    Some(match client.keeps_filters() {
        true => format!("{none}, although it accepted requests: it may have answered them itself"),
        false => {
            format!("{none}: they bypassed it, or it answered them itself, which it does not count")
        }
    })
}

/// By default Istio drops most counters; without them some causes cannot be told apart.
fn missing_counters(case: &Case<'_>, found: &mut Explanation) {
    let troubled = case.failed() > 0 || case.tally.retried() > 0;
    if troubled && !case.has_counters() {
        found.unknown.push(format!(
            "why connections or requests failed: this Envoy keeps no counters for its clusters \
             (Istio's default); {KEEP_COUNTERS}"
        ));
    }
}

/// If there is no finding: says that nothing is skewed, or that the failures match no known cause.
/// Of `placeless` failures the cause is known.
fn conclude(case: &Case<'_>, placeless: u64, found: &mut Explanation) {
    if !found.findings.is_empty() {
        return;
    }
    let failed = case.failed().saturating_sub(placeless);
    if failed > 0 {
        let example = case.tally.failures.iter().max_by_key(|group| group.count);
        let example = example.map(|group| format!(", such as {}: {}", group.kind, group.what));
        found.unknown.push(format!(
            "{failed} of {} requests failed{}; no known cause matches what was read",
            case.tally.requests(),
            example.unwrap_or_default()
        ));
    } else if found.unknown.is_empty() {
        shares::conclude(case, found);
    }
}

#[cfg(test)]
mod tests;
