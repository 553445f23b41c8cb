//! Readings × tally → findings. Each rule looks for one thing in the numbers; nothing is guessed:
//! what was not read is said to be unknown. Pure.

mod balance;
mod connections;
mod servers;

use std::cmp::Reverse;

use super::evidence::{Reading, Readings, Role, Upstream};
use super::finding::{Effect, Explanation, Finding};
use crate::expectation::Expectation;
use crate::tally::Tally;
use crate::verdict::{Judged, Verdict};

/// Why the answers of a row are distributed as they are; `tally` is `None` where its source could
/// not probe.
#[must_use]
pub(crate) fn explain(
    evidence: &Readings,
    tally: Option<&Tally>,
    verdicts: &[Judged],
) -> Explanation {
    let mut found = Explanation { unknown: unread(evidence), ..Explanation::default() };
    let Some(tally) = tally else {
        found.unknown.push("nothing was asked, so that nothing can be explained".to_owned());
        return found;
    };
    let case = Case::new(evidence, tally, meets_its_shares(verdicts));
    servers::plaintext(&case, &mut found);
    servers::unknown_server_names(&case, &mut found);
    match case.client {
        None => {
            let what = "the client's Envoy was not read; if it has one, name its admin interface: \
                        --envoy-admin URL, in a matrix file 'envoy-admin'";
            found.unknown.push(what.to_owned());
        }
        Some(client) if client.unread.is_some() => {}
        Some(client) if client.upstreams.is_empty() => found.unknown.push(format!(
            "no cluster of the client's Envoy ({}) got any of these requests: they went past it",
            client.from
        )),
        Some(_) => {
            balance::ejection_capped(&case, &mut found);
            servers::errors(&case, &mut found);
            connections::failures(&case, &mut found);
            connections::broken(&case, &mut found);
            balance::nobody_left(&case, &mut found);
            balance::ejected(&case, &mut found);
            servers::slow(&case, &mut found);
            balance::chosen(&case, &mut found);
            servers::pinned(&case, &mut found);
            not_kept(&case, &mut found);
        }
    }
    conclude(&case, &mut found);
    found.findings.sort_by_key(|finding| Reverse(weight(finding)));
    found
}

/// What ranks a finding: the requests that it accounts for, a failed one as ten that another
/// backend got, and one that only stayed with a pod or took longer as half of such a one.
fn weight(finding: &Finding) -> u64 {
    let factor = match finding.effect {
        Effect::Failed => 20,
        Effect::Moved => 2,
        Effect::Concentrated | Effect::Delayed => 1,
    };
    finding.requests.saturating_mul(factor)
}

/// What the rules look at.
struct Case<'a> {
    client: Option<&'a Reading>,
    others: Vec<&'a Reading>,
    tally: &'a Tally,
    /// Whether who answers is as it is expected to be.
    expected: bool,
}

impl<'a> Case<'a> {
    fn new(evidence: &'a Readings, tally: &'a Tally, expected: bool) -> Self {
        let client = evidence.envoys.iter().find(|reading| reading.role == Role::Client);
        let others = evidence.envoys.iter().filter(|reading| reading.role != Role::Client);
        Self { client, others: others.collect(), tally, expected }
    }

    /// What the client's Envoy sends to, as far as it has to do with this run.
    fn upstreams(&self) -> &'a [Upstream] {
        self.client.map_or(&[], |client| client.upstreams.as_slice())
    }

    fn with_role(&self, role: Role) -> impl Iterator<Item = &'a Reading> {
        self.others.iter().copied().filter(move |reading| reading.role == role)
    }

    /// The sum of what came to a counter of the client's Envoy.
    fn came(&self, counter: &str) -> u64 {
        self.upstreams().iter().map(|upstream| upstream.came(counter)).sum()
    }

    /// Whether the client's Envoy keeps counters of what it sends to.
    fn counts(&self) -> bool {
        self.upstreams().iter().any(|upstream| !upstream.counters.is_empty())
    }

    /// All requests, those of the warm-up too: the Envoys counted them.
    fn requests(&self) -> u64 {
        self.tally.requests() + self.tally.warmed_up
    }

    fn failed(&self) -> u64 {
        self.tally.failed_requests()
    }

    /// Failures whose text holds one of these.
    fn said(&self, texts: &[&str]) -> u64 {
        let groups = self.tally.failures.iter();
        let holding = groups.filter(|group| texts.iter().any(|text| group.what.contains(text)));
        holding.map(|group| group.count).sum()
    }

    /// A command that shows more of a cluster of the client's Envoy.
    fn look_at(&self, kind: &str, upstream: &Upstream) -> String {
        let Some(client) = self.client else { return String::new() };
        match client.node.as_ref().and_then(|node| node.pod()) {
            Some(pod) => {
                let flag = if kind == "endpoint" { "--cluster" } else { "--fqdn" };
                let name = if kind == "endpoint" {
                    upstream.name.as_str()
                } else {
                    upstream.name.rsplit('|').next().unwrap_or_default()
                };
                format!("istioctl proxy-config {kind} {pod} {flag} '{name}'")
            }
            None => format!("curl {}/clusters", client.from),
        }
    }

    /// `istioctl proxy-config secret POD`, which shows the certificates of an Envoy.
    fn secrets(&self) -> String {
        match self.client.and_then(|client| client.node.as_ref()?.pod()) {
            Some(pod) => format!("istioctl proxy-config secret {pod}; the same of a server there"),
            None => "compare the roots of both sides".to_owned(),
        }
    }
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
fn unread(evidence: &Readings) -> Vec<String> {
    let line = |reading: &Reading| {
        Some(format!("{} was not read: {}", reading.name, reading.unread.as_ref()?))
    };
    evidence.envoys.iter().filter_map(line).collect()
}

/// Istio drops most counters by default; then some causes look the same.
fn not_kept(case: &Case<'_>, found: &mut Explanation) {
    let troubled = case.failed() > 0 || case.tally.retried() > 0;
    if troubled && !case.counts() {
        found.unknown.push(
            "why connections or requests failed: this Envoy keeps no counters of what it sends to \
             (Istio's default); annotate its pod with proxy.istio.io/config: '{proxyStatsMatcher: \
             {inclusionRegexps: [\".*\"]}}'"
                .to_owned(),
        );
    }
}

/// Says that all is well, or that what is not fits no known cause.
fn conclude(case: &Case<'_>, found: &mut Explanation) {
    if !found.findings.is_empty() {
        return;
    }
    let failed = case.failed();
    if failed > 0 {
        let example = case.tally.failures.iter().max_by_key(|group| group.count);
        let example = example.map(|group| format!(", such as {}: {}", group.kind, group.what));
        found.unknown.push(format!(
            "{failed} of {} requests failed{}; what was read shows no known cause",
            case.tally.requests(),
            example.unwrap_or_default()
        ));
    } else if found.unknown.is_empty() {
        found.well = balance::well(case);
    }
}

#[cfg(test)]
mod tests;
