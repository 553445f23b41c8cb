//! The report as JSON, schema `prober/1`, and back. Histograms are stored as compressed
//! HdrHistogram V2 in base64, without loss.

mod budget;
mod explanation;
mod histogram;
mod leb128;
mod numbers;
mod order;
mod read;
mod timeline;

pub use read::parse;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use echo_reply::Identity;
use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Report, Row, RowResult, warnings};
use crate::plan::Protocol;
use crate::tally::EventRecord;
use crate::tally::failover::Failover;
use crate::tally::latency::Latency;
use crate::tally::outcome::{Code, FailureKind};
use crate::tally::{
    AddressTally, BackendTally, FailureGroup, PassedOver, Phases, Stopped, Tally, Transport,
};
use crate::units::micros;
use crate::verdict::{Judged, Verdict};
use order::OrderEntry;

pub(crate) const SCHEMA: &str = "prober/1";
/// The most bytes of a report that is read, here and from a source.
pub(crate) const MOST_BYTES: u64 = 64 << 20;

/// Why bytes are not a report.
#[derive(Debug, Error)]
pub enum JsonError {
    #[error("not a prober report: {}", usage::json::problem(.0))]
    Shape(#[from] serde_json::Error),
    #[error("the report has schema '{found}', but this prober reads '{SCHEMA}'")]
    Schema {
        /// The schema of the report.
        found: String,
    },
    #[error("a number in the report is larger than 2^48 (line {line}, column {column})")]
    Number {
        /// Both from 1; the column is the one after the number.
        line: usize,
        column: usize,
    },
    #[error("a histogram in the report cannot be decoded")]
    Histogram,
    /// No report that a prober wrote comes near this limit.
    #[error(
        "the histograms, timelines and orders of results in the report take more than {} MiB, the most \
         that is read; put fewer rows into one report",
        budget::MOST_MIB
    )]
    Unpacked,
    #[error("the report is inconsistent: {0}")]
    Counts(&'static str),
    /// No prober accepts such a name from a backend.
    #[error("the name of a backend in the report has control characters, or characters that hide")]
    Name,
    #[error("'{0}' in the report is not an RFC 3339 time of the years 0 to 9999")]
    Time(String),
}

#[derive(Serialize, Deserialize)]
struct Document<R> {
    /// Set in a stream of lines, where lines have different types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    r#type: Option<String>,
    schema: String,
    prober: String,
    started: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
    interrupted: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    matrix: bool,
    verdict: Verdict,
    exit_code: u8,
    clusters: Vec<String>,
    rows: Vec<R>,
}

/// What all rows have. A row with `unreachable` was not probed.
#[derive(Serialize, Deserialize)]
struct RowHead {
    source: Option<String>,
    target: String,
    url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    protocol: Protocol,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    verdict: Verdict,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    gone: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unreachable: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    could_not_run: bool,
}

#[derive(Serialize)]
struct RowDocument {
    #[serde(flatten)]
    head: RowHead,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    probed: Option<Probed>,
    /// Derived from the rest, so that it is not read back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<explanation::Entry>,
}

