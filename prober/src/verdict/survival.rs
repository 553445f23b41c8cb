//! `failover < …`, `failback < …`, `lost <= …`: judged by what was measured of a fault. Pure.

use std::time::Duration;

use super::{Ruling, Verdict};
use crate::expectation::Expectation;
use crate::tally::Tally;

/// Judges an expectation about a fault. A time is known to within the mean time between two
/// starts: a bound that is nearer than that is inconclusive.
pub(super) fn judge(tally: &Tally, expectation: &Expectation) -> Ruling {
    let Some(times) = &tally.failover else {
        return (Verdict::Inconclusive, "no fault was measured in this run".to_owned());
    };
    let resolution = Duration::from_micros(times.resolution_us);
    match expectation {
        Expectation::Lost { most } => {
            let lost = times.lost;
            let verdict = if lost <= *most { Verdict::Pass } else { Verdict::Fail };
            (verdict, format!("{lost} lost since the fault"))
        }
        Expectation::Failover(within) => time("failover", times.failover_us, *within, resolution),
        Expectation::Failback(_) if times.recovery_us.is_none() => {
            (Verdict::Inconclusive, "nothing recovered: give a second --at".to_owned())
        }
        Expectation::Failback(within) => time("failback", times.failback_us, *within, resolution),
        _ => (Verdict::Inconclusive, "not about a fault".to_owned()),
    }
}

fn time(what: &str, took_us: Option<u64>, within: Duration, resolution: Duration) -> Ruling {
    let shown = |time: Duration| format!("{:.3} s", time.as_secs_f64());
    let Some(took) = took_us.map(Duration::from_micros) else {
        return (Verdict::Fail, format!("no {what} before the end"));
    };
    let reason = format!("{what} took {} (± {})", shown(took), shown(resolution));
    match (took, resolution) {
        (took, resolution) if took + resolution < within => (Verdict::Pass, reason),
        (took, resolution) if took >= within + resolution => (Verdict::Fail, reason),
        _ => (Verdict::Inconclusive, format!("{reason}: raise --rate to tell")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expectation::parse;
    use crate::tally::failover::Failover;

    fn ruled(text: &str, failover: Option<Failover>) -> Verdict {
        let tally = Tally { failover, ..Tally::default() };
        judge(&tally, &parse(text).unwrap()).0
    }

    #[test]
    fn times_are_judged_with_their_resolution() {
        use Verdict::{Fail, Inconclusive, Pass};
        let times = Failover {
            fault_us: 1_000_000,
            recovery_us: Some(5_000_000),
            hold_us: 1_000_000,
            resolution_us: 10_000,
            failed_before: 0,
            detect_us: Some(3_000),
            lost: 7,
            slow: 0,
            slow_from_us: None,
            failover_us: Some(500_000),
            failback_us: None,
            overshoot: None,
            before: std::collections::BTreeMap::new(),
        };
        let once = Failover { recovery_us: None, ..times.clone() };
        for (text, times, verdict) in [
            ("lost <= 7", Some(&times), Pass),
            ("lost <= 6", Some(&times), Fail),
            ("failover < 1s", Some(&times), Pass),
            ("failover < 505ms", Some(&times), Inconclusive),
            ("failover < 495ms", Some(&times), Inconclusive),
            ("failover < 400ms", Some(&times), Fail),
            ("failback < 60s", Some(&times), Fail),
            ("failback < 60s", Some(&once), Inconclusive),
            ("lost <= 7", None, Inconclusive),
        ] {
            assert_eq!(ruled(text, times.cloned()), verdict, "{text}");
        }
    }
}
