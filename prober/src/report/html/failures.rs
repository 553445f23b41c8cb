//! Failures, grouped by kind and text, with the text verbatim.

use maud::{Markup, html};

use super::words::{count, name};
use crate::report::groups;
use crate::tally::Tally;
use crate::units::rounded_percent;

pub(super) fn render(tally: &Tally) -> Markup {
    let groups = groups::failures(tally);
    let requests = tally.requests().max(1) as f64;
    html! {
        @if !groups.is_empty() {
            h3 { "What failed" }
            p { (tally.failures_in_words()) }
            div.scroll role="region" aria-label="Failures by kind" tabindex="0" {
                table.failures {
                    caption { "Failures that are the same, with the first of each" }
                    thead {
                        tr {
                            th scope="col" { "Kind" }
                            th.number scope="col" { "Count" }
                            th.number scope="col" { "Share" }
                            th.wide scope="col" { "Example" }
                        }
                    }
                    tbody {
                        @for group in groups {
                            tr {
                                th scope="row" { (group.class()) }
                                td.number { (count(group.count)) }
                                td.number { (rounded_percent(group.count as f64 / requests)) }
                                td.wide { code { (name(&group.what)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}