#[derive(Serialize, Deserialize)]
struct Probed {
    requests: u64,
    answers: u64,
    failed: u64,
    retried: u64,
    abandoned: u64,
    warmed_up: u64,
    connections: u64,
    seconds: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schedule: Option<PunctualityEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeline: Option<timeline::TimelineEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    events: Vec<EventRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failover: Option<Failover>,
    phases: BTreeMap<String, LatencyEntry>,
    backends: Vec<Backend>,
    /// All backends together that are not told apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    others: Option<Counted>,
    /// Absent in reports of older probers.
    #[serde(default)]
    addresses: Vec<AddressEntry>,
    /// All addresses together that are not told apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    other_addresses: Option<AddressTally>,
    failures: Vec<FailureEntry>,
    /// Failures that state their attempt, and those that were not the first one.
    #[serde(default, skip_serializing_if = "crate::units::is_zero")]
    failed_attempts: u64,
    #[serde(default, skip_serializing_if = "crate::units::is_zero")]
    failed_retried: u64,
    /// The backends that failures name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    failed_by: Vec<FailedByEntry>,
    passed_over: Vec<PassedOverEntry>,
    #[serde(default)]
    passed_over_further: u64,
    /// Absent in reports of older probers.
    #[serde(default)]
    resolved: u64,
    #[serde(default, skip_serializing_if = "Transport::is_silent")]
    transport: Transport,
    shown: BTreeMap<u64, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stopped: Option<StoppedWord>,
    #[serde(default)]
    order: OrderEntry,
    expectations: Vec<Judged>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StoppedWord {
    Decided,
    MaxRequests,
    End,
}

#[derive(Serialize, Deserialize)]
struct Backend {
    #[serde(flatten)]
    identity: Identity,
    #[serde(flatten)]
    counted: Counted,
}

#[derive(Serialize, Deserialize)]
struct Counted {
    answers: u64,
    share: f64,
    retried: u64,
    #[serde(default)]
    attempts: u64,
    connections: u64,
    latency: LatencyEntry,
    /// The same answers, separated into those on fresh and on reused connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fresh: Option<LatencyEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kept: Option<LatencyEntry>,
}

#[derive(Serialize, Deserialize)]
struct PunctualityEntry {
    late: u64,
    dropped: u64,
    worst_us: u64,
}

#[derive(Serialize, Deserialize)]
struct LatencyEntry {
    p50_us: u64,
    p90_us: u64,
    p99_us: u64,
    max_us: u64,
    histogram: String,
}

#[derive(Serialize, Deserialize)]
struct FailureEntry {
    kind: FailureKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grpc_status: Option<u16>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    copy: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    others: bool,
    what: String,
    count: u64,
}

#[derive(Serialize, Deserialize)]
struct FailedByEntry {
    #[serde(flatten)]
    identity: Identity,
    failed: u64,
}

#[derive(Serialize, Deserialize)]
struct AddressEntry {
    address: SocketAddr,
    connections: u64,
    answers: u64,
}

#[derive(Serialize, Deserialize)]
struct PassedOverEntry {
    address: SocketAddr,
    count: u64,
    why: String,
}

/// The report as indented JSON, with a final newline.
#[must_use]
pub(crate) fn render(report: &Report) -> Vec<u8> {
    let document = document(report);
    let mut bytes = serde_json::to_vec_pretty(&document).expect("names are strings, floats finite");
    bytes.push(b'\n');
    bytes
}

/// The report as the last line of a stream: as [`render`], with the `type` `report`.
#[must_use]
pub(crate) fn render_line(report: &Report) -> Vec<u8> {
    let document = Document { r#type: Some("report".to_owned()), ..document(report) };
    let mut bytes = serde_json::to_vec(&document).expect("names are strings, floats finite");
    bytes.push(b'\n');
    bytes
}

fn document(report: &Report) -> Document<RowDocument> {
    let started = OffsetDateTime::from(report.started).format(&Rfc3339);
    Document {
        r#type: None,
        schema: SCHEMA.to_owned(),
        prober: env!("CARGO_PKG_VERSION").to_owned(),
        started: started.expect("the wall clock is between the years 0 and 9999"),
        run_id: report.run_id.clone(),
        interrupted: report.interrupted,
        matrix: report.matrix,
        verdict: report.verdict(),
        exit_code: report.exit_code(),
        clusters: report.clusters.clone(),
        rows: report.rows.iter().map(|row| row_document(report, row)).collect(),
    }
}

fn row_document(report: &Report, row: &Row) -> RowDocument {
    let (unreachable, probed) = match &row.result {
        RowResult::Unreachable { reason, .. } => (Some(reason.clone()), None),
        RowResult::Probed { tally, verdicts } => (None, Some(probed(tally, verdicts))),
    };
    let head = RowHead {
        source: row.source.clone(),
        target: row.target.clone(),
        url: row.url.clone(),
        host: row.host.clone(),
        protocol: row.protocol,
        address: row.address,
        verdict: row.verdict(),
        gone: row.gone.clone(),
        unreachable,
        could_not_run: row.could_not_run().is_some(),
    };
    let warnings = warnings::of(report, row);
    RowDocument { head, probed, warnings, explanation: explanation::entry(row) }
}

fn counted(counted: &BackendTally, answers: u64) -> Counted {
    Counted {
        answers: counted.answers,
        share: counted.answers as f64 / answers.max(1) as f64,
        retried: counted.retried,
        attempts: counted.attempts,
        connections: counted.connections,
        latency: latency_entry(&counted.latency()),
        fresh: (!counted.fresh.is_empty()).then(|| latency_entry(&counted.fresh)),
        kept: (!counted.kept.is_empty()).then(|| latency_entry(&counted.kept)),
    }
}

fn failure(group: &FailureGroup) -> FailureEntry {
    let (status, grpc_status) = match group.code {
        Some(Code::Http(code)) => (Some(code), None),
        Some(Code::Grpc(code)) => (None, Some(code)),
        None => (None, None),
    };
    let FailureGroup { kind, copy, what, count, .. } = group.clone();
    FailureEntry { kind, status, grpc_status, copy, others: group.is_of_others(), what, count }
}

fn probed(tally: &Tally, verdicts: &[Judged]) -> Probed {
    let answers = tally.answers();
    let backend = |(who, of_backend): (&Identity, &BackendTally)| Backend {
        identity: who.clone(),
        counted: counted(of_backend, answers),
    };
    let failed_by = |(identity, failed): (&Identity, &u64)| FailedByEntry {
        identity: identity.clone(),
        failed: *failed,
    };
    let address = |(address, counted): (&SocketAddr, &AddressTally)| AddressEntry {
        address: *address,
        connections: counted.connections,
        answers: counted.answers,
    };
    Probed {
        requests: tally.requests(),
        answers,
        failed: tally.failed_requests(),
        retried: tally.retried(),
        abandoned: tally.abandoned,
        warmed_up: tally.warmed_up,
        connections: tally.connections,
        seconds: tally.elapsed.as_secs_f64(),
        schedule: tally.punctuality.map(|punctuality| PunctualityEntry {
            late: punctuality.late,
            dropped: punctuality.dropped,
            worst_us: micros(punctuality.worst),
        }),
        timeline: tally.timeline.as_ref().map(timeline::entry),
        events: tally.events.clone(),
        failover: tally.failover.clone(),
        phases: phases(&tally.phases),
        backends: tally.backends.iter().map(backend).collect(),
        others: (tally.others.answers > 0).then(|| counted(&tally.others, answers)),
        addresses: tally.addresses.iter().map(address).collect(),
        other_addresses: (tally.other_addresses != AddressTally::default())
            .then_some(tally.other_addresses),
        failures: tally.failures.iter().map(failure).collect(),
        failed_attempts: tally.failed_attempts,
        failed_retried: tally.failed_retried,
        failed_by: tally.failed_by.iter().map(failed_by).collect(),
        passed_over: passed_over(tally),
        passed_over_further: tally.passed_over_further,
        resolved: tally.resolved,
        transport: tally.transport,
        shown: tally.shown.clone(),
        stopped: tally.stopped.map(|stopped| match stopped {
            Stopped::Decided => StoppedWord::Decided,
            Stopped::Exhausted => StoppedWord::MaxRequests,
            Stopped::Ended => StoppedWord::End,
        }),
        order: order::entry(tally),
        expectations: verdicts.to_vec(),
    }
}

fn passed_over(tally: &Tally) -> Vec<PassedOverEntry> {
    let entry = |(address, PassedOver { count, why }): (&SocketAddr, &PassedOver)| {
        PassedOverEntry { address: *address, count: *count, why: why.clone() }
    };
    tally.passed_over.iter().map(entry).collect()
}

/// The phases that occurred, by name.
fn phases(phases: &Phases) -> BTreeMap<String, LatencyEntry> {
    let there = phases.named().into_iter().filter(|(_, latency)| !latency.is_empty());
    there.map(|(name, latency)| (name.to_owned(), latency_entry(latency))).collect()
}

fn latency_entry(latency: &Latency) -> LatencyEntry {
    let [p50_us, p90_us, p99_us, max_us] = latency.summary_us();
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(&latency.histogram(), &mut bytes)
        .expect("a histogram of these bounds fits into memory");
    LatencyEntry { p50_us, p90_us, p99_us, max_us, histogram: STANDARD.encode(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    fn without_version(bytes: Vec<u8>) -> String {
        let text = String::from_utf8(bytes).unwrap();
        text.replace(&format!("\"prober\": \"{}\"", env!("CARGO_PKG_VERSION")), "\"prober\": \"…\"")
    }

    #[test]
    fn a_plain_run() {
        insta::assert_snapshot!(without_version(render(&samples::plain())));
    }

    #[test]
    fn a_matrix() {
        insta::assert_snapshot!(without_version(render(&samples::matrix())));
    }

    #[test]
    fn what_is_written_is_read_back_without_loss() {
        let mut gone = samples::plain();
        gone.rows[0].gone = vec!["mars".to_owned()];
        gone.rows[0].host = Some("a.example".to_owned());
        let each =
            [samples::plain(), samples::matrix(), samples::each(), samples::timeline(), gone];
        for report in each {
            let bytes = render(&report);
            let read = parse(&bytes).unwrap();
            assert_eq!(read, report);
            assert!(render(&read) == bytes, "byte for byte");
        }
    }

    #[test]
    fn every_report_is_valid_by_the_schema() {
        let schema = include_str!("../../../docs/prober-1.schema.json");
        let schema = serde_json::from_str(schema).unwrap();
        let schema = jsonschema::draft202012::options().build(&schema).unwrap();
        let mut reports = vec![samples::plain(), samples::matrix(), samples::each()];
        reports.extend([samples::timeline(), samples::many_pods()]);
        for report in reports {
            for bytes in [render(&report), render_line(&report)] {
                let value = serde_json::from_slice(&bytes).unwrap();
                if let Err(error) = schema.validate(&value) {
                    panic!("{}: {error}", error.instance_path());
                }
            }
        }
    }

    #[test]
    fn an_invalid_report_is_refused_with_its_reason() {
        let text = String::from_utf8(render(&samples::plain())).unwrap();
        for (bad, part) in [
            (String::new(), "not a prober report"),
            ("{}".to_owned(), "the key 'schema' is missing"),
            ("hello".to_owned(), "not a prober report"),
            (
                text.replace("prober/1", "prober/9"),
                "schema 'prober/9', but this prober reads 'prober/1'",
            ),
            (text[..text.len() / 2].to_owned(), "not a prober report"),
            (text.replace("\"started\": \"20", "\"started\": \"xx"), "not an RFC 3339 time"),
            (
                text.replacen("\"answers\": 52", "\"answers\": 281474976710657", 1),
                "a number in the report is larger than 2^48 (line ",
            ),
            (text.replace("\"histogram\": \"H", "\"histogram\": \"!"), "histogram"),
            (text.replace("\"requests\": 100", "\"requests\": 101"), "requests are not"),
            (text.replace("\"failed\": 0", "\"failed\": 7"), "requests are not"),
            (text.replace("\"answers\": 52", "\"answers\": 281474976710656"), "backends"),
            (text.replace("\"retried\": 2", "\"retried\": 0"), "retried"),
            (
                text.replace(",\n          \"answers\": 100\n", ",\n          \"answers\": 99\n"),
                "answers of addresses",
            ),
            (
                text.replace(
                    "\"connections\": 100,\n          \"ans",
                    "\"connections\": 9,\n          \"ans",
                ),
                "connections to",
            ),
            (text.replace("\"pod\": \"", "\"pod\": \"\\n"), "control characters"),
        ] {
            assert_ne!(bad, text, "{part}");
            let error = parse(bad.as_bytes()).expect_err(part).to_string();
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn an_error_in_a_row_has_its_position_in_the_file() {
        let text = String::from_utf8(render(&samples::matrix())).unwrap();
        let bad = text.replacen("\"requests\": 100", "\"requests\": \"x\"", 2);
        let line = 1 + bad.lines().position(|line| line.contains("\"requests\": \"x\"")).unwrap();
        let error = parse(bad.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(&format!("(line {line}, column ")), "line {line}: {error}");
        let one_line = bad.replace('\n', " ");
        let column = one_line.find("\"x\"").unwrap();
        let error = parse(one_line.as_bytes()).unwrap_err().to_string();
        let told = error.rsplit_once("(line 1, column ").unwrap().1;
        let told = told.trim_end_matches(')').parse::<usize>().unwrap();
        assert!((column..=column + 3).contains(&told), "{column}: {error}");
    }

    #[test]
    fn remote_texts_cannot_control_the_terminal() {
        let text = String::from_utf8(render(&samples::matrix())).unwrap();
        let hostile = text.replace("\"[URL: ", "\"\\u001b[2J\\n[URL: ");
        let hostile = hostile.replace("503 Service", "503\\u001b[31m Service");
        let hostile = hostile.replace("kubectl: ", "kubectl:\\n ");
        assert_ne!(hostile, text);
        let seen = parse(hostile.as_bytes()).unwrap();
        let shown = String::from_utf8(render(&seen)).unwrap();
        assert!(!shown.contains("\\u001b") && !shown.contains("\\n"), "{shown}");
        assert!(shown.contains("\\\\u{1b}[2J\\\\u{a}[URL: "), "{shown}");
    }
}
