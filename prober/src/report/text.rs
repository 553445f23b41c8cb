//! The report for eyes: per row the answers, who gave them, what failed and
//! the verdicts; of several rows a table at the end.

pub(crate) mod bar;
mod failover;
mod table;
mod timeline;
mod why;
mod width;

use std::fmt::Write as _;

use super::groups::{Clusters, Groups};
use super::{Report, Row, RowResult};
use crate::plan::Protocol;
use crate::tally::latency::Latency;
use crate::tally::{Label, Phases, Stopped, Tally};
use crate::units::{percent, plural, rounded_percent, shown_time};
use crate::verdict::{self, Judged, Verdict};
use table::{Cell, Column, Table};

/// Text is laid out for a width between these.
pub(crate) const NARROWEST: usize = 60;
/// See [`NARROWEST`].
pub(crate) const WIDEST: usize = 200;
/// From this width on, intervals stand there in numbers, too.
const WIDE: usize = 90;
/// The most lines about addresses that answered, and about those that were passed over.
const MAX_ADDRESSES: usize = 16;
const MAX_PASSED_OVER: usize = 8;

/// How text is dressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    /// Whether meaning is also carried by colour.
    pub color: bool,
    /// Whether the address is told, too, where there was only one.
    pub verbose: bool,
    /// Columns of the terminal, for which tables are laid out.
    pub width: usize,
    /// Whether prose is wrapped to this width, too. A log is searched, and is not.
    pub wrap: bool,
    /// Blocks and signs of Unicode; else ASCII.
    pub unicode: bool,
}

impl Style {
    /// For a file.
    pub(crate) const PLAIN: Self =
        Self { color: false, verbose: false, width: 100, wrap: false, unicode: true };

    /// `text` in a colour, given as the number of its escape sequence.
    pub(crate) fn paint(self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn verdict(self, verdict: Verdict) -> String {
        self.paint(code(verdict), verdict.word())
    }

    /// What was written in Unicode, as the style wants it.
    fn finish(self, text: String) -> Vec<u8> {
        if self.unicode { text.into_bytes() } else { width::ascii(text).into_bytes() }
    }
}

/// The number of the escape sequence of a verdict's colour.
fn code(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "32",
        Verdict::Fail => "31",
        Verdict::Inconclusive => "33",
    }
}

/// The whole report.
#[must_use]
pub(crate) fn render(report: &Report, style: Style) -> Vec<u8> {
    let mut out = String::new();
    let clusters = Clusters::of(report);
    for row in &report.rows {
        section(&mut out, row, &clusters, style);
        out.push('\n');
    }
    if report.rows.len() > 1 {
        matrix(&mut out, report, style);
    }
    if report.interrupted {
        let note = "INTERRUPTED: this report is partial";
        let _ = writeln!(out, "{}", style.paint("33", note));
    }
    // The last line of a section is followed by a blank one only if more follows.
    if out.ends_with("\n\n") {
        out.pop();
    }
    style.finish(out)
}

/// Only why the rows are as they are: `prober explain-run`.
#[must_use]
pub(crate) fn why(report: &Report, style: Style) -> Vec<u8> {
    let mut out = String::new();
    for row in report.rows.iter().filter(|row| row.readings.is_some()) {
        let _ = writeln!(out, "{}", style.bold(&row.heading()));
        why::render(&mut out, row.explanation().as_ref(), style);
    }
    style.finish(width::wrapped(&out, style))
}

/// One row of the report.
#[must_use]
pub(super) fn row(report: &Report, row: &Row, style: Style) -> Vec<u8> {
    let mut out = String::new();
    section(&mut out, row, &Clusters::of(report), style);
    style.finish(out)
}

