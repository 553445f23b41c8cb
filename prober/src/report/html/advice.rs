//! The advice on a row.

use maud::{Markup, html};

use super::words::name;
use crate::report::Row;
use crate::report::advice;

pub(super) fn render(row: &Row) -> Markup {
    let lines = advice::of_row(row);
    html! {
        @if !lines.is_empty() {
            h3 { "What to do" }
            ul.advice {
                @for line in &lines {
                    li { (name(line)) }
                }
            }
        }
    }
}
