//! What failed.

use std::borrow::Cow;

use textwrap::{Options, WordSplitter};
use unicode_width::UnicodeWidthStr as _;

use super::style::{RED, Style};
use super::table::{Cell, Column, Table};
use super::width;
use crate::report::groups;
use crate::tally::outcome::FailureKind;
use crate::tally::{FailureGroup, Tally};
use crate::units::count;

/// The most groups of failures that are listed.
const MAX_GROUPS: usize = 12;

/// The most lines of an example in prober's own words.
const MAX_LINES: usize = 5;
/// Narrower lines cannot be read.
const LEAST_ROOM: usize = 20;

/// An example in lines of `room` columns. Its cause and its remedy may be anywhere in it, unless it is the
/// text of the server: then it has one line, which the table shortens.
fn lines(group: &FailureGroup, room: Option<usize>, style: Style) -> Vec<String> {
    let others = if group.is_of_others() { "others, such as " } else { "" };
    let text = &format!("{others}{}", group.what);
    let servers = matches!(group.kind, FailureKind::Status | FailureKind::Unidentified);
    let Some(room) = room.filter(|_| !servers) else { return vec![text.to_owned()] };
    let whole = Options::new(room).word_splitter(WordSplitter::NoHyphenation);
    let wrapped = |text: &str| -> Vec<String> {
        textwrap::wrap(text, whole.clone()).into_iter().map(Cow::into_owned).collect()
    };
    let all = wrapped(text);
    match all.len() > MAX_LINES {
        // A line less than fits, because words end before the end of a line.
        true => wrapped(&width::shortened(text, (MAX_LINES - 1) * room, style.unicode)),
        false => all,
    }
}

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
    let listed = || groups.iter().take(MAX_GROUPS);
    let room = style.wrap.then(|| {
        let class = listed().map(|group| group.class().to_string().width()).max().unwrap_or(0);
        let count = listed().map(|group| group.count.to_string().len()).max().unwrap_or(0);
        // The indent, and two gaps between columns.
        let taken = class.max("FAILURE".len()) + count.max("COUNT".len()) + 2 + 2 * 2;
        style.width.saturating_sub(taken).max(LEAST_ROOM)
    });
    for group in listed() {
        let (class, count) = (group.class().to_string(), group.count.to_string());
        let mut example = lines(group, room, style).into_iter();
        let first = example.next().unwrap_or_default();
        table.row(vec![Cell::Painted(RED, class), count.into(), first.into()]);
        for line in example {
            table.row(vec![String::new().into(), String::new().into(), line.into()]);
        }
    }
    // Examples are verbatim; only a terminal wraps and cuts them.
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