fn section(out: &mut String, row: &Row, clusters: &Clusters<'_>, style: Style) {
    let heading = style.bold(&row.heading());
    out.push_str(&width::wrapped(&format!("{heading}\n"), style));
    match &row.result {
        RowResult::Unreachable { reason } => {
            let fail = style.verdict(Verdict::Fail);
            let line = format!("\n  {fail}  the source could not probe: {reason}\n");
            out.push_str(&width::wrapped(&line, style));
        }
        RowResult::Probed { tally, verdicts } => {
            // Verbatim, as everything that was answered.
            for line in tally.shown.values() {
                let _ = writeln!(out, "{line}");
            }
            if !tally.shown.is_empty() {
                out.push('\n');
            }
            distribution(out, tally, clusters, style);
            addresses(out, tally, style);
            failures(out, tally, style);
            if let Some(timeline) = &tally.timeline {
                timeline::render(out, timeline, style);
            }
            let mut prose = String::new();
            failover::render(&mut prose, tally);
            let _ = writeln!(prose, "  {}", summary(tally, row.protocol));
            if let Some(line) = upstream(&tally.phases) {
                let _ = writeln!(prose, "  {line}");
            }
            if let Some(period) = tally.order.period() {
                let _ = writeln!(prose, "  {}", in_turn(period));
            }
            judged(&mut prose, verdicts, style);
            out.push_str(&width::wrapped(&prose, style));
        }
    }
    let mut reasons = String::new();
    why::render(&mut reasons, row.explanation().as_ref(), style);
    out.push_str(&width::wrapped(&reasons, style));
}

/// Who answered: a line for each of the backends with most answers, in each cluster the one with
/// most of them first.
fn distribution(out: &mut String, tally: &Tally, clusters: &Clusters<'_>, style: Style) {
    if tally.backends.is_empty() {
        return;
    }
    let groups = Groups::of(tally, clusters);
    let wide = style.width >= WIDE;
    let mut columns = vec![
        Column::new("CLUSTER").shrinks(7),
        Column::new("POD").shrinks(12),
        Column::new("ANSWERS").right(),
        Column::new("CONNS").right().rank(1),
        Column::new("SHARE").right(),
    ];
    if wide {
        let confidence = percent(verdict::CONFIDENCE);
        columns.push(Column::new(format!("{confidence}% SURE")).right().rank(2));
    }
    columns.extend([
        Column::new("").shrinks(8),
        Column::new("P50").right().rank(0),
        Column::new("P99").right(),
    ]);
    let mut table = Table::new(columns);
    for backend in &groups.backends {
        let (share, between) = (backend.share.share, backend.share.between);
        let latency = backend.counted.latency();
        let mut cells: Vec<Cell> = vec![
            backend.who.cluster.as_str().into(),
            backend.who.pod.as_str().into(),
            backend.share.answers.to_string().into(),
            backend.counted.connections.to_string().into(),
            rounded_percent(share).into(),
        ];
        if wide {
            cells.push(bounds(between).into());
        }
        cells.extend([
            Cell::Bar(bar::Share { share, between }),
            shown_time(latency.quantile(0.5)).into(),
            shown_time(latency.quantile(0.99)).into(),
        ]);
        table.row(cells);
    }
    out.push_str(&table.render("  ", style));
    if groups.folded > 0 {
        let (answers, connections) = (groups.folded_answers, groups.folded_connections);
        let line = format!(
            "  and {} more {} with {answers} {} on {connections} {}\n",
            groups.folded,
            plural(groups.folded as u64, "pod"),
            plural(answers, "answer"),
            plural(connections, "connection"),
        );
        out.push_str(&width::wrapped(&line, style));
    }
}

/// Both bounds of a share in whole percent, rounded outwards: `38–64%`.
fn bounds((lower, upper): (f64, f64)) -> String {
    format!("{:.0}–{:.0}%", (lower * 100.0).floor(), (upper * 100.0).ceil())
}

