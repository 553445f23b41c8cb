//! The live page of `prober watch`: one self-contained document about the current window. Pure.

use std::time::{Duration, SystemTime};

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::state::{State, Watched};
use crate::report::RowResult;
use crate::report::groups::{self, COLOURS, Shares};
use crate::report::html::words::{badge, count, counted, instant, name};
use crate::report::html::{PALETTE, plot};
use crate::report::prometheus::counts;
use crate::tally::latency::Latency;
use crate::tally::{Label, Tally};
use crate::units::{percent, shown_time};
use crate::verdict::{Judged, Rules, Verdict};

const STYLE: &str = include_str!("page/live.css");
const SCRIPT: &str = include_str!("page/live.js");

/// The Content-Security-Policy: the page's own style and script, and requests for the page itself.
pub(crate) const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; \
    script-src 'sha256-1sMpl8yf+4Mg7yD/4g9lwX7243czYnFXP8fgCjRVSbM='; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// The page refreshes at every round, but neither more nor less often than this.
const SHORTEST_REFRESH: Duration = Duration::from_secs(1);
const LONGEST_REFRESH: Duration = Duration::from_secs(15);
/// The most pods of a target that are listed.
const MOST_PODS: usize = 12;

#[must_use]
pub(crate) fn render(state: &State, now: SystemTime) -> String {
    let refresh = state.rhythm.interval.clamp(SHORTEST_REFRESH, LONGEST_REFRESH).as_secs();
    let clusters = state.clusters();
    let worst = crate::report::worst(state.rows().iter().map(Watched::row));
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (worst.word()) " – prober watch" }
                noscript { meta http-equiv="refresh" content=(refresh); }
                style { (PreEscaped(PALETTE)) (PreEscaped(STYLE)) }
            }
            body data-refresh=(refresh) {
                main {
                    (heading(state, worst, now))
                    @for row in state.rows() { (card(row, &clusters, now)) }
                }
                p id="lost" role="status" hidden {}
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

fn heading(state: &State, worst: Verdict, now: SystemTime) -> Markup {
    let [interval, window] =
        [state.rhythm.interval, state.rhythm.window].map(usage::duration::format);
    html! {
        header {
            h1 { (badge(worst)) " prober watch" }
            p {
                (counted(state.rows().len() as u64, "target")) ", one round every " (interval)
                ", judged over the last " (window) ", since " (instant(state.started)) ". "
                span id="now" { "Updated at " (instant(now)) "." } " "
                a href="metrics" { "Metrics" }
            }
        }
    }
}

fn card(watched: &Watched, clusters: &[String], now: SystemTime) -> Markup {
    let row = watched.row();
    html! {
        section {
            h2 {
                (badge(row.verdict())) " " (name(&row.target_shown())) " "
                span.from { "from " (name(row.source.as_deref().unwrap_or("here"))) }
            }
            @if let Some(reason) = watched.unreachable() {
                p.away { "The source cannot probe: " (name(reason)) }
            }
            @if let RowResult::Probed { tally, verdicts } = &row.result {
                @if tally.answers() > 0 { (bars(tally, watched.rules(), clusters)) }
                (figures(tally, watched, now))
                (judged(verdicts))
                (failures(tally))
                (pods(tally))
            }
        }
    }
}

/// The shares as a bar, and as numbers with their intervals.
fn bars(tally: &Tally, rules: &Rules, clusters: &[String]) -> Markup {
    let shares = Shares::new(tally, rules, Label::Cluster);
    let all: Vec<_> = clusters.iter().map(|cluster| (cluster, shares.of(cluster))).collect();
    // There may be more clusters than colours.
    let colour = |place: usize| format!("c{}", place % COLOURS + 1);
    html! {
        div.bar aria-hidden="true" {
            @for (place, (_, share)) in all.iter().enumerate().filter(|(_, (_, s))| s.answers > 0) {
                i class=(colour(place)) style={ "width:" (plot::percent(share.share)) } {}
            }
        }
        ul.shares aria-label={ "Shares by cluster, with " (percent(rules.confidence)) " % intervals" } {
            @for (place, (cluster, share)) in all.iter().enumerate() {
                li {
                    i class=(colour(place)) {} b { (name(cluster)) }
                    " " (percent(share.share)) " % "
                    small { (percent(share.between.0)) " to " (percent(share.between.1)) " %" }
                }
            }
        }
    }
}

fn figures(tally: &Tally, watched: &Watched, now: SystemTime) -> Markup {
    let latency = tally.latency();
    html! {
        p.figures {
            (counted(tally.answers(), "answer")) " · " (count(tally.failed_requests())) " failed · "
            (count(tally.retried())) " retried · p50 " (quantile(&latency, 0.5))
            " · p99 " (quantile(&latency, 0.99)) " · "
            @if let Some(round) = watched.last() {
                @let age = now.duration_since(round.ended).unwrap_or_default().as_secs();
                "last round " (age) " s ago, took " (shown_time(Some(round.took)))
            } @else {
                "the first round has not ended yet"
            }
        }
    }
}

fn quantile(latency: &Latency, q: f64) -> String {
    shown_time(latency.quantile(q))
}

fn judged(verdicts: &[Judged]) -> Markup {
    html! {
        ul.verdicts {
            @for one in verdicts {
                li {
                    (badge(one.verdict)) " " b { (name(&one.expectation.to_string())) }
                    " " (name(&one.reason))
                }
            }
        }
    }
}

/// The most groups of failures of a target that are shown.
const MOST_FAILURES: usize = 12;

fn failures(tally: &Tally) -> Markup {
    html! {
        @if !tally.failures.is_empty() {
            ul.failures {
                @for group in groups::failures(tally).into_iter().take(MOST_FAILURES) {
                    li { (count(group.count)) " × " b { (group.class()) } " " (name(&group.what)) }
                }
            }
        }
    }
}

/// The pods with the most answers.
fn pods(tally: &Tally) -> Markup {
    let pods = groups::backends(tally);
    html! {
        @if !pods.is_empty() {
            details {
                summary { (counted(pods.len() as u64, "pod")) }
                div.scroll {
                    table {
                        thead {
                            tr {
                                @for head in ["Cluster", "Pod", "Answers", "p50", "p99"] {
                                    th scope="col" { (head) }
                                }
                            }
                        }
                        tbody {
                            @for (who, backend) in pods.iter().take(MOST_PODS) {
                                @let latency = backend.latency();
                                tr {
                                    td { (name(&counts::name(&who.cluster))) }
                                    td { (name(&counts::name(&who.pod))) }
                                    td { (count(backend.answers)) }
                                    @for q in [0.5, 0.99] { td { (quantile(&latency, q)) } }
                                }
                            }
                        }
                    }
                }
                @if pods.len() > MOST_PODS {
                    p { "and " (count((pods.len() - MOST_PODS) as u64)) " more" }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
