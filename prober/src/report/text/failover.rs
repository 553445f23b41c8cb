//! The events of a run and the failover times, as lines of text.

use std::fmt::Write as _;

use crate::tally::EventEnding;
use crate::tally::Tally;
use crate::tally::failover::Failover;
use crate::units::shown_us;

/// Writes nothing if there were no events.
pub(super) fn render(out: &mut String, tally: &Tally) {
    for event in &tally.events {
        let at = event.instant_us();
        let took = event.took_us.filter(|_| event.end != EventEnding::NotReached);
        let took = took.map(|took| format!(" in {}", shown_us(took))).unwrap_or_default();
        let _ =
            writeln!(out, "  at {}  {}: {}{took}", shown_us(at), event.command, event.end.words());
        for line in event.output.lines().filter(|_| event.end != EventEnding::Exit(0)) {
            let _ = writeln!(out, "    | {line}");
        }
    }
    if let Some(times) = &tally.failover {
        failover(out, times);
    }
}

fn failover(out: &mut String, times: &Failover) {
    let Failover { lost, slow, .. } = times;
    let maybe = |time: Option<u64>| time.map_or_else(|| "never".into(), shown_us);
    let detected = times.detect_us.map_or_else(
        || "no sign of the fault".into(),
        |t| format!("first sign after {}", shown_us(t)),
    );
    let _ = writeln!(
        out,
        "  fault at {}: {detected}, {lost} lost, {slow} slow, failover {} (±{})",
        shown_us(times.fault_us),
        maybe(times.failover_us),
        shown_us(times.resolution_us),
    );
    if let Some(recovery) = times.recovery_us {
        let over = times.overshoot.map(|points| format!(", overshoot {points:.0} points"));
        let _ = writeln!(
            out,
            "  recovery at {}: failback {}{}",
            shown_us(recovery),
            maybe(times.failback_us),
            over.unwrap_or_default(),
        );
    }
}
