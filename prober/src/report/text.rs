//! The report for people: for each row the first answers, the backends, failures and verdicts;
//! for several rows a table at the end.

pub(crate) mod bar;
mod failover;
mod table;
mod timeline;
mod why;
mod width;

use std::fmt::Write as _;

use super::groups::{self, Clusters, Groups};
use super::{Report, Row, RowResult};
use crate::plan::Protocol;
use crate::tally::latency::Latency;
use crate::tally::{Label, Phases, Stopped, Tally};
use crate::units::{count, percent, rounded_percent, shown_time};
use crate::verdict::{self, Judged, Verdict};
use table::{Cell, Column, Table};

/// The narrowest layout, in columns.
pub(crate) const NARROWEST: usize = 60;
/// The widest layout, in columns.
pub(crate) const WIDEST: usize = 200;
/// From this width on, tables show intervals also as numbers.
const WIDE: usize = 90;
/// The most clusters of the table of all rows. No layout has room for more columns.
const MAX_CLUSTERS: usize = 100;
/// The most addresses that are listed.
const MAX_ADDRESSES: usize = 16;
/// The most addresses passed over that are listed.
const MAX_PASSED_OVER: usize = 8;

/// The style of text reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    /// Whether words also have a colour.
    pub color: bool,
    /// Whether a single address is shown, too.
    pub verbose: bool,
    /// The columns of the terminal.
    pub width: usize,
    /// Whether prose is wrapped to this width. Without a terminal it is not, so that logs stay
    /// searchable.
    pub wrap: bool,
    /// Whether Unicode is used; otherwise ASCII.
    pub unicode: bool,
}

impl Style {
    /// The style of files.
    pub(crate) const PLAIN: Self =
        Self { color: false, verbose: false, width: 100, wrap: false, unicode: true };

    /// `text` in a colour, given as the number of its escape sequence (SGR).
    pub(crate) fn paint(self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn verdict(self, verdict: Verdict) -> String {
        self.paint(code(verdict), verdict.word())
    }

    /// Converts Unicode text to ASCII if the style asks for it.
    fn finish(self, text: String) -> Vec<u8> {
        if self.unicode { text.into_bytes() } else { width::ascii(text).into_bytes() }
    }
}

/// The escape sequence (SGR) of a verdict's colour.
fn code(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "32",
        Verdict::Fail => "31",
        Verdict::Inconclusive => "33",
    }
}

#[must_use]
pub(crate) fn render(report: &Report, style: Style) -> Vec<u8> {
    let mut out = String::new();
    let clusters = Clusters::of(report);
    for row in &report.rows {
        section(&mut out, row, &clusters, style);
        out.push('\n');
    }
    if let Some(claim) = super::claim(report) {
        out.push_str(&width::wrapped(&format!("{claim}\n"), style));
        out.push('\n');
    }
    if report.rows.len() > 1 {
        matrix(&mut out, report, style);
    }
    if report.interrupted {
        let note = "INTERRUPTED: this report is partial";
        let _ = writeln!(out, "{}", style.paint("33", note));
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

/// One row of a report with these clusters.
#[must_use]
pub(super) fn row(clusters: &Clusters<'_>, row: &Row, style: Style) -> Vec<u8> {
    let mut out = String::new();
    section(&mut out, row, clusters, style);
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
            // Answers are verbatim: they are neither wrapped nor cut.
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

/// The backends with the most answers, one line each, ordered by cluster and answers.
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
        let line = format!(
            "  and {} with {} on {}\n",
            count(groups.folded as u64, "more pod"),
            count(groups.folded_answers, "answer"),
            count(groups.folded_connections, "connection"),
        );
        out.push_str(&width::wrapped(&line, style));
    }
}

/// Both bounds of an interval in whole percent, rounded outwards: `38–64%`.
fn bounds((lower, upper): (f64, f64)) -> String {
    format!("{:.0}–{:.0}%", (lower * 100.0).floor(), (upper * 100.0).ceil())
}

/// The addresses that were connected to, those with the most answers first. A single address is
/// shown only if the style is verbose.
fn addresses(out: &mut String, tally: &Tally, style: Style) {
    let least = if style.verbose { 1 } else { 2 };
    if tally.addresses.len() < least {
        return;
    }
    let all = groups::addresses(tally);
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
        let more = count(more.len() as u64, "more address");
        let _ = writeln!(out, "  and {more} with {}", count(answers, "answer"));
    }
}

