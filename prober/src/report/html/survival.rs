//! What happened during a run, and how it was survived.

use maud::{Markup, html};

use super::words::{count, micros, name};
use crate::tally::Tally;
use crate::tally::failover::Failover;
use crate::tally::{EventEnding, EventRecord};

pub(super) fn render(tally: &Tally) -> Markup {
    html! {
        @if !tally.events.is_empty() {
            h3 { "What happened" }
            ol.events {
                @for event in &tally.events { (happened(event)) }
            }
        }
        @if let Some(times) = &tally.failover { (survived(times)) }
    }
}

fn happened(event: &EventRecord) -> Markup {
    let well = matches!(event.end, EventEnding::Exit(0) | EventEnding::Marked);
    html! {
        li {
            span.at { "at " (micros(Some(event.instant_us()))) } " "
            code { (name(&event.command)) } " "
            span.ending.bad[!well] {
                (name(&event.end.words()))
                @if let Some(took) = event.took_us.filter(|_| event.end != EventEnding::NotReached) {
                    " in " (micros(Some(took)))
                }
            }
            @if !well && !event.output.is_empty() {
                pre tabindex="0" { @for line in event.output.lines() { (name(line)) "\n" } }
            }
        }
    }
}

fn survived(times: &Failover) -> Markup {
    // Right away is no matter of µs.
    let took = |us: u64| if us == 0 { "0 s".to_owned() } else { micros(Some(us)) };
    let never = |time: Option<u64>| time.map_or_else(|| "never".to_owned(), took);
    let recovered = times.recovery_us.is_some();
    let all = [
        Some(("First sign", times.detect_us.map_or("none".to_owned(), |us| micros(Some(us))))),
        Some(("Lost", count(times.lost))),
        Some(("Slow answers", count(times.slow))),
        Some(("Failover", never(times.failover_us))),
        recovered.then(|| ("Failback", never(times.failback_us))),
        times.overshoot.map(|points| ("Overshoot", format!("{points:.0} points"))),
        Some(("Known to", format!("± {}", micros(Some(times.resolution_us))))),
    ];
    html! {
        h4 { "How it was survived" }
        dl.facts.survived {
            @for (term, value) in all.into_iter().flatten() { div { dt { (term) } dd { (value) } } }
        }
        p.note {
            "The fault came at " (micros(Some(times.fault_us)))
            @if let Some(recovery) = times.recovery_us { ", the recovery at " (micros(Some(recovery))) }
            ". Failover is the time from the fault, failback that from the recovery, to the first calm of "
            (micros(Some(times.hold_us))) "."
            @if let Some(from) = times.slow_from_us {
                " Slow is what took longer than " (micros(Some(from)))
                ", twice the slowest answer before the fault."
            }
        }
    }
}
