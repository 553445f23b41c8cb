//! One line → an answer, a heading, or nothing. Each line may have another form. Pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use echo_reply::{Identity, TextLine, UNKNOWN_CLUSTER, printable};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::plan::identify::UNKNOWN_POD;
use crate::tally::outcome::{Failure, FailureKind};
use crate::units::count;

/// The keys of an object, and the names of a table's columns.
const KEYS: [&str; 12] = [
    "cluster",
    "pod",
    "namespace",
    "node",
    "zone",
    "region",
    "version",
    "address",
    "connection",
    "attempt",
    "latency_us",
    "at_us",
];
/// The key of a failure, which comes last in messages.
const FAILED: &str = "failed";
/// The longest latency, in µs: one hour, as of a run.
const MAX_LATENCY_US: f64 = 3_600_000_000.0;
/// The latest time, in µs: 285 years. Up to here an `f64` tells all whole numbers apart.
const MAX_AT_US: f64 = (1_u64 << 53) as f64;

/// Why a line is not an answer.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum LineError {
    #[error("the line is longer than 65536 bytes; write an answer on each line")]
    Long,
    #[error("the line is not UTF-8; write text")]
    NotUtf8,
    #[error(
        "'{0}' is not an answer; write the line of an echo, a JSON object, or CSV after a line with \
         its columns"
    )]
    Neither(String),
    #[error("'{0}' is not a JSON object; write one on each line")]
    Json(String),
    #[error("the object has no key of an answer; write at least one of {}, {FAILED}", KEYS.join(", "))]
    NoKey,
    #[error("{key} '{value}': {right}")]
    Value {
        key: &'static str,
        value: String,
        /// What to write instead.
        right: &'static str,
    },
    #[error("'{0}' has an opening quote without a closing one; write both on one line")]
    Quote(String),
    #[error("'{name}' is not a column; write only columns of {}, {FAILED}", KEYS.join(", "))]
    Column { name: String },
    #[error("the column {0} occurs twice; write it once")]
    Twice(String),
    #[error("the line has {}, but the table has {}; write a value for each column, even an empty one",
        count(*found as u64, "value"), count(*columns as u64, "column"))]
    Columns { found: usize, columns: usize },
}

impl LineError {
    fn value(key: &'static str, given: &str, right: &'static str) -> Self {
        Self::Value { key, value: shortened(given), right }
    }
}

/// An answer or a failure, as somebody wrote it down.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// What an echo says that it was asked for.
    pub(super) url: Option<String>,
    pub(super) result: Result<Identity, Failure>,
    pub(super) address: Option<SocketAddr>,
    /// Answers with the same name came on the same connection.
    pub(super) connection: Option<String>,
    pub(super) attempt: Option<u32>,
    pub(super) latency_us: Option<u64>,
    pub(super) at_us: Option<u64>,
}

#[derive(Debug, PartialEq)]
pub(super) enum Line {
    /// An empty line, or the columns of a table.
    Nothing,
    Heading {
        source: Option<String>,
        target: String,
    },
    Answer(Box<Entry>),
}

/// The values of one line, all optional.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Values {
    cluster: Option<String>,
    pod: Option<String>,
    namespace: Option<String>,
    node: Option<String>,
    zone: Option<String>,
    region: Option<String>,
    version: Option<String>,
    address: Option<String>,
    connection: Option<Value>,
    attempt: Option<f64>,
    latency_us: Option<f64>,
    at_us: Option<f64>,
    failed: Option<String>,
}

/// What earlier lines say about later ones.
#[derive(Debug, Default)]
pub(super) struct Format {
    /// The columns of the table that a line may belong to.
    columns: Vec<String>,
}

