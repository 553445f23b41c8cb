//! The shares of the endpoints of one cluster. Pure.

use super::case::Case;
use super::connections::described;
use crate::diagnosis::evidence::{Endpoint, Place, Upstream};
use crate::diagnosis::finding::{Cause, Effect, Explanation, Finding, Layer};
use crate::units::count;

/// A share is skewed if it is off by more standard deviations (of a binomial) than this. Without
/// a bias the chance of that is 6e-5.
const DEVIATIONS: f64 = 4.0;

/// An endpoint may get none of the requests by chance with at most this probability before its
/// share counts as uneven.
const NONE_BY_CHANCE: f64 = 1e-4;

/// Whether `hits` of `all` differ from a share by more than chance.
pub(super) fn off(hits: u64, all: u64, share: f64) -> bool {
    let all = all as f64;
    (hits as f64 - share * all).abs() > DEVIATIONS * (all * share * (1.0 - share)).sqrt() + 1.0
}

/// The endpoints among which an Envoy chose all the time: healthy, with a weight, and of the first
/// priority that has such endpoints.
fn peers(upstream: &Upstream) -> Vec<&Endpoint> {
    let in_use = |endpoint: &&Endpoint| {
        let well = |place: &Place| place.health == "healthy" && place.weight > 0;
        endpoint.before.as_ref().is_some_and(well) && endpoint.after.as_ref().is_some_and(well)
    };
    let all: Vec<_> = upstream.endpoints.iter().filter(in_use).collect();
    let rank = |endpoint: &&Endpoint| endpoint.place().map_or(0, |place| place.priority);
    let first = all.iter().map(rank).min().unwrap_or(0);
    all.into_iter().filter(|endpoint| rank(endpoint) == first).collect()
}

/// How the requests of endpoints relate to their weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shares {
    Even,
    /// The difference is more than chance; so many requests are above the shares.
    Uneven(u64),
    /// An endpoint got none, which may be chance with so few requests.
    TooFew,
}

impl Shares {
    fn of(upstream: &Upstream) -> Self {
        let peers = peers(upstream);
        let weight = |e: &&Endpoint| e.place().map_or(0, |place| place.weight);
        let weights: u64 = peers.iter().map(weight).sum();
        let all: u64 = peers.iter().map(|e| e.requests.difference).sum();
        if peers.len() < 2 || all == 0 {
            return Self::Even;
        }
        let share = |e: &&Endpoint| weight(e) as f64 / weights.max(1) as f64;
        let none = |e: &&Endpoint| e.requests.difference == 0;
        let never = |e: &&Endpoint| none(e) && (1.0 - share(e)).powf(all as f64) < NONE_BY_CHANCE;
        if peers.iter().any(|e| off(e.requests.difference, all, share(e)) || never(e)) {
            let fair = |e: &&Endpoint| (share(e) * all as f64).ceil() as u64;
            let above = peers.iter().map(|e| e.requests.difference.saturating_sub(fair(e)));
            return Self::Uneven(above.sum());
        }
        if peers.iter().any(none) { Self::TooFew } else { Self::Even }
    }
}

/// Whether its policy chooses an endpoint by a hash.
pub(super) fn by_hash(upstream: &Upstream) -> bool {
    let settings = upstream.settings.as_ref();
    settings.is_some_and(|settings| matches!(settings.policy.as_str(), "RING_HASH" | "MAGLEV"))
}

/// A policy that keeps requests with the same hash at one endpoint.
pub(super) fn consistent_hash(case: &Case<'_>, found: &mut Explanation) {
    for upstream in case.upstreams().iter().filter(|upstream| by_hash(upstream)) {
        let Shares::Uneven(above) = Shares::of(upstream) else { continue };
        let policy = upstream.settings.as_ref().map_or("", |settings| settings.policy.as_str());
        let istio = case.client.and_then(|client| client.node.as_ref()?.pod()).is_some();
        found.findings.push(Finding {
            layer: Layer::ClientBalancer,
            cause: Cause::ConsistentHash,
            effect: Effect::Moved,
            requests: above,
            evidence: format!(
                "{} chooses the endpoint by a hash ({policy}), so that all requests with the same \
                 header, cookie, query parameter or source address go to the same endpoint: {}",
                upstream.name,
                by_endpoint([upstream])
            ),
            next: match (istio, case.client) {
                (false, Some(client)) => {
                    format!("curl -s {}/config_dump | grep -A5 hash_policy", client.from)
                }
                _ => "kubectl get destinationrule -A -o yaml | grep -A5 consistentHash".to_owned(),
            },
        });
    }
}

/// The requests of each endpoint, at most six.
fn by_endpoint<'a>(upstreams: impl IntoIterator<Item = &'a Upstream>) -> String {
    let told = |e: &Endpoint| {
        let weight = e.place().map_or(0, |place| place.weight);
        format!("{} {} (weight {weight})", described(e), e.requests.difference)
    };
    let all = upstreams.into_iter().flat_map(|upstream| &upstream.endpoints);
    all.take(6).map(told).collect::<Vec<_>>().join(", ")
}

/// If nothing else was found: that nothing is skewed, or else that no cause is known.
pub(super) fn conclude(case: &Case<'_>, found: &mut Explanation) {
    let used = |upstream: &&Upstream| upstream.requests() > 0;
    let upstreams: Vec<_> = case.upstreams().iter().filter(used).collect();
    if upstreams.is_empty() {
        return;
    }
    let shares: Vec<_> = upstreams.iter().map(|upstream| Shares::of(upstream)).collect();
    let told = by_endpoint(upstreams.iter().copied());
    let uneven = shares.iter().any(|shares| matches!(shares, Shares::Uneven(_)));
    if (uneven || shares.contains(&Shares::TooFew)) && case.expected {
        found.well = Some(format!("the shares are as expected; requests by endpoint: {told}"));
    } else if uneven {
        found.unknown.push(format!(
            "why the shares are uneven: no known cause matches; requests by endpoint: {told}"
        ));
    } else if shares.contains(&Shares::TooFew) {
        let all = upstreams.iter().map(|upstream| upstream.requests()).sum();
        found.unknown.push(format!(
            "whether the shares are uneven: an endpoint got no requests, which may be chance with \
             {}; requests by endpoint: {told}",
            count(all, "request")
        ));
    } else {
        found.well = Some(format!("nothing is skewed; requests by endpoint: {told}"));
    }
}
