//! Who answered: the share of each cluster with its interval, and a table of backends.

use maud::{Markup, html};

use super::plot;
use super::words::{count, counted, name};
use crate::report::groups::{Backend, Clusters, Groups, Share, class};
use crate::tally::Tally;
use crate::units::{decimal, rounded_percent, shown_time};

pub(super) fn render(tally: &Tally, groups: &Groups<'_>, clusters: &Clusters<'_>) -> Markup {
    html! {
        h3 { "Who answered" }
        @if tally.answers() == 0 { p { "No answers." } }
        @if !groups.backends.is_empty() {
            (by_cluster(groups, clusters))
            (by_backend(tally, groups, clusters))
        }
    }
}

/// The name of the cluster at a place.
pub(super) fn cluster_name<'a>(place: usize, clusters: &Clusters<'a>) -> &'a str {
    clusters.names().get(place).copied().unwrap_or("other clusters")
}

fn by_cluster(groups: &Groups<'_>, clusters: &Clusters<'_>) -> Markup {
    let why = groups.clusters.iter().find_map(|(_, share)| share.why);
    html! {
        div.scroll role="region" aria-label="Answers per cluster" tabindex="0" {
            table.shares {
                caption { "Answers per cluster" }
                thead {
                    tr {
                        th scope="col" { "Cluster" }
                        th.number scope="col" { "Answers" }
                        th.number scope="col" { "Share" }
                        th.wide scope="col" { "Interval" }
                    }
                }
                tbody {
                    @for (place, share) in &groups.clusters {
                        @let label = cluster_name(*place, clusters);
                        @let colour = class(*place, clusters.names().len());
                        tr {
                            th scope="row" {
                                span.{ "key " (colour) } aria-hidden="true" {} (name(label))
                            }
                            td.number { (count(share.answers)) }
                            td.number { (rounded_percent(share.share)) }
                            td.wide {
                                div.interval {
                                    (bar(label, share, &colour)) span.range { (between(share)) }
                                }
                            }
                        }
                    }
                }
            }
        }
        @if let Some(why) = why {
            p.note { "The intervals are wide because " (why) "." }
        }
    }
}

/// `36.9–63.1%`.
fn between(share: &Share) -> String {
    let (low, high) = share.between;
    format!("{}–{}%", decimal(low * 100.0, 1), decimal(high * 100.0, 1))
}

/// A share as a bar, and its interval as a whisker.
fn bar(label: &str, share: &Share, colour: &str) -> Markup {
    let (low, high) = share.between;
    let (share_shown, interval) = (rounded_percent(share.share), between(share));
    let said = format!("{}: {share_shown}, interval {interval}", printable::clean(label));
    html! {
        svg.bar role="img" height="18" width="100%" aria-label=(said) {
            title { (said) }
            rect.track x="0" y="4" width="100%" height="10" rx="2" {}
            rect.{ "fill " (colour) } x="0" y="4" width=(plot::percent(share.share)) height="10" rx="2" {}
            line.whisker x1=(plot::percent(low)) x2=(plot::percent(high)) y1="9" y2="9" {}
            @for end in [low, high] {
                line.whisker x1=(plot::percent(end)) x2=(plot::percent(end)) y1="4" y2="14" {}
            }
        }
    }
}

fn by_backend(tally: &Tally, groups: &Groups<'_>, clusters: &Clusters<'_>) -> Markup {
    let zones = groups.backends.iter().any(|backend| backend.who.zone.is_some());
    let retried = tally.retried() > 0;
    let failed = !tally.failed_by.is_empty();
    let shown = Shown { zones, retried, failed };
    html! {
        div.scroll role="region" aria-label="Answers and latency per backend" tabindex="0" {
            table.backends {
                caption { "Answers and latency per backend" }
                thead {
                    tr {
                        th scope="col" { "Pod" }
                        th scope="col" { "Cluster" }
                        @if zones { th scope="col" { "Zone" } }
                        th.number scope="col" { "Answers" }
                        @if retried { th.number scope="col" { "Retried" } }
                        th.number scope="col" { "Conns" }
                        @if failed { th.number scope="col" { "Failed" } }
                        th.number scope="col" { "Share" }
                        th.middle scope="col" { "Interval" }
                        @for head in ["p50", "p90", "p99", "max"] { th.number scope="col" { (head) } }
                    }
                }
                tbody {
                    @for backend in &groups.backends { (line(backend, shown, clusters)) }
                }
                @if groups.folded > 0 {
                    tfoot { (folded(tally, groups, shown)) }
                }
            }
        }
    }
}

/// The columns that not every table has.
#[derive(Clone, Copy)]
struct Shown {
    zones: bool,
    retried: bool,
    failed: bool,
}

fn line(backend: &Backend<'_>, shown: Shown, clusters: &Clusters<'_>) -> Markup {
    let Backend { who, counted, share, failed } = backend;
    let latency = counted.latency();
    let colour = clusters.class(&who.cluster);
    html! {
        tr {
            th.pod scope="row" { (name(&who.pod)) }
            td { span.{ "key " (colour) } aria-hidden="true" {} (name(&who.cluster)) }
            @if shown.zones { td { (name(who.zone.as_deref().unwrap_or("–"))) } }
            td.number { (count(counted.answers)) }
            @if shown.retried { td.number { (count(counted.retried)) } }
            td.number { (count(counted.connections)) }
            @if shown.failed { td.number { (count(*failed)) } }
            td.number { (rounded_percent(share.share)) }
            td.middle { (bar(&who.pod, share, &colour)) }
            @for q in [0.5, 0.9, 0.99] { td.number { (shown_time(latency.quantile(q))) } }
            td.number { (shown_time(latency.max())) }
        }
    }
}

/// The sum of the backends that are not shown.
fn folded(tally: &Tally, groups: &Groups<'_>, columns: Shown) -> Markup {
    let share = groups.folded_answers as f64 / tally.answers().max(1) as f64;
    let shown: u64 = groups.backends.iter().map(|backend| backend.counted.retried).sum();
    html! {
        tr {
            th scope="row" colspan=(2 + u8::from(columns.zones)) {
                "and " (counted(groups.folded as u64, "more pod")) "; the JSON in this page has all"
            }
            td.number { (count(groups.folded_answers)) }
            @if columns.retried { td.number { (count(tally.retried() - shown - tally.others.retried)) } }
            td.number { (count(groups.folded_connections)) }
            @if columns.failed { td.number { (count(groups.folded_failed)) } }
            td.number { (rounded_percent(share)) }
            td colspan="5" {}
        }
    }
}