impl Format {
    pub(super) fn read(&mut self, text: &str) -> Result<Line, LineError> {
        let line = text.trim_start_matches('\u{feff}').trim();
        if line.is_empty() {
            return Ok(Line::Nothing);
        }
        if line.starts_with('{') {
            return object(line);
        }
        if let Some(heading) = heading(line) {
            return Ok(heading);
        }
        if let Some(echo) = TextLine::parse(line) {
            let values = Values {
                pod: Some(echo.pod.to_owned()),
                cluster: Some(echo.cluster.to_owned()),
                ..Values::default()
            };
            let url = Some(printable(echo.url).into_owned());
            return Ok(Line::Answer(Box::new(Entry { url, ..values.entry()? })));
        }
        let fields = fields(line)?;
        let unknown = fields.iter().find(|name| known(name).is_none());
        match unknown {
            None => {
                self.columns = columns(fields)?;
                Ok(Line::Nothing)
            }
            Some(_) if !self.columns.is_empty() => self.row(&fields),
            Some(name) if fields.iter().any(|name| known(name).is_some()) => {
                Err(LineError::Column { name: shortened(name) })
            }
            Some(_) => Err(LineError::Neither(shortened(line))),
        }
    }

    fn row(&self, fields: &[String]) -> Result<Line, LineError> {
        if fields.len() != self.columns.len() {
            let (found, columns) = (fields.len(), self.columns.len());
            return Err(LineError::Columns { found, columns });
        }
        let mut values = Values::default();
        for (column, field) in self.columns.iter().zip(fields) {
            if !field.is_empty() {
                values.set(column, field)?;
            }
        }
        Ok(Line::Answer(Box::new(values.entry()?)))
    }
}

/// `curl TARGET` or `from SOURCE: curl TARGET`.
fn heading(line: &str) -> Option<Line> {
    let (source, target) = match line.strip_prefix("from ") {
        Some(rest) => {
            let (source, target) = rest.split_once(": curl ")?;
            (Some(source), target)
        }
        None => (None, line.strip_prefix("curl ")?),
    };
    let clean = |text: &str| printable(text.trim()).into_owned();
    let source = source.map(clean).filter(|source| !source.is_empty());
    Some(Line::Heading { source, target: clean(target) })
}

/// The fields of a line of CSV.
fn fields(line: &str) -> Result<Vec<String>, LineError> {
    if !line.contains('"') {
        return Ok(line.split(',').map(|field| field.trim().to_owned()).collect());
    }
    // A quote inside a quoted value is written twice.
    if !line.matches('"').count().is_multiple_of(2) {
        return Err(LineError::Quote(shortened(line)));
    }
    let mut reader = csv::ReaderBuilder::new();
    // Otherwise a carriage return would end the record, and the rest of the line would be lost.
    reader.has_headers(false).terminator(csv::Terminator::Any(b'\n'));
    let record = reader.from_reader(line.as_bytes()).into_records().next();
    let record = record.and_then(Result::ok).unwrap_or_default();
    Ok(record.iter().map(|field| field.trim().to_owned()).collect())
}

/// The columns of a table, each once.
fn columns(names: Vec<String>) -> Result<Vec<String>, LineError> {
    let twice = names.iter().enumerate().find(|(n, name)| names[..*n].contains(name));
    match twice {
        Some((_, name)) => Err(LineError::Twice(name.clone())),
        None => Ok(names),
    }
}

fn object(line: &str) -> Result<Line, LineError> {
    let quick = serde_json::from_str::<Values>(line).ok().filter(|values| !values.is_empty());
    let values = match quick {
        Some(values) => values,
        // The parser's own words name neither the key nor what would be right.
        None => named(line)?,
    };
    Ok(Line::Answer(Box::new(values.entry()?)))
}

/// The values of an object in other types than those of [`Values`], such as numbers as texts. Of
/// a key that occurs several times, the last value counts, as in other JSON readers.
fn named(line: &str) -> Result<Values, LineError> {
    let wrong = || LineError::Json(shortened(line));
    let object: BTreeMap<String, &RawValue> = serde_json::from_str(line).map_err(|_| wrong())?;
    let mut values = Values::default();
    let mut none = true;
    for (key, value) in &object {
        let Some(key) = known(key) else { continue };
        none = false;
        match value.get() {
            "null" => {}
            text if text.starts_with('"') => {
                let text: String = serde_json::from_str(text).map_err(|_| wrong())?;
                values.set(key, &text)?;
            }
            nested if nested.starts_with(['{', '[']) => {
                return Err(LineError::value(key, nested, NOT_NESTED));
            }
            other => values.set(key, other)?,
        }
    }
    if none { Err(LineError::NoKey) } else { Ok(values) }
}

