//! What is seldom looked at, folded: the parts of requests' time, addresses, first answers.

use maud::{Markup, html};

use super::words::{count, counted, micros, name};
use crate::tally::Tally;
use crate::tally::latency::Latency;

/// So many addresses are shown, and as many that were passed over.
const MOST_ADDRESSES: usize = 50;

pub(super) fn render(tally: &Tally) -> Markup {
    html! {
        (phases(tally))
        (addresses(tally))
        (passed_over(tally))
        @if !tally.shown.is_empty() {
            details {
                summary { "The first outcomes, verbatim" }
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
                summary { "Where the time went" }
                div.scroll role="region" aria-label="Parts of the requests' time" tabindex="0" {
                    table.phases {
                        caption { "Parts of the answered requests' time, all backends together" }
                        thead {
                            tr {
                                th scope="col" { "Part" }
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
        "upstream" => "upstream, as Envoy says (whole ms)",
        "service" => "started → answered",
        other => other,
    };
    let us = |q: f64| latency.quantile(q).map(|time| time.as_micros() as u64);
    html! {
        tr {
            th scope="row" { (words) }
            td.number { (count(latency.count())) }
            @for q in [0.5, 0.9, 0.99, 1.0] { td.number { (micros(us(q))) } }
        }
    }
}

fn addresses(tally: &Tally) -> Markup {
    let mut all: Vec<_> = tally.addresses.iter().collect();
    all.sort_by_key(|(_, counted)| std::cmp::Reverse(counted.answers));
    let more = all.len().saturating_sub(MOST_ADDRESSES);
    html! {
        @if !all.is_empty() {
            details {
                summary { "Addresses (" (count(all.len() as u64)) ")" }
                div.scroll role="region" aria-label="Addresses" tabindex="0" {
                    table.addresses {
                        caption { "Where the connections led" }
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
                    p.note { "and " (more) " more, in the JSON of this page" }
                }
            }
        }
    }
}

fn passed_over(tally: &Tally) -> Markup {
    let mut all: Vec<_> = tally.passed_over.iter().collect();
    all.sort_by_key(|(_, over)| std::cmp::Reverse(over.count));
    html! {
        @if !all.is_empty() {
            details open {
                summary { "Addresses that were passed over (" (count(all.len() as u64)) ")" }
                ul {
                    @for (address, over) in all.iter().take(MOST_ADDRESSES) {
                        li { (address) ", " (counted(over.count, "time")) ": " (name(&over.why)) }
                    }
                }
                @if tally.passed_over_further > 0 {
                    p.note { "and others " (counted(tally.passed_over_further, "time")) }
                }
            }
        }
    }
}
