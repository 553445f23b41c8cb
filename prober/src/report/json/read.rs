//! Reads a report from its JSON. Sums are checked against their parts, and texts are made safe to
//! print. Pure.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use echo_reply::Identity;
use serde::Deserialize;
use serde::de::Error as _;
use serde_json::value::RawValue;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use super::budget::Budget;
use super::{
    AddressEntry, Backend, Counted, Document, FailedByEntry, FailureEntry, JsonError, LatencyEntry,
    PassedOverEntry, Probed, RowHead, SCHEMA, StoppedWord, explanation, histogram, numbers, order,
    timeline,
};
use crate::report::{Report, Row, RowResult};
use crate::tally::latency::Latency;
use crate::tally::outcome::{Code, Failure};
use crate::tally::{
    AddressTally, BackendTally, FailureGroup, MOST_ADDRESSES, MOST_BACKENDS, PassedOver, Phases,
    Punctuality, Stopped, Tally,
};

const MOST_SECONDS: u64 = 1_000 * 366 * 24 * 3600;

pub fn parse(bytes: &[u8]) -> Result<Report, JsonError> {
    #[derive(Deserialize)]
    struct SchemaOnly {
        schema: String,
    }
    let SchemaOnly { schema } = serde_json::from_slice(bytes)?;
    if schema != SCHEMA {
        return Err(JsonError::Schema { found: schema });
    }
    let document: Document<&RawValue> = serde_json::from_slice(bytes)?;
    numbers::check(bytes)?;
    // In another zone, the last hours of the year 9999 are in a year that has no RFC 3339 form.
    let started = OffsetDateTime::parse(&document.started, &Rfc3339)
        .ok()
        .and_then(|started| started.checked_to_offset(UtcOffset::UTC))
        .filter(|started| (0..=9999).contains(&started.year()))
        .ok_or_else(|| JsonError::Time(document.started.clone()))?;
    let budget = Budget::new();
    let rows = document.rows.into_iter().map(|raw| {
        row(raw.get(), &budget).map_err(|error| match error {
            JsonError::Shape(error) => JsonError::Shape(placed(&error, bytes, raw.get())),
            other => other,
        })
    });
    let rows: Result<Vec<_>, _> = rows.collect();
    let report = Report {
        started: started.into(),
        run_id: document.run_id,
        interrupted: document.interrupted,
        matrix: document.matrix,
        clusters: document.clusters,
        rows: rows?,
    };
    Ok(report.cleaned())
}

/// An error in a part of a document, with its position in the whole document.
fn placed(error: &serde_json::Error, whole: &[u8], part: &str) -> serde_json::Error {
    let said = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let Some(what) = said.strip_suffix(&place) else {
        return serde_json::Error::custom(said);
    };
    let before = part.as_ptr() as usize - whole.as_ptr() as usize;
    let before = &whole[..before.min(whole.len())];
    let line = error.line() + before.iter().filter(|byte| **byte == b'\n').count();
    let indent = before.iter().rev().take_while(|byte| **byte != b'\n').count();
    let column = if error.line() == 1 { indent + error.column() } else { error.column() };
    serde_json::Error::custom(format!("{what} at line {line} column {column}"))
}

fn row(raw: &str, budget: &Budget) -> Result<Row, JsonError> {
    #[derive(Deserialize)]
    struct Explained {
        explanation: Option<serde_json::Value>,
    }
    let RowHead {
        source,
        target,
        url,
        host,
        protocol,
        address,
        gone,
        unreachable,
        could_not_run,
        ..
    } = serde_json::from_str(raw)?;
    let Explained { explanation } = serde_json::from_str(raw)?;
    let readings = explanation.map(explanation::readings).transpose()?;
    let result = match unreachable {
        Some(reason) => RowResult::Unreachable { reason, could_not_run },
        None => {
            let mut probed: Probed = serde_json::from_str(raw)?;
            let verdicts = std::mem::take(&mut probed.expectations);
            RowResult::Probed { tally: tally(probed, budget)?, verdicts }
        }
    };
    Ok(Row { source, target, url, host, protocol, address, result, gone, readings })
}