fn known(key: &str) -> Option<&'static str> {
    KEYS.iter().chain([&FAILED]).find(|known| **known == key).copied()
}

/// What to write instead of an array or an object.
const NOT_NESTED: &str = "write a text or a number";

/// The beginning of a text, for a message, without control characters.
fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    let mut clean = String::new();
    for c in text.chars().take(MOST) {
        match c {
            '\'' | '"' | '\\' => clean.push(c),
            _ => clean.extend(c.escape_debug()),
        }
    }
    if text.chars().count() > MOST { format!("{clean}…") } else { clean }
}

impl Values {
    fn is_empty(&self) -> bool {
        let Self { cluster, pod, namespace, node, zone, region, version, address, failed, .. } =
            self;
        let texts = [cluster, pod, namespace, node, zone, region, version, address, failed];
        texts.into_iter().all(Option::is_none)
            && self.connection.is_none()
            && self.attempt.is_none()
            && self.latency_us.is_none()
            && self.at_us.is_none()
    }

    /// Sets the value of a key. An empty value is one that is not there.
    fn set(&mut self, key: &str, value: &str) -> Result<(), LineError> {
        let value = value.trim();
        if value.is_empty() {
            return Ok(());
        }
        let text = Some(value.to_owned());
        let number = |key, right| {
            let number = value.parse::<f64>().ok().filter(|number| number.is_finite());
            number.map(Some).ok_or_else(|| LineError::value(key, value, right))
        };
        match key {
            "cluster" => self.cluster = text,
            "pod" => self.pod = text,
            "namespace" => self.namespace = text,
            "node" => self.node = text,
            "zone" => self.zone = text,
            "region" => self.region = text,
            "version" => self.version = text,
            "address" => self.address = text,
            "connection" => self.connection = text.map(Value::String),
            "attempt" => self.attempt = number("attempt", ATTEMPT)?,
            "latency_us" => self.latency_us = number("latency_us", LATENCY_US)?,
            "at_us" => self.at_us = number("at_us", AT_US)?,
            _ => self.failed = text,
        }
        Ok(())
    }

    fn entry(self) -> Result<Entry, LineError> {
        let latency_us = micros("latency_us", self.latency_us, MAX_LATENCY_US, LATENCY_US)?;
        let at_us = micros("at_us", self.at_us, MAX_AT_US, AT_US)?;
        let attempt = self.attempt.map(attempt).transpose()?;
        let address = stated(self.address).as_deref().map(address).transpose()?;
        let connection = match self.connection {
            None => None,
            Some(Value::String(text)) => stated(Some(text)),
            Some(nested @ (Value::Array(_) | Value::Object(_))) => {
                return Err(LineError::value("connection", &nested.to_string(), NOT_NESTED));
            }
            Some(other) => Some(other.to_string()),
        };
        let failed = stated(self.failed).and_then(|what| failure(&what));
        let mut identity = Identity::new(
            name("pod", self.pod)?.unwrap_or_else(|| UNKNOWN_POD.to_owned()),
            name("cluster", self.cluster)?.unwrap_or_else(|| UNKNOWN_CLUSTER.to_owned()),
        );
        identity.namespace = name("namespace", self.namespace)?;
        identity.node = name("node", self.node)?;
        identity.zone = name("zone", self.zone)?;
        identity.region = name("region", self.region)?;
        identity.version = name("version", self.version)?;
        let result = failed.map_or(Ok(identity), Err);
        Ok(Entry { url: None, result, address, connection, attempt, latency_us, at_us })
    }
}

