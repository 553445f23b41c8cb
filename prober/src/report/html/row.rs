//! The section of one row: counts and verdicts. Sibling modules draw the evidence.

use maud::{Markup, html};

use super::words::{badge, class, count, name};
use super::{advice, details, failures, latency, matrix, survival, timeline, who};
use crate::plan::Protocol;
use crate::report::groups::{Clusters, Groups};
use crate::report::{Report, Row, RowResult, warnings};
use crate::tally::{Stopped, Tally};
use crate::units::shown_time;
use crate::verdict::Judged;

pub(super) fn render(place: usize, report: &Report, row: &Row, clusters: &Clusters<'_>) -> Markup {
    let several = report.rows.len() > 1;
    let id = matrix::id(place);
    let heading = format!("{id}-heading");
    html! {
        section.row id=(id) aria-labelledby=(heading) {
            div.row-head {
                h2 id=(heading) {
                    @if let Some(source) = &row.source {
                        span.from { "from " (name(source)) " " }
                    }
                    span.target { (name(&row.target_shown())) }
                }
                @if several { (badge(row.verdict())) }
            }
            @match &row.result {
                RowResult::Unreachable { reason, .. } => {
                    p.notice { strong { "The source could not probe." } " " (name(reason)) }
                }
                RowResult::Probed { tally, .. } => (probed(&id, report, row, tally, clusters)),
            }
        }
    }
}

/// A probed row: verdicts first, then the evidence.
fn probed(id: &str, report: &Report, row: &Row, tally: &Tally, clusters: &Clusters<'_>) -> Markup {
    let groups = Groups::of(tally, clusters);
    html! {
        (facts(tally, row.protocol))
        (judged(row.verdicts()))
        (warned(&warnings::of(report, row)))
        (advice::render(row))
        (timeline::render(id, tally, clusters))
        (survival::render(tally))
        (who::render(tally, &groups, clusters))
        (failures::render(tally))
        (latency::render(id, tally, &groups, clusters))
        (details::render(tally))
    }
}

fn facts(tally: &Tally, protocol: Protocol) -> Markup {
    let seconds = tally.elapsed.as_secs_f64();
    let rate = if seconds > 0.0 { tally.requests() as f64 / seconds } else { 0.0 };
    let ended = tally.stopped.map(|stopped| match stopped {
        Stopped::Decided => "when every verdict was decided",
        Stopped::Exhausted => "at --max-requests",
        Stopped::Ended => "at the end of the answers",
    });
    let kept = tally.punctuality;
    let retried = tally.known_retries().map_or_else(|| "not reported".to_owned(), count);
    let all = [
        Some(("Requests", count(tally.requests()))),
        Some(("Answers", count(tally.answers()))),
        Some(("Failed", count(tally.failed_requests()))),
        Some(("Retried by the mesh", retried)),
        Some(("Connections", count(tally.connections))),
        Some(("Duration", shown_time(Some(tally.elapsed)))),
        (rate > 0.0).then(|| ("Requests per second", count(rate.round() as u64))),
        Some(("Protocol", protocol.name().to_owned())),
        kept.map(|kept| ("Started over 1 ms late", count(kept.late))),
        kept.map(|kept| ("Largest delay", shown_time(Some(kept.worst)))),
        kept.map(|kept| ("Never started", count(kept.dropped))),
        (tally.warmed_up > 0).then(|| ("Warm-up, not counted", count(tally.warmed_up))),
        (tally.abandoned > 0).then(|| ("Unfinished at the interrupt", count(tally.abandoned))),
        ended.map(|ended| ("Stopped", ended.to_owned())),
    ];
    html! {
        dl.facts {
            @for (term, value) in all.into_iter().flatten() {
                div { dt { (term) } dd { (value) } }
            }
        }
    }
}

/// What was not judged, and what looks wrong.
fn warned(warnings: &[String]) -> Markup {
    html! {
        @for line in warnings { p.notice { (name(line)) } }
    }
}

fn judged(verdicts: &[Judged]) -> Markup {
    html! {
        h3 { "Expectations" }
        @if verdicts.is_empty() { p { "No expectations." } }
        ul.verdicts {
            @for judged in verdicts {
                li.{ "verdict-" (class(judged.verdict)) } {
                    (badge(judged.verdict))
                    div {
                        code.expectation { (name(&judged.expectation.to_string())) }
                        " " span.reason { (name(&judged.reason)) }
                    }
                }
            }
        }
    }
}