/// Where the connections led, unless it is as plain as can be; those with most answers first.
fn addresses(out: &mut String, tally: &Tally, style: Style) {
    let least = if style.verbose { 1 } else { 2 };
    if tally.addresses.len() < least {
        return;
    }
    let mut all: Vec<_> = tally.addresses.iter().collect();
    all.sort_by_key(|(_, counted)| std::cmp::Reverse(counted.answers));
    let numbers = ["CONNECTIONS", "ANSWERS"].map(|head| Column::new(head).right());
    let address = Column::new("ADDRESS").shrinks(12);
    let mut table = Table::new([address].into_iter().chain(numbers).collect());
    for (address, counted) in all.iter().take(MAX_ADDRESSES) {
        let (connections, answers) = (counted.connections, counted.answers);
        let cells = [address.to_string(), connections.to_string(), answers.to_string()];
        table.row(cells.map(Cell::from).to_vec());
    }
    out.push_str(&table.render("  ", style));
    if let Some(more) = all.get(MAX_ADDRESSES..).filter(|more| !more.is_empty()) {
        let answers: u64 = more.iter().map(|(_, counted)| counted.answers).sum();
        let _ = writeln!(
            out,
            "  and {} more {} with {answers} {}",
            more.len(),
            if more.len() == 1 { "address" } else { "addresses" },
            plural(answers, "answer")
        );
    }
}

fn failures(out: &mut String, tally: &Tally, style: Style) {
    if tally.failures.is_empty() {
        return;
    }
    let mut groups: Vec<_> = tally.failures.iter().collect();
    groups.sort_by_key(|group| (group.kind, std::cmp::Reverse(group.count)));
    let example = Column::new("EXAMPLE").shrinks(8);
    let mut table = Table::new(vec![Column::new("FAILURE"), Column::new("COUNT").right(), example]);
    for group in groups {
        let (kind, count) = (group.kind.to_string(), group.count.to_string());
        table.row(vec![kind.into(), count.into(), group.what.as_str().into()]);
    }
    // One verbatim example of each: only a terminal cuts it.
    let width = if style.wrap { style.width } else { usize::MAX };
    out.push_str(&table.render("  ", Style { width, ..style }));
}

fn summary(tally: &Tally, protocol: Protocol) -> String {
    let (requests, connections) = (tally.requests(), tally.connections);
    let over = match protocol {
        Protocol::Http1 => String::new(),
        other => format!(" over {}", other.name()),
    };
    let mut line = format!(
        "{requests} {}{over} on {connections} {}, {} failed, {} retried by the mesh, {}",
        plural(requests, "request"),
        plural(connections, "connection"),
        tally.failed_requests(),
        tally.retried(),
        shown_time(Some(tally.elapsed)),
    );
    if let Some(kept) = tally.punctuality {
        let _ = write!(
            line,
            "\n  {} started more than 1 ms late, the latest by {}; {} never started",
            kept.late,
            shown_time(Some(kept.worst)),
            kept.dropped
        );
    }
    match tally.stopped {
        Some(Stopped::Decided) => line.push_str("; ended once all was decided"),
        Some(Stopped::Exhausted) => line.push_str("; ended at --max-requests"),
        None => {}
    }
    if tally.abandoned > 0 {
        let _ = write!(line, "; {} under way when interrupted", tally.abandoned);
    }
    passed_over(&mut line, tally);
    line
}

/// The addresses that were passed over most; of the others only how many.
fn passed_over(line: &mut String, tally: &Tally) {
    let mut all: Vec<_> = tally.passed_over.iter().collect();
    all.sort_by_key(|(_, over)| std::cmp::Reverse(over.count));
    for (address, over) in all.iter().take(MAX_PASSED_OVER) {
        let _ = write!(line, "\n  passed over {address} {} times: {}", over.count, over.why);
    }
    let more = all.get(MAX_PASSED_OVER..).unwrap_or_default();
    let times = more.iter().map(|(_, over)| over.count).sum::<u64>() + tally.passed_over_further;
    if times > 0 {
        let some = if tally.passed_over_further > 0 { "at least " } else { "" };
        let others = more.len() as u64 + u64::from(tally.passed_over_further > 0);
        let noun = if others == 1 { "address" } else { "addresses" };
        let _ = write!(line, "\n  passed over {some}{others} more {noun} {times} times");
    }
}

