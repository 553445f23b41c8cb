//! The report for people. For each row: the verdict, what was not judged, failures and retries, then
//! the tables. In a matrix, a row that passes is one line below its first answers, and a table of all
//! rows ends the report.

mod backends;
mod bar;
mod failover;
mod failures;
mod matrix;
mod style;
mod summary;
mod table;
mod timeline;
mod why;
mod width;

use std::cmp::Reverse;
use std::fmt::Write as _;

use super::groups::Clusters;
use super::{Report, Row, RowResult, warnings};
use crate::expectation::Expectation;
use crate::tally::{Label, Tally};
use crate::units::{count, rounded_percent};
use crate::verdict::{Judged, THIS_RUN, Verdict};
use backends::Backends;
use style::YELLOW;
pub(crate) use style::{NARROWEST, Style, WIDEST};
pub(crate) use width::wrapped;

/// The most clusters in the line of a row that passes.
const MAX_SHARES: usize = 8;

#[must_use]
pub(crate) fn render(report: &Report, style: Style) -> Vec<u8> {
    let mut out = String::new();
    let clusters = Clusters::of(report);
    let mut tables = tables(report, &clusters, style);
    let columns: &mut Vec<_> = &mut tables.iter_mut().flatten().map(|t| &mut t.table).collect();
    table::align(columns);
    for (row, table) in report.rows.iter().zip(&tables) {
        section(&mut out, (report, row), table.as_ref(), style);
        out.push('\n');
    }
    if let Some(claim) = super::claim(report) {
        out.push_str(&width::wrapped(&format!("{claim}\n"), style));
        out.push('\n');
    }
    if report.rows.len() > 1 {
        matrix::render(&mut out, report, &clusters, style);
    }
    if report.interrupted {
        let note = "INTERRUPTED: this report is partial";
        let _ = writeln!(out, "{}", style.paint(YELLOW, note));
    }
    // A blank line separates sections; none follows the last one.
    if out.ends_with("\n\n") {
        out.pop();
    }
    style.finish(out)
}

/// Only the explanations of the rows, for `prober explain-run`.
#[must_use]
pub(crate) fn why(report: &Report, style: Style) -> Vec<u8> {
    let mut out = String::new();
    for row in report.rows.iter().filter(|row| row.readings.is_some()) {
        let _ = writeln!(out, "{}", style.bold(&row.heading()));
        why::render(&mut out, row.explanation().as_ref(), style);
    }
    style.finish(width::wrapped(&out, style))
}

/// One row of a report with these clusters, with all details.
#[must_use]
pub(super) fn row(
    (report, row): (&Report, &Row),
    clusters: &Clusters<'_>,
    style: Style,
) -> Vec<u8> {
    let mut out = String::new();
    let table = row
        .tally()
        .and_then(|tally| backends::of(tally, clusters, !tally.failed_by.is_empty(), style));
    plain(&mut out, (report, row), table.as_ref(), style);
    style.finish(out)
}

/// The tables of the rows that show theirs. All have the same columns.
fn tables(report: &Report, clusters: &Clusters<'_>, style: Style) -> Vec<Option<Backends>> {
    let shown = |row: &Row| !report.matrix || row.verdict() != Verdict::Pass;
    let tallies = || report.rows.iter().map(|row| row.tally().filter(|_| shown(row)));
    let failures = tallies().flatten().any(|tally| !tally.failed_by.is_empty());
    tallies().map(|tally| backends::of(tally?, clusters, failures, style)).collect()
}

fn section(out: &mut String, of: (&Report, &Row), table: Option<&Backends>, style: Style) {
    let (report, row) = of;
    if !report.matrix {
        plain(out, of, table, style);
        return;
    }
    let heading = style.bold(&row.heading());
    out.push_str(&width::wrapped(&format!("{heading}\n"), style));
    answers(out, row);
    out.push('\n');
    match (&row.result, row.verdict()) {
        (RowResult::Probed { tally, verdicts }, Verdict::Pass) => {
            let line =
                format!("  {}  {}\n", style.verdict(Verdict::Pass), met(report, tally, verdicts));
            out.push_str(&width::wrapped(&line, style));
            beside(out, of, style);
            if let Some(line) = summary::slow_phase(&tally.phases) {
                out.push_str(&width::wrapped(&format!("  {line}\n"), style));
            }
        }
        _ => details(out, of, table, style),
    }
}

