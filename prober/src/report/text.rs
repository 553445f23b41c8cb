//! The report for eyes: per row the answers, who gave them, what failed and
//! the verdicts; of several rows a table at the end.

mod failover;
mod table;
mod timeline;
mod why;

use std::fmt::Write as _;
use std::time::Duration;

use super::{Report, Row, RowResult};
use crate::latency::Latency;
use crate::plan::Protocol;
use crate::tally::{Label, Phases, Stopped, Tally};
use crate::verdict::{Judged, Verdict};
use table::Table;

/// The widest share bar, in characters.
const BAR: usize = 20;

/// The most lines about addresses that answered, and about those that were passed over.
const MAX_ADDRESSES: usize = 16;
const MAX_PASSED_OVER: usize = 8;

/// How text is dressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether meaning is also carried by colour.
    pub color: bool,
    /// Whether the address is told, too, where there was only one.
    pub verbose: bool,
}

impl Style {
    /// For a file.
    pub const PLAIN: Self = Self { color: false, verbose: false };

    /// `text` in a colour, given as the number of its escape sequence.
    pub(crate) fn paint(self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn verdict(self, verdict: Verdict) -> String {
        let code = match verdict {
            Verdict::Pass => "32",
            Verdict::Fail => "31",
            Verdict::Inconclusive => "33",
        };
        self.paint(code, verdict.word())
    }
}

/// The whole report.
#[must_use]
pub fn render(report: &Report, style: Style) -> Vec<u8> {
    let mut out = String::new();
    for row in &report.rows {
        section(&mut out, row, style);
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
    out.into_bytes()
}

/// Only why the rows are as they are: `prober explain-run`.
#[must_use]
pub fn why(report: &Report, style: Style) -> Vec<u8> {
    let mut out = String::new();
    for row in report.rows.iter().filter(|row| row.evidence.is_some()) {
        let _ = writeln!(out, "{}", style.bold(&row.heading()));
        why::render(&mut out, row.explanation().as_ref(), style);
    }
    out.into_bytes()
}

/// One row of the report.
#[must_use]
pub(super) fn row(row: &Row, style: Style) -> Vec<u8> {
    let mut out = String::new();
    section(&mut out, row, style);
    out.into_bytes()
}

fn section(out: &mut String, row: &Row, style: Style) {
    let _ = writeln!(out, "{}", style.bold(&row.heading()));
    match &row.result {
        RowResult::Unreachable { reason } => {
            let fail = style.verdict(Verdict::Fail);
            let _ = writeln!(out, "\n  {fail}  the source could not probe: {reason}");
        }
        RowResult::Probed { tally, verdicts } => {
            for line in tally.shown.values() {
                let _ = writeln!(out, "{line}");
            }
            if !tally.shown.is_empty() {
                out.push('\n');
            }
            distribution(out, tally);
            addresses(out, tally, style);
            failures(out, tally);
            if let Some(timeline) = &tally.timeline {
                timeline::render(out, timeline, style);
            }
            failover::render(out, tally);
            let _ = writeln!(out, "  {}", summary(tally, row.protocol));
            if let Some(line) = upstream(&tally.phases) {
                let _ = writeln!(out, "  {line}");
            }
            if let Some(period) = tally.order.period() {
                let _ = writeln!(out, "  {}", in_turn(period));
            }
            judged(out, verdicts, style);
        }
    }
    why::render(out, row.explanation().as_ref(), style);
}

/// Who answered: a line for each backend, the one with most answers first in each cluster.
fn distribution(out: &mut String, tally: &Tally) {
    if tally.backends.is_empty() {
        return;
    }
    let total = tally.answers();
    let mut table =
        Table::new(&["CLUSTER", "POD", ">ANSWERS", ">CONNS", ">SHARE", "", ">P50", ">P99"]);
    for (cluster, _) in tally.answers_by(Label::Cluster) {
        let mut pods: Vec<_> =
            tally.backends.iter().filter(|(who, _)| who.cluster == cluster).collect();
        pods.sort_by_key(|(_, backend)| std::cmp::Reverse(backend.answers));
        for (who, backend) in pods {
            let share = backend.answers as f64 / total as f64;
            let latency = backend.latency();
            table.row(vec![
                cluster.to_string(),
                who.pod.clone(),
                backend.answers.to_string(),
                backend.connections.to_string(),
                percent(share),
                bar(share),
                shown_time(latency.quantile(0.5)),
                shown_time(latency.quantile(0.99)),
            ]);
        }
    }
    out.push_str(&table.render("  "));
}

/// Where the connections led, unless it is as plain as can be; those with most answers first.
fn addresses(out: &mut String, tally: &Tally, style: Style) {
    let least = if style.verbose { 1 } else { 2 };
    if tally.addresses.len() < least {
        return;
    }
    let mut all: Vec<_> = tally.addresses.iter().collect();
    all.sort_by_key(|(_, counted)| std::cmp::Reverse(counted.answers));
    let mut table = Table::new(&["ADDRESS", ">CONNECTIONS", ">ANSWERS"]);
    for (address, counted) in all.iter().take(MAX_ADDRESSES) {
        let (connections, answers) = (counted.connections, counted.answers);
        table.row(vec![address.to_string(), connections.to_string(), answers.to_string()]);
    }
    out.push_str(&table.render("  "));
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

fn failures(out: &mut String, tally: &Tally) {
    if tally.failures.is_empty() {
        return;
    }
    let mut groups: Vec<_> = tally.failures.iter().collect();
    groups.sort_by_key(|group| (group.kind, std::cmp::Reverse(group.count)));
    let mut table = Table::new(&["FAILURE", ">COUNT", "EXAMPLE"]);
    for group in groups {
        let (kind, count) = (group.kind.to_string(), group.count.to_string());
        table.row(vec![kind, count, group.what.clone()]);
    }
    out.push_str(&table.render("  "));
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
    let header = crate::wire::UPSTREAM;
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
    let mut heads = vec!["SOURCE".to_owned(), "TARGET".to_owned()];
    heads.extend(clusters.iter().map(|cluster| format!(">{cluster}")));
    heads.extend([">FAILED", ">RETRIED", "VERDICT"].map(str::to_owned));
    let mut table = Table::new(&heads);
    for row in &report.rows {
        let source = row.source.clone().unwrap_or_else(|| "here".to_owned());
        let mut cells = vec![source, row.target_shown()];
        match row.tally() {
            Some(tally) => {
                let answers = tally.answers_by(Label::Cluster);
                let total = tally.answers();
                cells.extend(clusters.iter().map(|cluster| match answers.get(cluster.as_str()) {
                    Some(n) => percent(*n as f64 / total as f64),
                    None => "–".to_owned(),
                }));
                cells.push(tally.failed_requests().to_string());
                cells.push(tally.retried().to_string());
                cells.push(style.verdict(row.verdict()));
            }
            None => {
                cells.extend(vec!["–".to_owned(); clusters.len() + 2]);
                cells.push(format!("{} not probed", style.verdict(Verdict::Fail)));
            }
        }
        table.row(cells);
    }
    out.push_str(&table.render(""));
    let _ = writeln!(out, "\n{}", tail(report));
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

pub(super) fn plural(n: u64, noun: &str) -> String {
    if n == 1 { noun.to_owned() } else { format!("{noun}s") }
}

/// One decimal; what is not quite all or nothing is not rounded to it.
pub(crate) fn percent(share: f64) -> String {
    match share {
        share if share > 0.0 && share < 0.0005 => "<0.1%".to_owned(),
        share if (0.9995..1.0).contains(&share) => ">99.9%".to_owned(),
        share => format!("{:.1}%", share * 100.0),
    }
}

/// A bar of eighths: `share` of [`BAR`] characters.
pub(crate) fn bar(share: f64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * (BAR * 8) as f64).round() as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// Three significant digits with a unit: `812 µs`, `1.21 ms`, `10.2 s`.
pub(crate) fn shown_time(time: Option<Duration>) -> String {
    let Some(time) = time else { return "–".to_owned() };
    let us = time.as_micros() as f64;
    let (value, unit) = match us {
        us if us < 999.5 => return format!("{us:.0} µs"),
        us if us < 999_500.0 => (us / 1e3, "ms"),
        us => (us / 1e6, "s"),
    };
    match value {
        value if value < 9.995 => format!("{value:.2} {unit}"),
        value if value < 99.95 => format!("{value:.1} {unit}"),
        value => format!("{value:.0} {unit}"),
    }
}

#[cfg(test)]
mod tests;