/// How much of the time was the server's as the nearest Envoy saw it, where it says so.
fn upstream(phases: &Phases) -> Option<String> {
    let median = |latency: &Latency| latency.quantile(0.5);
    let (whole, part) = (median(&phases.first_byte)?, median(&phases.upstream)?);
    let ms = part.as_millis();
    let part = if ms == 0 { "less than 1".to_owned() } else { ms.to_string() };
    let whole = shown_time(Some(whole));
    let header = echo_reply::headers::ENVOY_UPSTREAM_TIME;
    Some(format!("medians: {whole} to the first byte, {part} ms of it upstream ({header})"))
}

/// Backends that take turns: no chance is in that, and a bound on chance is wider than it must be.
fn in_turn(period: usize) -> String {
    let ordinal = match period {
        2 => "second".to_owned(),
        3 => "third".to_owned(),
        n => format!("{n}th"),
    };
    format!("in turn: every {ordinal} answer came from the same pod")
}

fn judged(out: &mut String, verdicts: &[Judged], style: Style) {
    for Judged { expectation, verdict, reason } in verdicts {
        let _ = writeln!(out, "  {}  {expectation}: {reason}", style.verdict(*verdict));
    }
}

/// Source × target: share per cluster, failures, retried, verdict.
fn matrix(out: &mut String, report: &Report, style: Style) {
    let clusters = report.all_clusters();
    let mut columns = ["SOURCE", "TARGET"].map(|head| Column::new(head).shrinks(8)).to_vec();
    // The last clusters go first, where there are too many.
    columns.extend(clusters.iter().enumerate().map(|(place, name)| {
        Column::new(name.as_str()).right().shrinks(6).rank(1 + clusters.len() - place)
    }));
    columns.push(Column::new("FAILED").right().rank(2 + clusters.len()));
    columns.extend([Column::new("RETRIED").right().rank(0), Column::new("VERDICT")]);
    let mut table = Table::new(columns);
    for row in &report.rows {
        let source = row.source.clone().unwrap_or_else(|| "here".to_owned());
        let mut cells: Vec<Cell> = vec![source.into(), row.target_shown().into()];
        let verdict = row.verdict();
        match row.tally() {
            Some(tally) => {
                let answers = tally.answers_by(Label::Cluster);
                let total = tally.answers();
                cells.extend(clusters.iter().map(|cluster| match answers.get(cluster.as_str()) {
                    Some(n) => rounded_percent(*n as f64 / total as f64).into(),
                    None => "–".into(),
                }));
                cells.push(tally.failed_requests().to_string().into());
                cells.push(tally.retried().to_string().into());
                cells.push(Cell::Painted(code(verdict), verdict.word().to_owned()));
            }
            None => {
                cells.extend(vec!["–".into(); clusters.len() + 2]);
                let word = format!("{} not probed", verdict.word());
                cells.push(Cell::Painted(code(verdict), word));
            }
        }
        table.row(cells);
    }
    out.push_str(&table.render("", style));
    out.push_str(&width::wrapped(&format!("\n{}\n", tail(report)), style));
}

/// How many rows are met, missed and open.
pub(super) fn tail(report: &Report) -> String {
    let rows = report.rows.len();
    let with = |verdict| report.rows.iter().filter(|row| row.verdict() == verdict).count();
    match (with(Verdict::Fail), with(Verdict::Inconclusive)) {
        (0, 0) => format!("all {rows} rows meet their expectations"),
        (0, open) => format!("{open} of {rows} rows inconclusive"),
        (missed, 0) => format!("{missed} of {rows} rows miss their expectations"),
        (missed, open) => {
            format!("{missed} of {rows} rows miss their expectations, {open} inconclusive")
        }
    }
}

#[cfg(test)]
mod tests;
