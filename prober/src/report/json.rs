//! The report as JSON, schema `prober/1`, and back. Histograms travel as
//! HdrHistogram V2 compressed, base64, so that nothing is lost on the way.

mod explanation;
mod timeline;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use echo_reply::Identity;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Report, Row, RowResult};
use crate::events::Happened;
use crate::failover::Failover;
use crate::latency::Latency;
use crate::outcome::FailureKind;
use crate::plan::Protocol;
use crate::tally::{
    AddressTally, Agreement, BackendTally, FailureGroup, LAGS, Order, Pairs, PassedOver, Phases,
    Punctuality, Stopped, Tally,
};
use crate::verdict::{Judged, Verdict};

/// The schema that this module writes and reads.
pub const SCHEMA: &str = "prober/1";

/// Why bytes are no report.
#[derive(Debug, Error)]
pub enum JsonError {
    /// Not JSON, or not of this shape.
    #[error("not a prober report: {0}")]
    Shape(#[from] serde_json::Error),
    /// Of another schema.
    #[error("a report of schema '{found}'; this prober reads '{SCHEMA}'")]
    Schema {
        /// The schema named in it.
        found: String,
    },
    /// A histogram that does not decode.
    #[error("a histogram in the report does not decode: {0}")]
    Histogram(String),
    /// Counts that contradict each other.
    #[error("the report's counts contradict each other: {0}")]
    Counts(&'static str),
    /// A name that could not have come from a prober.
    #[error("the report names a backend with control characters")]
    Name,
    /// A time that is none.
    #[error("'{0}' in the report is no RFC 3339 time")]
    Time(String),
}

#[derive(Serialize, Deserialize)]
struct Document<R> {
    /// What a line of a stream is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    r#type: Option<String>,
    schema: String,
    prober: String,
    started: String,
    interrupted: bool,
    verdict: Verdict,
    exit_code: u8,
    clusters: Vec<String>,
    rows: Vec<R>,
}

/// A row is either unreachable or probed; which, the presence of `unreachable` tells.
#[derive(Serialize, Deserialize)]
struct RowHead {
    source: Option<String>,
    target: String,
    url: String,
    protocol: Protocol,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    verdict: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    unreachable: Option<String>,
}

#[derive(Serialize)]
struct RowDocument {
    #[serde(flatten)]
    head: RowHead,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    probed: Option<Probed>,
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
    events: Vec<Happened>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failover: Option<Failover>,
    phases: BTreeMap<String, LatencyEntry>,
    backends: Vec<Backend>,
    /// Absent in reports of probers that did not count by address.
    #[serde(default)]
    addresses: Vec<AddressEntry>,
    failures: Vec<FailureEntry>,
    passed_over: Vec<PassedOverEntry>,
    #[serde(default)]
    passed_over_further: u64,
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
}

/// Which answers followed which.
#[derive(Default, Serialize, Deserialize)]
struct OrderEntry {
    /// (the backend before, the backend, on the same connection, by when requests started),
    /// the backends by their places in the list, from 0.
    pairs: Vec<(usize, usize, u64, u64)>,
    /// (answers at the distances 1, 2, …, those of the same backend).
    lags: Vec<(u64, u64)>,
}

#[derive(Serialize, Deserialize)]
struct Backend {
    #[serde(flatten)]
    identity: Identity,
    answers: u64,
    share: f64,
    retried: u64,
    connections: u64,
    latency: LatencyEntry,
    /// The same answers apart: on connections that were opened for them, and on kept ones.
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
    what: String,
    count: u64,
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

/// The report as indented JSON with a line end.
#[must_use]
pub fn render(report: &Report) -> Vec<u8> {
    let document = document(report);
    let mut bytes = serde_json::to_vec_pretty(&document).expect("names are strings, floats finite");
    bytes.push(b'\n');
    bytes
}

/// The report as the last line of a stream: `type` is `report`, all else as in [`render`].
#[must_use]
pub fn render_line(report: &Report) -> Vec<u8> {
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
        interrupted: report.interrupted,
        verdict: report.rows.iter().map(Row::verdict).max().unwrap_or(Verdict::Inconclusive),
        exit_code: report.exit_code(),
        clusters: report.clusters.clone(),
        rows: report.rows.iter().map(row_document).collect(),
    }
}

fn row_document(row: &Row) -> RowDocument {
    let (unreachable, probed) = match &row.result {
        RowResult::Unreachable { reason } => (Some(reason.clone()), None),
        RowResult::Probed { tally, verdicts } => (None, Some(probed(tally, verdicts))),
    };
    let head = RowHead {
        source: row.source.clone(),
        target: row.target.clone(),
        url: row.url.clone(),
        protocol: row.protocol,
        address: row.address,
        verdict: row.verdict(),
        unreachable,
    };
    RowDocument { head, probed, explanation: explanation::entry(row) }
}

fn probed(tally: &Tally, verdicts: &[Judged]) -> Probed {
    let answers = tally.answers();
    let backend = |(identity, backend): (&Identity, &BackendTally)| Backend {
        identity: identity.clone(),
        answers: backend.answers,
        share: backend.answers as f64 / answers.max(1) as f64,
        retried: backend.retried,
        connections: backend.connections,
        latency: latency_entry(&backend.latency()),
        fresh: (!backend.fresh.is_empty()).then(|| latency_entry(&backend.fresh)),
        kept: (!backend.kept.is_empty()).then(|| latency_entry(&backend.kept)),
    };
    let failure = |group: &FailureGroup| FailureEntry {
        kind: group.kind,
        what: group.what.clone(),
        count: group.count,
    };
    let passed_over = |(address, over): (&SocketAddr, &PassedOver)| PassedOverEntry {
        address: *address,
        count: over.count,
        why: over.why.clone(),
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
            worst_us: u64::try_from(punctuality.worst.as_micros()).unwrap_or(u64::MAX),
        }),
        timeline: tally.timeline.as_ref().map(timeline::entry),
        events: tally.events.clone(),
        failover: tally.failover.clone(),
        phases: phases(&tally.phases),
        backends: tally.backends.iter().map(backend).collect(),
        addresses: tally.addresses.iter().map(address).collect(),
        failures: tally.failures.iter().map(failure).collect(),
        passed_over: tally.passed_over.iter().map(passed_over).collect(),
        passed_over_further: tally.passed_over_further,
        shown: tally.shown.clone(),
        stopped: tally.stopped.map(|stopped| match stopped {
            Stopped::Decided => StoppedWord::Decided,
            Stopped::Exhausted => StoppedWord::MaxRequests,
        }),
        order: order_entry(tally),
        expectations: verdicts.to_vec(),
    }
}

