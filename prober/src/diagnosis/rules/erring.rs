//! Which endpoints gave errors, and whether it can be told which error each gave. Envoy counts the
//! errors of an endpoint, but not of which kind they are. Pure.

use std::cmp::Reverse;

use super::case::Case;
use super::connections::described;
use super::said::Said;
use crate::diagnosis::evidence::{Endpoint, Upstream};
use crate::units::count;

/// The endpoints that gave errors.
pub(super) struct Erring {
    /// The errors of each, the most first, at most three.
    pub(super) endpoints: Vec<String>,
    /// Whether all of them have the same cause.
    pub(super) one_cause: bool,
}

impl Erring {
    pub(super) fn of<'a>(
        case: &Case<'_>,
        upstreams: impl IntoIterator<Item = &'a Upstream>,
    ) -> Self {
        // What a circuit breaker rejects counts as an error of the endpoint that was chosen.
        let certain = |upstream: &'a Upstream| {
            let rejected = upstream.overflows();
            let sure = move |e: &&Endpoint| errors(e) > 0 && e.errors.difference > rejected;
            upstream.endpoints.iter().filter(sure)
        };
        let mut all: Vec<_> = upstreams.into_iter().flat_map(certain).collect();
        all.sort_by_key(|endpoint| Reverse(errors(endpoint)));
        let told = |e: &&Endpoint| {
            let requests = count(e.requests.difference, "request");
            format!("{} of {requests} to {}", errors(e), described(e))
        };
        // Where a retry succeeds, nobody sees the words of the error.
        let hidden = all.iter().map(|e| errors(e)).sum::<u64>() > case.failed()
            && all.iter().any(|e| errors(e) < e.requests.difference);
        Self {
            endpoints: all.iter().take(3).map(told).collect(),
            one_cause: all.len() < 2 || (kinds(case) < 2 && !hidden),
        }
    }

    /// After the numbers of a cause: `; errors: 47 of 85 requests to 10.0.0.1:8080`.
    pub(super) fn suffix(&self) -> String {
        let ends = self.endpoints.join(", ");
        match (self.endpoints.is_empty(), self.one_cause) {
            (true, _) => String::new(),
            (false, true) => format!("; errors: {ends}"),
            (false, false) => {
                format!("; errors: {ends}; which endpoint gave which error is not known")
            }
        }
    }

    /// That so many requests were answered with an error, by this.
    pub(super) fn answered(&self, requests: u64, by: &str) -> String {
        if self.one_cause && !self.endpoints.is_empty() {
            return format!("{} were answered with an error{by}", self.endpoints.join(", "));
        }
        let were = if requests == 1 { "was" } else { "were" };
        let requests = count(requests, "request");
        format!("{requests} {were} answered with an error{by}{}", self.suffix())
    }
}

/// How many requests that reached an endpoint ended in an error. A connection that failed counts as
/// an error, too.
fn errors(endpoint: &Endpoint) -> u64 {
    let answered = endpoint.errors.difference.saturating_sub(endpoint.connect_failures.difference);
    answered.min(endpoint.requests.difference)
}

/// How many kinds of errors endpoints gave, by the words of the failures.
fn kinds(case: &Case<'_>) -> usize {
    let mut kinds = Vec::new();
    for group in &case.tally.failures {
        let kind = match Said::of(group) {
            said if said.may_be_of_application() => Said::Other(None),
            // No error of an endpoint: Envoy counts the responses with a 5xx, and resets.
            Said::Empty(_) | Said::Other(_) | Said::RateLimited | Said::Denied | Said::TooLarge => {
                continue;
            }
            Said::IdleTimeout | Said::DownstreamDuration | Said::Late | Said::Elsewhere => continue,
            said => said,
        };
        let of_endpoints =
            matches!(kind, Said::Other(_)) || case.saying(|said| said == kind) > own(case, kind);
        if of_endpoints && !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds.len()
}

/// How many failures of a kind the client's Envoy made without an answer of an endpoint.
fn own(case: &Case<'_>, kind: Said) -> u64 {
    match kind {
        Said::NobodyHealthy => case.growth("upstream_cx_none_healthy"),
        Said::Overflow => case.upstreams().iter().map(Upstream::overflows).sum(),
        Said::ConnectionFailure => case.connect_failures(),
        Said::FaultAbort => case.client.map_or(0, |own| own.filtered("fault.aborts_injected")),
        _ => 0,
    }
}

/// Divides failures among clusters that account for at most so many each; `None` if there are
/// several ways to do that.
pub(super) fn divided(failures: u64, most: &[u64]) -> Option<Vec<u64>> {
    let several = most.iter().filter(|most| **most > 0).count() > 1;
    let ambiguous = several && failures > 0 && failures < most.iter().sum();
    (!ambiguous).then(|| most.iter().map(|most| failures.min(*most)).collect())
}
