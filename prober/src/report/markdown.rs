//! The report for a pull request: GitHub Markdown with a table of all rows and a section for each,
//! missed rows first. It fits into a comment, however long the report is. Remote texts never become
//! markup, mentions or links.

use std::cmp::Reverse;
use std::fmt::Write as _;

use super::{Report, Row, RowResult, groups, transport, warnings};
use crate::tally::{Label, Tally};
use crate::units::{count, rounded_percent, shown_time};
use crate::verdict::{Judged, Verdict};

/// The limit of a GitHub comment, in characters. There are at least as many bytes.
const MOST: usize = 65_536;
/// Room for the lines that say what was left out.
const RESERVE: usize = 512;
/// The most rows and clusters of the overview.
const MAX_ROWS: usize = 100;
const MAX_CLUSTERS: usize = 12;
/// The most lines in the tables of one row.
const MAX_BACKENDS: usize = 20;
const MAX_FAILURES: usize = 10;
const MAX_VERDICTS: usize = 30;
/// The most characters of a name, and of a failure or a reason.
const MAX_NAME: usize = 80;
const MAX_TEXT: usize = 300;

#[must_use]
pub(crate) fn render(report: &Report) -> Vec<u8> {
    let mut out = head(report);
    overview(&mut out, report);
    let mut rows: Vec<&Row> = report.rows.iter().collect();
    // The sort is stable: rows with the same verdict keep their order.
    rows.sort_by_key(|row| Reverse(row.verdict()));
    for (place, row) in rows.iter().enumerate() {
        let part = section(report, row);
        if out.len() + part.len() + RESERVE > MOST {
            let left = count((rows.len() - place) as u64, "more row");
            let _ = writeln!(out, "\n{left} would not fit here; the JSON has all.");
            return out.into_bytes();
        }
        out.push_str(&part);
    }
    if let Some(claim) = super::claim(report) {
        let _ = writeln!(out, "\n{claim}");
    }
    out.into_bytes()
}

/// The verdict of the whole report.
fn head(report: &Report) -> String {
    let worst = report.verdict();
    let said = match report.rows.as_slice() {
        [row] => code(&shortened(&row.heading(), MAX_NAME)),
        _ => report.summary(),
    };
    let mut out = format!("### {}: {said}\n", mark(worst));
    if report.interrupted {
        out.push_str("\n**Interrupted: this report is partial.**\n");
    }
    out
}

fn mark(verdict: Verdict) -> String {
    let sign = match verdict {
        Verdict::Pass => "✅",
        Verdict::Inconclusive => "❔",
        Verdict::Fail => "❌",
    };
    format!("{sign} {}", verdict.word())
}

/// A table with one line per row, if there are several.
fn overview(out: &mut String, report: &Report) {
    if report.rows.len() < 2 {
        return;
    }
    let mut clusters = report.all_clusters();
    clusters.truncate(MAX_CLUSTERS);
    let mut heads = vec!["source".to_owned(), "target".to_owned()];
    heads.extend(clusters.iter().map(|name| code_cell(&shortened(name, MAX_NAME))));
    heads.extend(["failed", "retried", "verdict"].map(str::to_owned));
    let mut table = Table::new(&heads, 2..heads.len() - 1);
    for row in report.rows.iter().take(MAX_ROWS) {
        let source = row.source.as_deref().map_or_else(|| "here".to_owned(), name_cell);
        let mut cells = vec![source, name_cell(&row.target_shown())];
        let Some(tally) = row.tally() else {
            cells.extend(vec!["–".to_owned(); clusters.len() + 2]);
            cells.push(format!("{} not probed", mark(Verdict::Fail)));
            table.row(&cells);
            continue;
        };
        let answers = tally.answers_by(Label::Cluster);
        cells.extend(clusters.iter().map(|cluster| match answers.get(cluster.as_str()) {
            Some(n) => rounded_percent(*n as f64 / tally.answers() as f64),
            None => "–".to_owned(),
        }));
        cells.push(tally.failed_requests().to_string());
        cells.push(groups::retries_cell(tally.known_retries()));
        cells.push(mark(row.verdict()));
        table.row(&cells);
    }
    out.push_str(&table.0);
    if let Some(more) = report.rows.len().checked_sub(MAX_ROWS).filter(|more| *more > 0) {
        let _ = writeln!(out, "\nand {}", count(more as u64, "more row"));
    }
}

/// A section about a row, unfolded unless it passed.
fn section(report: &Report, row: &Row) -> String {
    let open = if row.verdict() == Verdict::Pass { "" } else { " open" };
    // A summary is HTML: it may have entities, but no Markdown.
    let heading = html(&shortened(&row.heading(), 2 * MAX_NAME));
    let mut out = format!(
        "\n<details{open}><summary>{}: <code>{heading}</code></summary>\n",
        mark(row.verdict())
    );
    match &row.result {
        RowResult::Unreachable { reason, .. } => {
            let reason = code(&shortened(reason, MAX_TEXT));
            let _ = writeln!(out, "\nThe source could not probe: {reason}");
        }
        RowResult::Probed { tally, verdicts } => {
            expectations(&mut out, verdicts);
            for line in warnings::of(report, row) {
                let _ = writeln!(out, "\n⚠️ {}", html(&shortened(&line, MAX_TEXT)));
            }
            backends(&mut out, tally);
            failures(&mut out, tally);
            let _ = writeln!(
                out,
                "\n{} on {}, {} failed, {}, {}",
                count(tally.requests(), "request"),
                count(tally.connections, "connection"),
                tally.failed_requests(),
                groups::retries(tally.known_retries()),
                shown_time(Some(tally.elapsed)),
            );
            for line in transport::lines(&tally.transport) {
                let _ = writeln!(out, "- {line}");
            }
        }
    }
    out.push_str("\n</details>\n");
    out
}