fn order_entry(tally: &Tally) -> OrderEntry {
    let place = |who: &Identity| tally.backends.keys().position(|known| known == who);
    let pairs = tally.order.pairs.iter().filter_map(|((before, after), pairs)| {
        Some((place(before)?, place(after)?, pairs.kept, pairs.started))
    });
    let lags = tally.order.lags.iter().map(|lag| (lag.pairs, lag.same));
    let lags: Vec<_> = lags.take_while(|(pairs, _)| *pairs > 0).collect();
    OrderEntry { pairs: pairs.collect(), lags }
}

fn order(entry: &OrderEntry, backends: &[Identity]) -> Result<Order, JsonError> {
    let wrong = || JsonError::Counts("the order names a backend that is not listed");
    let mut order = Order::default();
    for (before, after, kept, started) in &entry.pairs {
        let who = |place: &usize| backends.get(*place).cloned().ok_or_else(wrong);
        let pairs = Pairs { kept: *kept, started: *started };
        order.pairs.insert((who(before)?, who(after)?), pairs);
    }
    for (lag, (pairs, same)) in order.lags.iter_mut().zip(entry.lags.iter().take(LAGS)) {
        *lag = Agreement { pairs: *pairs, same: *same };
    }
    Ok(order)
}

/// The phases that happened, by name.
fn phases(phases: &Phases) -> BTreeMap<String, LatencyEntry> {
    let there = phases.named().into_iter().filter(|(_, latency)| !latency.is_empty());
    there.map(|(name, latency)| (name.to_owned(), latency_entry(latency))).collect()
}

fn latency_entry(latency: &Latency) -> LatencyEntry {
    let histogram = latency.histogram();
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(&latency.compact(), &mut bytes)
        .expect("a histogram of these bounds fits into memory");
    LatencyEntry {
        p50_us: histogram.value_at_quantile(0.5),
        p90_us: histogram.value_at_quantile(0.9),
        p99_us: histogram.value_at_quantile(0.99),
        max_us: histogram.max(),
        histogram: STANDARD.encode(bytes),
    }
}