/// A row by itself: the verdict first, verbatim answers last.
fn plain(out: &mut String, of: (&Report, &Row), table: Option<&Backends>, style: Style) {
    let (_, row) = of;
    let verdict = style.verdict(row.verdict());
    let line = format!("{verdict}  {}: {}\n", style.bold(&row.heading()), row.outcome());
    out.push_str(&width::wrapped(&line, style));
    details(out, of, table, style);
    if row.tally().is_some_and(|tally| !tally.shown.is_empty()) {
        out.push('\n');
        answers(out, row);
    }
}

/// The first answers. They are verbatim: neither wrapped nor cut.
fn answers(out: &mut String, row: &Row) {
    for line in row.tally().iter().flat_map(|tally| tally.shown.values()) {
        let _ = writeln!(out, "{line}");
    }
}

/// A row that passes, in one line: what is expected of its distribution, the shares of the clusters,
/// and its other expectations.
fn met(report: &Report, tally: &Tally, verdicts: &[Judged]) -> String {
    let (total, by_cluster) = (tally.answers(), tally.answers_by(Label::Cluster));
    // In the order of the table of all rows.
    let order = report.all_clusters();
    let share = |name: &String| {
        let answers = by_cluster.get(name.as_str())?;
        Some(format!("{name} {}", rounded_percent(*answers as f64 / total as f64)))
    };
    let mut shown: Vec<_> = order.iter().filter_map(share).take(MAX_SHARES).collect();
    if let Some(more) = by_cluster.len().checked_sub(MAX_SHARES).filter(|more| *more > 0) {
        shown.push(count(more as u64, "more cluster"));
    }
    let shown = format!("{} of {}", shown.join(", "), count(total, "answer"));
    let about_who = |one: &&Judged| one.expectation.is_about_who_answers();
    let (first, others): (Vec<_>, Vec<_>) = verdicts.iter().partition(about_who);
    let words = |judged: &Judged| judged.expectation.to_string();
    let expected: Vec<_> = first.into_iter().map(words).collect();
    let others: Vec<_> = others.into_iter().map(words).collect();
    // Only an expectation about who answers says something of the shares.
    let mut parts = match expected.is_empty() {
        true => [others, vec![shown]].concat(),
        false => [vec![format!("{}: {shown}", expected.join("; "))], others].concat(),
    };
    let limited = verdicts.iter().any(Judged::is_about_this_run_only);
    parts.extend(limited.then(|| THIS_RUN.to_owned()));
    parts.join("; ")
}

/// What stands beside the verdict: what was not judged, retries and failures, and their causes.
fn beside(out: &mut String, (report, row): (&Report, &Row), style: Style) {
    let mut prose = String::new();
    for line in warnings::of(report, row) {
        let _ = writeln!(prose, "  {}  {line}", style.paint(YELLOW, "NOTE"));
    }
    out.push_str(&width::wrapped(&prose, style));
    if let Some(tally) = row.tally() {
        let told = |judged: &Judged| judged.expectation == Expectation::NoErrors;
        failures::render(out, tally, row.verdicts().iter().any(told), style);
    }
    let mut reasons = String::new();
    why::render(&mut reasons, row.explanation().as_ref(), style);
    out.push_str(&width::wrapped(&reasons, style));
}

/// Everything about a row but its heading and its first answers.
fn details(out: &mut String, of: (&Report, &Row), table: Option<&Backends>, style: Style) {
    let (_, row) = of;
    let (tally, verdicts) = match &row.result {
        RowResult::Unreachable { reason, .. } => {
            let fail = style.verdict(Verdict::Fail);
            let line = format!("  {fail}  the source could not probe: {reason}\n");
            out.push_str(&width::wrapped(&line, style));
            return;
        }
        RowResult::Probed { tally, verdicts } => (tally, verdicts),
    };
    let mut prose = String::new();
    judged(&mut prose, verdicts, style);
    failover::render(&mut prose, tally);
    out.push_str(&width::wrapped(&prose, style));
    beside(out, of, style);
    if let Some(table) = table {
        out.push('\n');
        table.render(out, style);
    }
    backends::addresses(out, tally, style);
    if let Some(timeline) = &tally.timeline {
        timeline::render(out, timeline, style);
    }
    let mut prose = String::new();
    for line in summary::lines(tally, row.protocol, style) {
        let _ = writeln!(prose, "  {line}");
    }
    out.push_str(&width::wrapped(&prose, style));
}

/// The verdicts, the worst first.
fn judged(out: &mut String, verdicts: &[Judged], style: Style) {
    let mut sorted: Vec<_> = verdicts.iter().collect();
    sorted.sort_by_key(|judged| Reverse(judged.verdict));
    for Judged { expectation, verdict, reason } in sorted {
        let _ = writeln!(out, "  {}  {expectation}: {reason}", style.verdict(*verdict));
    }
}

#[cfg(test)]
mod tests;
