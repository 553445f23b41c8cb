//! Folded details: request time by phase, addresses, first outcomes.

use maud::{Markup, html};

use super::words::{count, counted, name};
use crate::report::{groups, transport};
use crate::tally::Tally;
use crate::tally::latency::Latency;
use crate::units::shown_time;

/// The most addresses that are shown, and the most that were passed over.
const MOST_ADDRESSES: usize = 50;

pub(super) fn render(tally: &Tally) -> Markup {
    html! {
        (phases(tally))
        (addresses(tally))
        (passed_over(tally))
        (connections(tally))
        @if !tally.shown.is_empty() {
            details {
                summary { "First outcomes, verbatim" }
                pre tabindex="0" { @for line in tally.shown.values() { (name(line)) "\n" } }
            }
        }
    }
}

fn phases(tally: &Tally) -> Markup {
    let named = tally.phases.named();
    let there: Vec<_> = named.into_iter().filter(|(_, latency)| !latency.is_empty()).collect();
    html! {
        @if !there.is_empty() {
            details {
                summary { "Time by phase" }
                div.scroll role="region" aria-label="Request time by phase" tabindex="0" {
                    table.phases {
                        caption { "Answered requests by phase, all backends" }
                        thead {
                            tr {
                                th scope="col" { "Phase" }
                                th.number scope="col" { "Requests" }
                                @for head in ["p50", "p90", "p99", "max"] {
                                    th.number scope="col" { (head) }
                                }
                            }
                        }
                        tbody {
                            @for (phase, latency) in there { (phase_line(phase, latency)) }
                        }
                    }
                }
            }
        }
    }
}

fn phase_line(phase: &str, latency: &Latency) -> Markup {
    let words = match phase {
        "dns" => "name lookup",
        "connect" => "TCP connection",
        "tls" => "TLS handshake",
        "first_byte" => "sent → first byte",
        "upstream" => "upstream, reported by Envoy (whole ms)",
        "service" => "started → answered",
        other => other,
    };
    html! {
        tr {
            th scope="row" { (words) }
            td.number { (count(latency.count())) }
            @for q in [0.5, 0.9, 0.99, 1.0] { td.number { (shown_time(latency.quantile(q))) } }
        }
    }
}

fn addresses(tally: &Tally) -> Markup {
    let all = groups::addresses(tally);
    let more = all.len().saturating_sub(MOST_ADDRESSES);
    html! {
        @if !all.is_empty() {
            details {
                summary { "Addresses (" (count(all.len() as u64)) ")" }
                div.scroll role="region" aria-label="Addresses" tabindex="0" {
                    table.addresses {
                        caption { "Connections and answers per address" }
                        thead {
                            tr {
                                th scope="col" { "Address" }
                                th.number scope="col" { "Connections" }
                                th.number scope="col" { "Answers" }
                            }
                        }
                        tbody {
                            @for (address, counted) in all.iter().take(MOST_ADDRESSES) {
                                tr {
                                    th scope="row" { (address) }
                                    td.number { (count(counted.connections)) }
                                    td.number { (count(counted.answers)) }
                                }
                            }
                        }
                    }
                }
                @if more > 0 {
                    p.note { "and " (more) " more; the JSON in this page has all" }
                }
            }
        }
    }
}

fn passed_over(tally: &Tally) -> Markup {
    let all = groups::passed_over(tally);
    html! {
        @if !all.is_empty() {
            details open {
                summary { "Addresses passed over (" (count(all.len() as u64)) ")" }
                ul {
                    @for (address, over) in all.iter().take(MOST_ADDRESSES) {
                        li { (address) ", " (counted(over.count, "time")) ": " (name(&over.why)) }
                    }
                }
                @if tally.passed_over_further > 0 {
                    p.note { "and other addresses " (counted(tally.passed_over_further, "time")) }
                }
            }
        }
    }
}

fn connections(tally: &Tally) -> Markup {
    let lines = transport::lines(&tally.transport);
    html! {
        @if !lines.is_empty() {
            details {
                summary { "Connections" }
                ul { @for line in lines { li { (line) } } }
            }
        }
    }
}