/// Reads a report back.
pub fn parse(bytes: &[u8]) -> Result<Report, JsonError> {
    #[derive(Deserialize)]
    struct SchemaOnly {
        schema: String,
    }
    let SchemaOnly { schema } = serde_json::from_slice(bytes)?;
    if schema != SCHEMA {
        return Err(JsonError::Schema { found: schema });
    }
    let document: Document<serde_json::Value> = serde_json::from_slice(bytes)?;
    let started = OffsetDateTime::parse(&document.started, &Rfc3339)
        .map_err(|_| JsonError::Time(document.started.clone()))?;
    let rows: Result<Vec<_>, _> = document.rows.into_iter().map(row).collect();
    Ok(Report {
        started: started.into(),
        interrupted: document.interrupted,
        clusters: document.clusters,
        rows: rows?,
    })
}

fn row(document: serde_json::Value) -> Result<Row, JsonError> {
    let RowHead { source, target, url, protocol, address, unreachable, .. } =
        RowHead::deserialize(&document)?;
    let evidence = document.get("explanation").map(explanation::evidence).transpose()?;
    let result = match unreachable {
        Some(reason) => RowResult::Unreachable { reason: plain(&reason) },
        None => {
            let probed = Probed::deserialize(document)?;
            let verdicts = probed.expectations.clone();
            RowResult::Probed { tally: tally(probed)?, verdicts }
        }
    };
    Ok(Row { source, target, url, protocol, address, result, evidence })
}

/// A text of a report without what could steer a terminal or forge a line.
fn plain(text: &str) -> String {
    text.replace(char::is_control, "?")
}

/// Whether all sums are what their parts say, so that a verdict on the parts is one on the whole.
fn check_counts(probed: &Probed) -> Result<(), JsonError> {
    let sum = |counts: &mut dyn Iterator<Item = u64>| -> u128 { counts.map(u128::from).sum() };
    let backends = &probed.backends;
    for (whole, parts, what) in [
        (
            probed.requests,
            u128::from(probed.answers) + u128::from(probed.failed),
            "requests are not answers and failures",
        ),
        (probed.answers, sum(&mut backends.iter().map(|b| b.answers)), "answers of backends"),
        (probed.retried, sum(&mut backends.iter().map(|b| b.retried)), "retried of backends"),
        (probed.failed, sum(&mut probed.failures.iter().map(|f| f.count)), "failures of kinds"),
    ] {
        if u128::from(whole) != parts {
            return Err(JsonError::Counts(what));
        }
    }
    let addresses = &probed.addresses;
    if !addresses.is_empty() {
        for (whole, parts, what) in [
            (probed.answers, sum(&mut addresses.iter().map(|a| a.answers)), "answers of addresses"),
            (
                probed.connections,
                sum(&mut addresses.iter().map(|a| a.connections)),
                "connections to addresses",
            ),
        ] {
            if u128::from(whole) != parts {
                return Err(JsonError::Counts(what));
            }
        }
    }
    Ok(())
}

