//! Whether a fault had an effect that shows: without one, no time after it means anything. Pure.

use crate::stats::two_samples::{Hits, more};
use crate::tally::failover::{Failover, SLICES, Slice};
use crate::units::count;

/// Failures, retries, slow answers and shares share the risk.
const KINDS: f64 = 4.0;

/// Whether more requests failed, were retried or were slow since the fault than before it, or a
/// cluster's share changed, and that by more than chance explains: at most `risk` over all.
/// Looks at the time right after the fault, at twice that, and so on, up to the recovery.
pub(super) fn is_visible(times: &Failover, risk: f64) -> bool {
    let (before, course) = (&times.samples.before, &times.samples.fault);
    let windows: Vec<_> = (0..=SLICES.ilog2()).map(|n| course.first(1 << n)).collect();
    let risk = risk / KINDS / windows.len() as f64;
    windows.iter().any(|since| {
        let counts: [fn(&Slice) -> u64; 3] = [|s| s.failed, |s| s.retried, |s| s.slow];
        let hits = |slice: &Slice, hits: u64| Hits { hits, trials: slice.requests };
        let new =
            |of: &fn(&Slice) -> u64| more(hits(before, of(before)), hits(since, of(since))) <= risk;
        counts.iter().any(new) || shares_changed(before, since, risk)
    })
}

fn shares_changed(before: &Slice, since: &Slice, risk: f64) -> bool {
    let clusters = super::shares::clusters([before, since]);
    let risk = risk / 2.0 / clusters.len().max(1) as f64;
    clusters.into_iter().any(|cluster| {
        let of = |slice: &Slice| super::shares::hits(slice, cluster);
        let (before, since) = (of(before), of(since));
        more(before, since) <= risk || more(before.mirrored(), since.mirrored()) <= risk
    })
}

/// What there is to say where no effect shows, with the remedy.
pub(super) fn missing(times: &Failover) -> String {
    let since = times.samples.fault.since(std::time::Duration::ZERO);
    let remedy = "check that the command does what it should";
    if times.samples.before.requests == 0 {
        return "no request was due before the fault, so that nothing shows its effect: let the \
                first --at come later"
            .to_owned();
    }
    if since.failed + since.retried + since.slow == 0 {
        return format!(
            "the fault had no visible effect: no request failed, none was retried, none was slow, \
             and the shares of the clusters did not change; {remedy}"
        );
    }
    let before = &times.samples.before;
    format!(
        "the fault had no visible effect: of {} since the fault {} failed, {} were retried and {} \
         were slow, of {} before it {} failed and {} were retried, and the shares of the clusters \
         did not change: chance explains it; {remedy}, or run longer",
        count(since.requests, "request"),
        since.failed,
        since.retried,
        since.slow,
        before.requests,
        before.failed,
        before.retried,
    )
}