fn failures(out: &mut String, tally: &Tally, style: Style) {
    if tally.failures.is_empty() {
        return;
    }
    let example = Column::new("EXAMPLE").shrinks(8);
    let mut table = Table::new(vec![Column::new("FAILURE"), Column::new("COUNT").right(), example]);
    for group in groups::failures(tally) {
        let (kind, count) = (group.kind.to_string(), group.count.to_string());
        table.row(vec![kind.into(), count.into(), group.what.as_str().into()]);
    }
    // Examples are verbatim; only a terminal cuts them.
    let width = if style.wrap { style.width } else { usize::MAX };
    out.push_str(&table.render("  ", Style { width, ..style }));
}

fn summary(tally: &Tally, protocol: Protocol) -> String {
    let over = match protocol {
        Protocol::Http1 => String::new(),
        other => format!(" over {}", other.name()),
    };
    let mut line = format!(
        "{}{over} on {}, {} failed, {}",
        count(tally.requests(), "request"),
        count(tally.connections, "connection"),
        tally.failed_requests(),
        groups::retries(tally.known_retries()),
    );
    if !tally.elapsed.is_zero() {
        let _ = write!(line, ", {}", shown_time(Some(tally.elapsed)));
    }
    if let Some(kept) = tally.punctuality {
        let _ = write!(
            line,
            "\n  {} started more than 1 ms late, at most {} late; {} never started",
            kept.late,
            shown_time(Some(kept.worst)),
            kept.dropped
        );
    }
    match tally.stopped {
        Some(Stopped::Decided) => line.push_str("; stopped when every verdict was decided"),
        Some(Stopped::Exhausted) => line.push_str("; stopped at --max-requests"),
        Some(Stopped::Ended) => line.push_str("; undecided at the end of the answers"),
        None => {}
    }
    if tally.abandoned > 0 {
        let _ = write!(line, "; {} unfinished when interrupted", tally.abandoned);
    }
    passed_over(&mut line, tally);
    line
}

/// The addresses that were passed over most often, and how many more there are.
fn passed_over(line: &mut String, tally: &Tally) {
    let all = groups::passed_over(tally);
    for (address, over) in all.iter().take(MAX_PASSED_OVER) {
        let times = count(over.count, "time");
        let _ = write!(line, "\n  passed over {address} {times}: {}", over.why);
    }
    let more = all.get(MAX_PASSED_OVER..).unwrap_or_default();
    let times = more.iter().map(|(_, over)| over.count).sum::<u64>() + tally.passed_over_further;
    if times > 0 {
        let some = if tally.passed_over_further > 0 { "at least " } else { "" };
        let others = more.len() as u64 + u64::from(tally.passed_over_further > 0);
        let (others, times) = (count(others, "more address"), count(times, "time"));
        let _ = write!(line, "\n  passed over {some}{others} {times}");
    }
}

/// The server's part of the time, if the nearest Envoy states it.
fn upstream(phases: &Phases) -> Option<String> {
    let median = |latency: &Latency| latency.quantile(0.5);
    let (whole, part) = (median(&phases.first_byte)?, median(&phases.upstream)?);
    let ms = part.as_millis();
    let part = if ms == 0 { "less than 1".to_owned() } else { ms.to_string() };
    let whole = shown_time(Some(whole));
    let header = echo_reply::headers::ENVOY_UPSTREAM_TIME;
    Some(format!("median time to first byte {whole}, of which {part} ms upstream ({header})"))
}

/// Says that backends answer in turn. Then chance plays no part, and intervals are too wide.
fn in_turn(period: usize) -> String {
    let ordinal = match period {
        2 => "second".to_owned(),
        3 => "third".to_owned(),
        n => format!("{n}th"),
    };
    format!("round robin: every {ordinal} answer came from the same pod")
}

fn judged(out: &mut String, verdicts: &[Judged], style: Style) {
    for Judged { expectation, verdict, reason } in verdicts {
        let _ = writeln!(out, "  {}  {expectation}: {reason}", style.verdict(*verdict));
    }
}

/// A table with one line per row: share of each cluster, failures, retries, verdict.
fn matrix(out: &mut String, report: &Report, style: Style) {
    let mut clusters = report.all_clusters();
    clusters.truncate(MAX_CLUSTERS);
    let mut columns = ["SOURCE", "TARGET"].map(|head| Column::new(head).shrinks(8)).to_vec();
    // Without room for all clusters, the last ones are left out first.
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
                cells.push(groups::retries_cell(tally.known_retries()).into());
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
    out.push_str(&width::wrapped(&format!("\n{}\n", report.summary()), style));
}

#[cfg(test)]
mod tests;
