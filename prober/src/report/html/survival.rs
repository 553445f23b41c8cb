//! The events of a run, and the failover times.

use maud::{Markup, html};

use super::words::{count, name};
use crate::tally::Tally;
use crate::tally::failover::Failover;
use crate::tally::{EventEnding, EventRecord};
use crate::units::shown_us;

pub(super) fn render(tally: &Tally) -> Markup {
    html! {
        @if !tally.events.is_empty() {
            h3 { "Events" }
            ol.events {
                @for event in &tally.events { (event_line(event)) }
            }
        }
        @if let Some(times) = &tally.failover { (failover(times)) }
    }
}

fn event_line(event: &EventRecord) -> Markup {
    let well = matches!(event.end, EventEnding::Exit(0) | EventEnding::Marked);
    html! {
        li {
            span.at { "at " (shown_us(event.instant_us())) } " "
            code { (name(&event.command)) } " "
            span.ending.bad[!well] {
                (name(&event.end.words()))
                @if let Some(took) = event.took_us.filter(|_| event.end != EventEnding::NotReached) {
                    " in " (shown_us(took))
                }
            }
            @if !well && !event.output.is_empty() {
                pre tabindex="0" { @for line in event.output.lines() { (name(line)) "\n" } }
            }
        }
    }
}

fn failover(times: &Failover) -> Markup {
    // Zero is exact: it has no unit of precision.
    let took = |us: u64| if us == 0 { "0 s".to_owned() } else { shown_us(us) };
    let never = |time: Option<u64>| time.map_or_else(|| "never".to_owned(), took);
    let recovered = times.recovery_us.is_some();
    let all = [
        Some(("First sign", times.detect_us.map_or("none".to_owned(), shown_us))),
        Some(("Lost", count(times.lost))),
        Some(("Slow answers", count(times.slow))),
        Some(("Failover", never(times.failover_us))),
        recovered.then(|| ("Failback", never(times.failback_us))),
        times.overshoot.map(|points| ("Overshoot", format!("{points:.0} points"))),
        Some(("Precision", format!("± {}", shown_us(times.resolution_us)))),
    ];
    html! {
        h4 { "Failover" }
        dl.facts.survived {
            @for (term, value) in all.into_iter().flatten() { div { dt { (term) } dd { (value) } } }
        }
        p.note {
            "Fault at " (shown_us(times.fault_us))
            @if let Some(recovery) = times.recovery_us { ", recovery at " (shown_us(recovery)) }
            ". Failover is the time from the fault to the first window of " (shown_us(times.hold_us))
            " with the expected shares after which no request failed."
            @if recovered { " Failback is the same time from the recovery." }
            @if let Some(from) = times.slow_from_us {
                " Slow answers took longer than " (shown_us(from))
                ", twice the slowest answer before the fault."
            }
        }
    }
}
