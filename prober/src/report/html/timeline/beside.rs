//! The text around the plot of a timeline: legend, description and data table.

use maud::{Markup, html};

use super::columns::Columns;
use super::{recoveries, textured};
use crate::report::groups::{Clusters, class};
use crate::report::html::who::cluster_name;
use crate::report::html::words::{count, counted, name};
use crate::tally::Tally;
use crate::units::{shown_round, shown_us};

pub(super) fn legend(columns: &Columns, tally: &Tally, clusters: &Clusters<'_>) -> Markup {
    html! {
        ul.legend {
            @for (place, _) in &columns.clusters {
                @let colour = class(*place, clusters.names().len());
                li {
                    svg.sample width="14" height="14" aria-hidden="true" {
                        rect.{ "area " (colour) } width="14" height="14" {}
                        (texture_rect(*place, clusters))
                    }
                    (name(cluster_name(*place, clusters)))
                }
            }
            @if columns.failed.iter().any(|count| *count > 0) {
                li {
                    svg.sample width="14" height="14" aria-hidden="true" {
                        rect.failed x="4" width="6" height="14" {}
                    }
                    "failed"
                }
            }
            @if !tally.events.is_empty() {
                li {
                    svg.sample width="14" height="14" aria-hidden="true" {
                        circle.mark cx="7" cy="7" r="7" {}
                    }
                    "event, numbered as below"
                }
            }
            @if !recoveries(tally).is_empty() {
                li {
                    svg.sample width="14" height="14" aria-hidden="true" {
                        rect.band width="14" height="14" {}
                    }
                    "time to failover, time to failback"
                }
            }
        }
    }
}

fn texture_rect(place: usize, clusters: &Clusters<'_>) -> Markup {
    let textured = textured(place, clusters);
    html! {
        @if textured { rect width="14" height="14" fill={ "url(#texture-" (place + 1) ")" } {} }
    }
}

/// The plot in words, for screen readers.
pub(super) fn described(columns: &Columns, tally: &Tally, clusters: &Clusters<'_>) -> String {
    let mut text = format!("The first {} of the run. ", shown_round(columns.span_us as f64));
    for (place, counts) in &columns.clusters {
        let sum: u64 = counts.iter().sum();
        let label = printable::clean(cluster_name(*place, clusters));
        text.push_str(&format!("{label}: {}. ", counted(sum, "answer")));
    }
    text.push_str(&format!("{} failed. ", count(columns.failed.iter().sum())));
    for event in &tally.events {
        let at = shown_us(event.instant_us());
        text.push_str(&format!("At {at}: {}. ", printable::clean(&event.command)));
    }
    text.push_str("The table below has all numbers.");
    text
}

pub(super) fn table(columns: &Columns, clusters: &Clusters<'_>) -> Markup {
    html! {
        details {
            summary { "Data as a table" }
            div.scroll role="region" aria-label="Answers, failures and p99 over time" tabindex="0" {
                table.timeline {
                    caption { "Answers, failures and p99 by scheduled start" }
                    thead {
                        tr {
                            th scope="col" { "From" }
                            @for (place, _) in &columns.clusters {
                                th.number scope="col" { (name(cluster_name(*place, clusters))) }
                            }
                            th.number scope="col" { "Failed" }
                            th.number scope="col" { "p99" }
                        }
                    }
                    tbody {
                        @for place in 0..columns.len() {
                            tr {
                                th scope="row" { (columns.start(place)) }
                                @for (_, counts) in &columns.clusters {
                                    td.number { (count(counts[place])) }
                                }
                                td.number { (count(columns.failed[place])) }
                                td.number { (columns.p99(place)) }
                            }
                        }
                    }
                }
            }
        }
    }
}