fn tally(probed: Probed) -> Result<Tally, JsonError> {
    check_counts(&probed)?;
    let listed: Vec<_> = probed.backends.iter().map(|backend| backend.identity.clone()).collect();
    let order = order(&probed.order, &listed)?;
    let mut backends = BTreeMap::new();
    for backend in probed.backends {
        if !backend.identity.is_printable() {
            return Err(JsonError::Name);
        }
        let counted = BackendTally {
            answers: backend.answers,
            retried: backend.retried,
            connections: backend.connections,
            fresh: maybe_latency(backend.fresh.as_ref())?,
            kept: maybe_latency(backend.kept.as_ref())?,
        };
        if counted.latency().histogram().len() != counted.answers {
            return Err(JsonError::Counts("latencies of a backend's answers"));
        }
        if backends.insert(backend.identity, counted).is_some() {
            return Err(JsonError::Counts("a backend is listed twice"));
        }
    }
    let mut addresses = BTreeMap::new();
    for AddressEntry { address, connections, answers } in probed.addresses {
        if addresses.insert(address, AddressTally { connections, answers }).is_some() {
            return Err(JsonError::Counts("an address is listed twice"));
        }
    }
    let phase = |name: &str| maybe_latency(probed.phases.get(name));
    let phases = Phases {
        dns: phase("dns")?,
        connect: phase("connect")?,
        tls: phase("tls")?,
        first_byte: phase("first_byte")?,
        upstream: phase("upstream")?,
        service: phase("service")?,
    };
    let failure = |entry: FailureEntry| {
        let FailureEntry { kind, what, count } = entry;
        FailureGroup { kind, what: plain(&what), count }
    };
    let passed_over = |entry: PassedOverEntry| {
        (entry.address, PassedOver { count: entry.count, why: plain(&entry.why) })
    };
    let event = |mut event: Happened| {
        event.command = plain(&event.command);
        event.output = event.output.lines().map(plain).collect::<Vec<_>>().join("\n");
        event
    };
    let tally = Tally {
        backends,
        failures: probed.failures.into_iter().map(failure).collect(),
        connections: probed.connections,
        addresses,
        passed_over: probed.passed_over.into_iter().map(passed_over).collect(),
        passed_over_further: probed.passed_over_further,
        shown: probed.shown.into_iter().map(|(n, line)| (n, plain(&line))).collect(),
        abandoned: probed.abandoned,
        warmed_up: probed.warmed_up,
        timeline: probed.timeline.map(timeline::timeline).transpose()?,
        trail: None,
        events: probed.events.into_iter().map(event).collect(),
        failover: probed.failover,
        phases,
        punctuality: probed.schedule.map(|entry| Punctuality {
            late: entry.late,
            dropped: entry.dropped,
            worst: Duration::from_micros(entry.worst_us),
        }),
        elapsed: Duration::try_from_secs_f64(probed.seconds).unwrap_or_default(),
        order,
        stopped: probed.stopped.map(|stopped| match stopped {
            StoppedWord::Decided => Stopped::Decided,
            StoppedWord::MaxRequests => Stopped::Exhausted,
        }),
    };
    if let Some(timeline) = &tally.timeline {
        timeline::check(timeline, &tally)?;
    }
    Ok(tally)
}

fn maybe_latency(entry: Option<&LatencyEntry>) -> Result<Latency, JsonError> {
    entry.map_or_else(|| Ok(Latency::default()), latency)
}

fn latency(entry: &LatencyEntry) -> Result<Latency, JsonError> {
    let wrong = |reason: String| JsonError::Histogram(reason);
    let bytes = STANDARD.decode(&entry.histogram).map_err(|e| wrong(e.to_string()))?;
    let histogram = Deserializer::new().deserialize(&mut bytes.as_slice());
    Ok(Latency::from_histogram(histogram.map_err(|e| wrong(e.to_string()))?))
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
        for report in [samples::plain(), samples::matrix(), samples::each(), samples::timeline()] {
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
    fn what_is_no_report_is_refused_with_its_reason() {
        let text = String::from_utf8(render(&samples::plain())).unwrap();
        for (bad, part) in [
            (String::new(), "not a prober report"),
            ("{}".to_owned(), "missing field `schema`"),
            ("hello".to_owned(), "not a prober report"),
            (
                text.replace("prober/1", "prober/9"),
                "schema 'prober/9'; this prober reads 'prober/1'",
            ),
            (text[..text.len() / 2].to_owned(), "not a prober report"),
            (text.replace("\"started\": \"20", "\"started\": \"xx"), "no RFC 3339 time"),
            (text.replace("\"histogram\": \"H", "\"histogram\": \"!"), "histogram"),
            (text.replace("\"requests\": 100", "\"requests\": 101"), "requests are not"),
            (text.replace("\"failed\": 0", "\"failed\": 7"), "requests are not"),
            (text.replace("\"answers\": 52", "\"answers\": 18446744073709551615"), "backends"),
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
    fn lines_from_elsewhere_cannot_steer_the_terminal() {
        let text = String::from_utf8(render(&samples::matrix())).unwrap();
        let hostile = text.replace("\"[URL: ", "\"\\u001b[2J\\n[URL: ");
        let hostile = hostile.replace("503 Service", "503\\u001b[31m Service");
        let hostile = hostile.replace("kubectl: ", "kubectl:\\n ");
        assert_ne!(hostile, text);
        let seen = parse(hostile.as_bytes()).unwrap();
        let shown = String::from_utf8(render(&seen)).unwrap();
        assert!(!shown.contains("\\u001b") && !shown.contains("\\n"), "{shown}");
        assert!(shown.contains("?[2J?[URL: "), "{shown}");
    }
}