fn expectations(out: &mut String, verdicts: &[Judged]) {
    let mut table = Table::new(&["verdict", "expectation", "why"], 3..3);
    let mut sorted: Vec<_> = verdicts.iter().collect();
    sorted.sort_by_key(|judged| Reverse(judged.verdict));
    for judged in sorted.iter().take(MAX_VERDICTS) {
        let why = code_cell(&shortened(&judged.reason, MAX_TEXT));
        table.row(&[mark(judged.verdict), name_cell(&judged.expectation.to_string()), why]);
    }
    out.push_str(&table.0);
    and_more(out, verdicts.len(), MAX_VERDICTS, "expectation");
}

fn backends(out: &mut String, tally: &Tally) {
    if tally.backends.is_empty() && tally.failed_by.is_empty() {
        return;
    }
    let failures = !tally.failed_by.is_empty();
    let mut heads = vec!["cluster", "pod", "answers"];
    heads.extend(failures.then_some("failed"));
    heads.extend(["share", "p50", "p99"]);
    let mut table = Table::new(&heads, 2..heads.len());
    let all = groups::known_backends(tally);
    let total = tally.answers().max(1) as f64;
    for (who, backend, failed) in all.iter().take(MAX_BACKENDS) {
        let latency = backend.latency();
        let names = [name_cell(&who.cluster), name_cell(&who.pod)];
        let mut cells = [&names[..], &[backend.answers.to_string()]].concat();
        cells.extend(failures.then(|| failed.to_string()));
        cells.extend([
            rounded_percent(backend.answers as f64 / total),
            shown_time(latency.quantile(0.5)),
            shown_time(latency.quantile(0.99)),
        ]);
        table.row(&cells);
    }
    out.push_str(&table.0);
    and_more(out, all.len(), MAX_BACKENDS, "backend");
}

fn failures(out: &mut String, tally: &Tally) {
    if tally.failures.is_empty() {
        return;
    }
    let _ = writeln!(out, "\nfailed: {}", tally.failures_in_words());
    let mut table = Table::new(&["failure", "count", "example"], 1..2);
    let groups = groups::failures(tally);
    for group in groups.iter().take(MAX_FAILURES) {
        let example = code_cell(&shortened(&group.what, MAX_TEXT));
        table.row(&[group.class().to_string(), group.count.to_string(), example]);
    }
    out.push_str(&table.0);
    and_more(out, groups.len(), MAX_FAILURES, "failure group");
}

fn and_more(out: &mut String, all: usize, shown: usize, noun: &str) {
    if all > shown {
        let more = count((all - shown) as u64, &format!("more {noun}"));
        let _ = writeln!(out, "\nand {more}");
    }
}

/// A table, preceded by an empty line.
struct Table(String);

impl Table {
    /// The columns in `right` are aligned right.
    fn new<S: AsRef<str>>(heads: &[S], right: std::ops::Range<usize>) -> Self {
        let mut table = Self("\n".to_owned());
        table.row(heads);
        let rule = |place| if right.contains(&place) { "--:" } else { "---" };
        table.row(&(0..heads.len()).map(rule).collect::<Vec<_>>());
        table
    }

    /// Adds a line. The cells are Markdown.
    fn row<S: AsRef<str>>(&mut self, cells: &[S]) {
        for cell in cells {
            let _ = write!(self.0, "| {} ", cell.as_ref());
        }
        self.0.push_str("|\n");
    }
}

/// Text of at most `most` characters. Longer text gets `…` in the middle.
fn shortened(text: &str, most: usize) -> String {
    let all: Vec<char> = text.chars().collect();
    if all.len() <= most {
        return text.to_owned();
    }
    let (head, tail) = (most / 2, most - most / 2 - 1);
    all[..head].iter().chain(&['…']).chain(&all[all.len() - tail..]).collect()
}

fn name_cell(name: &str) -> String {
    code_cell(&shortened(name, MAX_NAME))
}

/// A code span, in which nothing is markup, a mention or a link. The fence is longer than any run
/// of backticks in the text (CommonMark 6.1).
fn code(text: &str) -> String {
    let text = printable::clean(text);
    if text.trim().is_empty() {
        return "–".to_owned();
    }
    let runs = text.split(|c| c != '`').map(str::len);
    let fence = "`".repeat(runs.max().unwrap_or(0) + 1);
    let pad =
        if text.contains('`') || text.starts_with(' ') || text.ends_with(' ') { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// A code span in a table. There `|` needs a backslash, also in code (GFM 4.10).
fn code_cell(text: &str) -> String {
    code(text).replace('|', "\\|")
}

/// Text in HTML that is in Markdown.
fn html(text: &str) -> String {
    let mut out = String::new();
    for c in printable::clean(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // Markdown in a line of HTML.
            '*' | '_' | '`' | '[' | ']' | '\\' | '~' | '$' | ':' | '@' | '#' | '!' | '|' | '('
            | ')' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests;