const ATTEMPT: &str = "write 1 for the first attempt, 2 for the second";
const LATENCY_US: &str = "write a number of µs from 0 to 3600000000, which is an hour";
const AT_US: &str = "write a number of µs from 0 to 9007199254740992";

/// A time in whole µs, at most `most`.
fn micros(
    key: &'static str,
    given: Option<f64>,
    most: f64,
    right: &'static str,
) -> Result<Option<u64>, LineError> {
    match given {
        Some(us) if (0.0..=most).contains(&us) => Ok(Some(us.round() as u64)),
        Some(us) => Err(LineError::value(key, &written(us), right)),
        None => Ok(None),
    }
}

/// The number of an attempt. Tools that allow a missing number write `1.0`.
fn attempt(given: f64) -> Result<u32, LineError> {
    let possible = (1.0..=f64::from(u32::MAX)).contains(&given) && given.fract() == 0.0;
    if possible {
        Ok(given as u32)
    } else {
        Err(LineError::value("attempt", &written(given), ATTEMPT))
    }
}

/// A number in a message, short even if it is huge.
fn written(number: f64) -> String {
    if number.abs() < 1e21 { number.to_string() } else { format!("{number:e}") }
}

/// A value without the spaces around it, if anything is left of it.
fn stated(given: Option<String>) -> Option<String> {
    let given = given?;
    let text = given.trim();
    match text.len() {
        0 => None,
        same if same == given.len() => Some(given),
        _ => Some(text.to_owned()),
    }
}

fn name(key: &'static str, given: Option<String>) -> Result<Option<String>, LineError> {
    let Some(given) = stated(given) else { return Ok(None) };
    if !printable::is_clean(&given) {
        let right = match given.contains(printable::is_hidden) {
            true => "write a name without control characters",
            false => {
                "write a name that is not a command for a CI system, without '::' at its start and '##'"
            }
        };
        return Err(LineError::value(key, &given, right));
    }
    if given.len() > printable::MAX_NAME {
        return Err(LineError::value(key, &given, "write a name of at most 253 bytes"));
    }
    Ok(Some(given))
}

/// An address with a port, or without one.
fn address(given: &str) -> Result<SocketAddr, LineError> {
    let bare = || given.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 0));
    let right = "write IP or IP:PORT, such as 10.1.2.3:8080";
    given.parse().ok().or_else(bare).ok_or_else(|| LineError::value("address", given, right))
}

/// A failure in somebody's words; `None` if they say that there was no failure. The words may begin
/// with one of our kinds, with an HTTP status, or with curl's exit code: `curl: (7) …`.
fn failure(what: &str) -> Option<Failure> {
    // Some tools write on each line whether it failed.
    if what.eq_ignore_ascii_case("false") || what == "0" {
        return None;
    }
    let first = what.split([':', ' ']).next().unwrap_or_default();
    let kind = FailureKind::ALL.into_iter().find(|kind| kind.word() == first);
    let is_status = first.len() == 3 && first.bytes().all(|byte| byte.is_ascii_digit());
    let of_status = is_status.then_some(FailureKind::Status);
    let kind = kind.or(of_status).or_else(|| of_curl(what)).unwrap_or(FailureKind::Unidentified);
    let what = if what.eq_ignore_ascii_case("true") { "no reason given" } else { what };
    Some(Failure::new(kind, what))
}

/// The kind of failure that curl's exit code names (`man curl`, EXIT CODES).
fn of_curl(what: &str) -> Option<FailureKind> {
    let (code, _) = what.strip_prefix("curl: (")?.split_once(')')?;
    Some(match code {
        "6" => FailureKind::Dns,
        "7" => FailureKind::Connect,
        "28" => FailureKind::Timeout,
        "35" | "51" | "58" | "60" => FailureKind::Tls,
        "52" | "55" | "56" => FailureKind::Reset,
        "1" | "8" | "16" | "18" | "92" => FailureKind::Protocol,
        "22" => FailureKind::Status,
        _ => return None,
    })
}