/// Checks that all sums match their parts: verdicts depend on both.
fn check_counts(probed: &Probed) -> Result<(), JsonError> {
    let sum = |counts: &mut dyn Iterator<Item = u64>| -> u128 { counts.map(u128::from).sum() };
    let parts = || probed.backends.iter().map(|backend| &backend.counted).chain(&probed.others);
    if sum(&mut probed.failed_by.iter().map(|f| f.failed)) > u128::from(probed.failed) {
        return Err(JsonError::Counts("more failures of backends than failures"));
    }
    for (whole, parts, what) in [
        (
            probed.requests,
            u128::from(probed.answers) + u128::from(probed.failed),
            "requests are not the sum of answers and failures",
        ),
        (
            probed.answers,
            sum(&mut parts().map(|b| b.answers)),
            "the answers of backends do not add up",
        ),
        (
            probed.retried,
            sum(&mut parts().map(|b| b.retried)),
            "the retried answers of backends do not add up",
        ),
        (
            probed.failed,
            sum(&mut probed.failures.iter().map(|f| f.count)),
            "the failures by kind do not add up",
        ),
    ] {
        if u128::from(whole) != parts {
            return Err(JsonError::Counts(what));
        }
    }
    let listed = probed.addresses.iter().map(|address| (address.answers, address.connections));
    let others = probed.other_addresses.iter().map(|others| (others.answers, others.connections));
    let addresses = || listed.clone().chain(others.clone());
    if addresses().next().is_some() {
        for (whole, parts, what) in [
            (
                probed.answers,
                sum(&mut addresses().map(|(answers, _)| answers)),
                "the answers of addresses do not add up",
            ),
            (
                probed.connections,
                sum(&mut addresses().map(|(_, connections)| connections)),
                "the connections to addresses do not add up",
            ),
        ] {
            if u128::from(whole) != parts {
                return Err(JsonError::Counts(what));
            }
        }
    }
    Ok(())
}

fn tally(probed: Probed, budget: &Budget) -> Result<Tally, JsonError> {
    check_counts(&probed)?;
    let listed: Vec<_> = probed.backends.iter().map(|backend| backend.identity.clone()).collect();
    let stopped = probed.stopped.map(|stopped| match stopped {
        StoppedWord::Decided => Stopped::Decided,
        StoppedWord::MaxRequests => Stopped::Exhausted,
        StoppedWord::End => Stopped::Ended,
    });
    let punctuality = probed.schedule.map(|entry| Punctuality {
        late: entry.late,
        dropped: entry.dropped,
        worst: Duration::from_micros(entry.worst_us),
    });
    if listed.len() > MOST_BACKENDS || probed.addresses.len() > MOST_ADDRESSES {
        return Err(JsonError::Counts("it lists more backends or addresses than are told apart"));
    }
    let tally = Tally {
        order: order::read(&probed.order, &listed, budget)?,
        backends: backends(probed.backends, budget)?,
        others: probed
            .others
            .map(|others| counted(others, budget))
            .transpose()?
            .unwrap_or_default(),
        failures: probed.failures.into_iter().map(failure).collect(),
        failed_attempts: probed.failed_attempts,
        failed_retried: probed.failed_retried,
        failed_by: failed_by(probed.failed_by)?,
        connections: probed.connections,
        addresses: addresses(probed.addresses)?,
        other_addresses: probed.other_addresses.unwrap_or_default(),
        passed_over: probed.passed_over.into_iter().map(passed_over).collect(),
        passed_over_further: probed.passed_over_further,
        resolved: probed.resolved,
        transport: probed.transport,
        shown: probed.shown,
        abandoned: probed.abandoned,
        warmed_up: probed.warmed_up,
        timeline: probed.timeline.map(|entry| timeline::timeline(entry, budget)).transpose()?,
        trail: None,
        events: probed.events,
        failover: probed.failover,
        phases: phases(&probed.phases, budget)?,
        punctuality,
        elapsed: elapsed(probed.seconds)?,
        stopped,
    };
    if let Some(timeline) = &tally.timeline {
        timeline::check(timeline, &tally)?;
    }
    Ok(tally)
}

