//! What failed.

use super::style::{RED, Style};
use super::table::{Cell, Column, Table};
use super::width;
use crate::report::groups;
use crate::tally::Tally;
use crate::units::count;

/// The most groups of failures that are listed.
const MAX_GROUPS: usize = 12;

/// The totals unless they are `told` already, then a line for each group with its first failure.
pub(super) fn render(out: &mut String, tally: &Tally, told: bool, style: Style) {
    if tally.failures.is_empty() {
        return;
    }
    if !told {
        let (failed, requests) = (tally.failed_requests(), count(tally.requests(), "request"));
        let line = format!("{failed} of {requests} failed: {}", tally.failures_in_words());
        out.push_str(&width::wrapped(&format!("  {}\n", style.paint(RED, &line)), style));
    }
    let example = Column::new("EXAMPLE").shrinks(8);
    let mut table = Table::new(vec![Column::new("FAILURE"), Column::new("COUNT").right(), example]);
    let groups = groups::failures(tally);
    for group in groups.iter().take(MAX_GROUPS) {
        let (class, count) = (group.class().to_string(), group.count.to_string());
        let others = if group.is_of_others() { "others, such as " } else { "" };
        table.row(vec![
            Cell::Painted(RED, class),
            count.into(),
            format!("{others}{}", group.what).into(),
        ]);
    }
    // Examples are verbatim; only a terminal cuts them.
    let width = if style.wrap { style.width } else { usize::MAX };
    out.push_str(&table.render("  ", Style { width, ..style }));
    if let Some(more) = groups.get(MAX_GROUPS..).filter(|more| !more.is_empty()) {
        let failed: u64 = more.iter().map(|group| group.count).sum();
        let groups = count(more.len() as u64, "more group");
        let line =
            format!("  and {groups} with {}; --output json has all\n", count(failed, "failure"));
        out.push_str(&width::wrapped(&line, style));
    }
}
