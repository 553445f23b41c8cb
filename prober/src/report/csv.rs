//! The report for spreadsheets: CSV (RFC 4180) with one line per row and backend. The columns are
//! documented in `docs/reports.md`; new columns are only added at the end.

use echo_reply::Identity;

use super::{Report, Row, RowResult, groups};
use crate::tally::{BackendTally, Tally};

/// The columns: first those of the row, then those of the backend.
const HEAD: [&str; 27] = [
    "source",
    "target",
    "url",
    "protocol",
    "address",
    "verdict",
    "unreachable",
    "requests",
    "failed",
    "cluster",
    "pod",
    "namespace",
    "node",
    "region",
    "zone",
    "network",
    "version",
    "answers",
    "share",
    "retried",
    "connections",
    "p50_us",
    "p90_us",
    "p99_us",
    "max_us",
    "failures",
    "backend_failed",
];

/// The number of columns of the row. Each line of the row repeats them.
const OF_ROW: usize = 9;
/// The number of columns of the backend, between those of the row and the last ones.
const OF_BACKEND: usize = HEAD.len() - OF_ROW - 2;

#[must_use]
pub(crate) fn render(report: &Report) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new();
    let mut writer = writer.terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let mut write = |cells: &[String]| {
        writer.write_record(cells).expect("memory takes all, and lines are equally long");
    };
    write(&HEAD.map(str::to_owned));
    for row in &report.rows {
        let of_row = of_row(row);
        let failures = row.tally().map(Tally::failures_in_words).unwrap_or_default();
        let mut backends = row.tally().map(groups::known_backends).unwrap_or_default();
        backends.sort_by_key(|(who, ..)| *who);
        if backends.is_empty() {
            // A row without backends has one line.
            let none = vec![String::new(); OF_BACKEND];
            write(&[of_row.clone(), none, vec![failures.clone(), String::new()]].concat());
        }
        let answers = row.tally().map_or(0, Tally::answers);
        // Without names: all backends together that are not told apart.
        let nobody = Identity::new("", "");
        let others = row.tally().map(|tally| &tally.others).filter(|others| others.answers > 0);
        backends.extend(others.map(|others| (&nobody, others, 0)));
        for (who, backend, failed) in backends {
            let last = vec![failures.clone(), failed.to_string()];
            write(&[of_row.clone(), of_backend(who, backend, answers), last].concat());
        }
    }
    writer.into_inner().expect("memory takes all")
}

fn of_row(row: &Row) -> Vec<String> {
    let (reason, counts) = match &row.result {
        RowResult::Probed { tally, .. } => {
            (String::new(), [tally.requests(), tally.failed_requests()].map(|n| n.to_string()))
        }
        RowResult::Unreachable { reason, .. } => (reason.clone(), [String::new(), String::new()]),
    };
    let address = row.address.map(|address| address.to_string()).unwrap_or_default();
    let source = row.source.as_deref().unwrap_or_default();
    let verdict = row.verdict().word().to_lowercase();
    let texts = [source, &row.target, &row.url, row.protocol.name(), &address, &verdict, &reason];
    texts.into_iter().map(harmless).chain(counts).collect()
}

fn of_backend(who: &Identity, backend: &BackendTally, of: u64) -> Vec<String> {
    let maybe = |text: &Option<String>| text.clone().unwrap_or_default();
    let texts = [
        who.cluster.clone(),
        who.pod.clone(),
        maybe(&who.namespace),
        maybe(&who.node),
        maybe(&who.region),
        maybe(&who.zone),
        maybe(&who.network),
        maybe(&who.version),
    ];
    let share = backend.answers as f64 / of.max(1) as f64;
    let counts = [
        backend.answers.to_string(),
        format!("{share:.6}"),
        backend.retried.to_string(),
        backend.connections.to_string(),
    ];
    let texts = texts.iter().map(|text| harmless(text));
    texts.chain(counts).chain(backend.latency().summary_us().map(|us| us.to_string())).collect()
}

/// Puts an apostrophe before a text that a spreadsheet would read as a formula (OWASP, "CSV
/// injection").
fn harmless(text: &str) -> String {
    match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠') => {
            format!("'{text}")
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    fn text(report: &Report) -> String {
        String::from_utf8(render(report)).unwrap()
    }

    #[test]
    fn a_plain_run() {
        insta::assert_snapshot!(text(&samples::plain()).replace("\r\n", "\n"));
    }

    #[test]
    fn a_matrix_with_a_row_that_nobody_answered() {
        insta::assert_snapshot!(text(&samples::matrix()).replace("\r\n", "\n"));
    }

    #[test]
    fn a_csv_reader_reads_the_counts() {
        let mut report = samples::plain();
        let row = &mut report.rows[0];
        row.source = Some("a \"quoted\", source".to_owned());
        row.target = "=HYPERLINK(\"http://x\",\"y\")".to_owned();
        let RowResult::Probed { tally, .. } = &mut row.result else { unreachable!() };
        let (_, counted) = tally.backends.pop_first().unwrap();
        let answers = counted.answers;
        tally.backends.insert(Identity::new("-5+cmd|' /C calc'!A0", "@SUM(1)"), counted);
        let bytes = render(&report);
        assert!(
            bytes.windows(2).all(|two| two[1] != b'\n' || two[0] == b'\r'),
            "lines end by CRLF"
        );
        let mut reader = csv::Reader::from_reader(bytes.as_slice());
        let head: Vec<_> = reader.headers().unwrap().iter().map(str::to_owned).collect();
        assert_eq!(head, HEAD);
        let lines: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(lines.len(), 2);
        let cell = |line: usize, name: &str| {
            lines[line].get(HEAD.iter().position(|head| *head == name).unwrap()).unwrap()
        };
        assert_eq!(cell(0, "source"), "a \"quoted\", source");
        assert_eq!(cell(0, "target"), "'=HYPERLINK(\"http://x\",\"y\")");
        assert_eq!(cell(0, "cluster"), "'@SUM(1)");
        assert_eq!(cell(0, "pod"), "'-5+cmd|' /C calc'!A0");
        assert_eq!(cell(0, "answers"), answers.to_string());
        assert_eq!(cell(0, "requests"), "100");
        let shares: f64 = (0..2).map(|line| cell(line, "share").parse::<f64>().unwrap()).sum();
        assert!((shares - 1.0).abs() < 1e-5);
        for column in ["source", "target", "url", "cluster", "pod", "version", "unreachable"] {
            for line in 0..2 {
                let first = cell(line, column).chars().next();
                assert!(!first.is_some_and(|first| "=+-@\t\r".contains(first)), "{column}");
            }
        }
    }

    #[test]
    fn the_columns_are_documented() {
        let document = include_str!("../../../docs/reports.md");
        for column in HEAD {
            assert!(document.contains(&format!("`{column}`")), "{column}");
        }
    }
}