/// How long a run took: less than a thousand years, so that sums do not overflow.
fn elapsed(seconds: f64) -> Result<Duration, JsonError> {
    let elapsed = Duration::try_from_secs_f64(seconds).ok();
    let elapsed = elapsed.filter(|elapsed| elapsed.as_secs() <= MOST_SECONDS);
    elapsed.ok_or(JsonError::Counts("'seconds' is not the length of a run"))
}

fn backends(
    entries: Vec<Backend>,
    budget: &Budget,
) -> Result<BTreeMap<Identity, BackendTally>, JsonError> {
    let mut backends = BTreeMap::new();
    for backend in entries {
        if !backend.identity.is_printable() {
            return Err(JsonError::Name);
        }
        if backends.insert(backend.identity, counted(backend.counted, budget)?).is_some() {
            return Err(JsonError::Counts("a backend is listed twice"));
        }
    }
    Ok(backends)
}

fn counted(entry: Counted, budget: &Budget) -> Result<BackendTally, JsonError> {
    let counted = BackendTally {
        answers: entry.answers,
        retried: entry.retried,
        attempts: entry.attempts,
        connections: entry.connections,
        fresh: maybe_latency(entry.fresh.as_ref(), budget)?,
        kept: maybe_latency(entry.kept.as_ref(), budget)?,
    };
    // Answers that something else collected may have no latency.
    if counted.latency().count() > counted.answers {
        return Err(JsonError::Counts("a backend has more latencies than answers"));
    }
    Ok(counted)
}

fn addresses(entries: Vec<AddressEntry>) -> Result<BTreeMap<SocketAddr, AddressTally>, JsonError> {
    let mut addresses = BTreeMap::new();
    for AddressEntry { address, connections, answers } in entries {
        if addresses.insert(address, AddressTally { connections, answers }).is_some() {
            return Err(JsonError::Counts("an address is listed twice"));
        }
    }
    Ok(addresses)
}

fn failure(entry: FailureEntry) -> FailureGroup {
    let FailureEntry { kind, status, grpc_status, copy, others, what, count } = entry;
    let code = status.map(Code::Http).or(grpc_status.map(Code::Grpc));
    let failure = Failure { code, copy, ..Failure::new(kind, what) };
    let group = FailureGroup::new(failure, count);
    if others { group.of_others() } else { group }
}

fn failed_by(entries: Vec<FailedByEntry>) -> Result<BTreeMap<Identity, u64>, JsonError> {
    let mut failed_by = BTreeMap::new();
    for FailedByEntry { identity, failed } in entries {
        if !identity.is_printable() {
            return Err(JsonError::Name);
        }
        if failed_by.insert(identity, failed).is_some() {
            return Err(JsonError::Counts("a backend that failed is listed twice"));
        }
    }
    Ok(failed_by)
}

fn passed_over(entry: PassedOverEntry) -> (SocketAddr, PassedOver) {
    (entry.address, PassedOver { count: entry.count, why: entry.why })
}

fn phases(entries: &BTreeMap<String, LatencyEntry>, budget: &Budget) -> Result<Phases, JsonError> {
    let phase = |name: &str| maybe_latency(entries.get(name), budget);
    Ok(Phases {
        dns: phase("dns")?,
        connect: phase("connect")?,
        tls: phase("tls")?,
        first_byte: phase("first_byte")?,
        upstream: phase("upstream")?,
        service: phase("service")?,
    })
}

fn maybe_latency(entry: Option<&LatencyEntry>, budget: &Budget) -> Result<Latency, JsonError> {
    entry.map_or_else(|| Ok(Latency::default()), |entry| histogram::read(&entry.histogram, budget))
}
