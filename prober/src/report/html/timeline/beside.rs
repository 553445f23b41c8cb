//! What stands beside the picture of a timeline: its legend, what it shows in words, and its
//! numbers as a table.

use maud::{Markup, html};

use super::columns::Columns;
use super::{calms, textured};
use crate::report::groups::{Clusters, class};
use crate::report::html::who::cluster_name;
use crate::report::html::words::{count, micros, name, round, visible};
use crate::tally::Tally;

/// What the colours mean.
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
                    "event, by its number below"
                }
            }
            @if !calms(tally).is_empty() {
                li {
                    svg.sample width="14" height="14" aria-hidden="true" {
                        rect.band width="14" height="14" {}
                    }
                    "until failover, until failback"
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

/// The picture in words.
pub(super) fn described(columns: &Columns, tally: &Tally, clusters: &Clusters<'_>) -> String {
    let mut text = format!("{} from the start of the run. ", round(columns.span_us as f64));
    for (place, counts) in &columns.clusters {
        let sum: u64 = counts.iter().sum();
        let label = visible(cluster_name(*place, clusters));
        text.push_str(&format!("{label}: {} answers. ", count(sum)));
    }
    text.push_str(&format!("{} failed. ", count(columns.failed.iter().sum())));
    for event in &tally.events {
        let at = micros(Some(event.instant_us()));
        text.push_str(&format!("At {at}: {}. ", visible(&event.command)));
    }
    text.push_str("The table below has the numbers.");
    text
}

/// The same numbers, column by column.
pub(super) fn table(columns: &Columns, clusters: &Clusters<'_>) -> Markup {
    html! {
        details {
            summary { "The same as a table" }
            div.scroll role="region" aria-label="Answers, failures and p99 over time" tabindex="0" {
                table.timeline {
                    caption { "Answers, failures and p99 by when requests should have started" }
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
                                th scope="row" { (round(place as f64 * columns.width_us as f64)) }
                                @for (_, counts) in &columns.clusters {
                                    td.number { (count(counts[place])) }
                                }
                                td.number { (count(columns.failed[place])) }
                                td.number { (micros(columns.p99_us[place].map(u64::from))) }
                            }
                        }
                    }
                }
            }
        }
    }
}
