//! Overview of several rows: a heat map of source, target and cluster, and a table of contents.

use maud::{Markup, html};

use super::words::{badge, class, count, name, sign};
use crate::report::groups::Clusters;
use crate::report::{Report, Row};
use crate::tally::Label;
use crate::units::rounded_percent;

/// The HTML id of the section of the row at a place.
pub(super) fn id(place: usize) -> String {
    format!("row-{}", place + 1)
}

pub(super) fn contents(report: &Report) -> Markup {
    html! {
        nav.contents aria-label="Contents" {
            details open {
                summary { "Contents" }
                ol {
                    @for (place, row) in report.rows.iter().enumerate() {
                        li { a href={ "#" (id(place)) } { (sign_of(row)) (route(row)) } }
                    }
                }
            }
        }
    }
}

fn sign_of(row: &Row) -> Markup {
    let verdict = row.verdict();
    html! {
        span.{ "sign " (class(verdict)) } role="img" aria-label=(verdict.word()) { (sign(verdict)) }
    }
}

fn route(row: &Row) -> Markup {
    html! {
        span.route {
            span.from { (name(row.source.as_deref().unwrap_or("here"))) }
            span.arrow aria-hidden="true" { " → " }
            span.target { (name(&row.target_shown())) }
        }
    }
}

/// One line per row: verdict, share of each cluster, failures, retries.
pub(super) fn render(report: &Report, clusters: &Clusters<'_>) -> Markup {
    html! {
        section.matrix aria-labelledby="matrix-heading" {
            h2 id="matrix-heading" { "Answers by source and target" }
            div.scroll role="region" aria-labelledby="matrix-heading" tabindex="0" {
                table.heat {
                    caption { "Share of answers per cluster. A stronger colour means a larger share." }
                    thead {
                        tr {
                            th scope="col" { "From → to" }
                            th scope="col" { "Verdict" }
                            @for cluster in clusters.names() {
                                th.number scope="col" {
                                    span.{ "key " (clusters.class(cluster)) } aria-hidden="true" {}
                                    (name(cluster))
                                }
                            }
                            @if clusters.others > 0 { th.number scope="col" { "others" } }
                            th.number scope="col" { "Failed" }
                            th.number scope="col" { "Retried" }
                        }
                    }
                    tbody {
                        @for (place, row) in report.rows.iter().enumerate() { (line(place, row, clusters)) }
                    }
                }
            }
        }
    }
}

fn line(place: usize, row: &Row, clusters: &Clusters<'_>) -> Markup {
    let columns = clusters.names().len() + usize::from(clusters.others > 0);
    html! {
        tr {
            th scope="row" { a href={ "#" (id(place)) } { (route(row)) } }
            td { (badge(row.verdict())) }
            @match row.tally() {
                None => { td.none colspan=(columns + 2) { "not probed" } }
                Some(tally) => {
                    @let total = tally.answers();
                    @let answers = tally.answers_by(Label::Cluster);
                    @for cluster in clusters.names() {
                        (cell(answers.get(*cluster).copied().unwrap_or(0), total, &clusters.class(cluster)))
                    }
                    @if clusters.others > 0 {
                        @let named = clusters.names().iter().filter_map(|name| answers.get(*name));
                        (cell(total - named.sum::<u64>(), total, "c0"))
                    }
                    td.number.bad[tally.failed_requests() > 0] { (count(tally.failed_requests())) }
                    td.number { (tally.known_retries().map_or_else(|| "–".to_owned(), count)) }
                }
            }
        }
    }
}

/// A share, tinted in eleven steps.
fn cell(answers: u64, total: u64, colour: &str) -> Markup {
    if answers == 0 {
        return html! { td.number.none { "–" } };
    }
    let share = answers as f64 / total as f64;
    let tint = (share * 10.0).round();
    html! { td.number.{ "tint " (colour) " t" (tint) } { (rounded_percent(share)) } }
}
