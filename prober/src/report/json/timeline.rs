//! A timeline as JSON: one array per backend and value, with one entry per bin.
//!
//! `sketch` (base64) is the source of quantiles and merges. For each bin it has the number of
//! buckets that are not empty, then for each of these its index (one byte) and its count.
//! All numbers except the index are LEB128.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use echo_reply::Identity;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::JsonError;
use super::budget::Budget;
use super::leb128;
use crate::tally::Tally;
use crate::tally::outcome::FailureKind;
use crate::tally::sketch::Sketch;
use crate::tally::timeline::{Cell, Failures, MAX_BACKENDS, MAX_BINS, Timeline};

/// One value per bin, written on one line.
struct Line<T>(Vec<T>);

impl<T: Serialize> Serialize for Line<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let line = serde_json::to_string(&self.0).and_then(RawValue::from_string);
        line.map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Line<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self)
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct TimelineEntry {
    width_ms: u64,
    bins: usize,
    backends: Vec<BackendEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    others: Option<CellsEntry>,
    /// Failures by kind, without kinds that did not occur.
    failures: BTreeMap<FailureKind, Line<u64>>,
}

#[derive(Serialize, Deserialize)]
struct BackendEntry {
    #[serde(flatten)]
    identity: Identity,
    #[serde(flatten)]
    cells: CellsEntry,
}

#[derive(Serialize, Deserialize)]
struct CellsEntry {
    answers: Line<u64>,
    retried: Line<u64>,
    /// `null` for bins without answers. On reading, it is computed from the sketch.
    #[serde(skip_deserializing, default = "no_line")]
    p99_us: Line<Option<u32>>,
    max_us: Line<Option<u32>>,
    sketch: String,
}

fn no_line() -> Line<Option<u32>> {
    Line(Vec::new())
}

pub(super) fn entry(timeline: &Timeline) -> TimelineEntry {
    let bins = timeline.bins();
    let backends = timeline.backends.iter().map(|(identity, cells)| BackendEntry {
        identity: identity.clone(),
        cells: cells_entry(cells, bins),
    });
    let failures = FailureKind::ALL.into_iter().enumerate().map(|(place, kind)| {
        let counts = timeline.failures.iter().map(|bin| bin[place]);
        (kind, Line(padded(counts, bins)))
    });
    TimelineEntry {
        width_ms: timeline.width_ms,
        bins,
        backends: backends.collect(),
        others: (!timeline.others.is_empty()).then(|| cells_entry(&timeline.others, bins)),
        failures: failures.filter(|(_, line)| line.0.iter().any(|n| *n > 0)).collect(),
    }
}

fn padded<T: Clone + Default>(values: impl Iterator<Item = T>, bins: usize) -> Vec<T> {
    let mut values: Vec<_> = values.collect();
    values.resize(bins, T::default());
    values
}

fn cells_entry(cells: &[Cell], bins: usize) -> CellsEntry {
    let mut bytes = Vec::new();
    for cell in cells {
        leb128::write(&mut bytes, cell.sketch.entries().count() as u64);
        for (bucket, count) in cell.sketch.entries() {
            bytes.push(bucket);
            leb128::write(&mut bytes, count.into());
        }
    }
    let max = |cell: &Cell| (cell.answers > 0).then_some(cell.max_us);
    CellsEntry {
        answers: Line(padded(cells.iter().map(|cell| cell.answers), bins)),
        retried: Line(padded(cells.iter().map(|cell| cell.retried), bins)),
        p99_us: Line(padded(cells.iter().map(Cell::p99_us), bins)),
        max_us: Line(padded(cells.iter().map(max), bins)),
        sketch: STANDARD.encode(bytes),
    }
}

pub(super) fn timeline(entry: TimelineEntry, budget: &Budget) -> Result<Timeline, JsonError> {
    let TimelineEntry { width_ms, bins, backends, others, failures } = entry;
    let few = backends.len() <= MAX_BACKENDS && bins <= MAX_BINS && width_ms > 0;
    let lines = failures.values().map(|line| line.0.len());
    if !few || lines.into_iter().any(|length| length != bins) {
        return Err(JsonError::Counts("the size of a timeline is wrong"));
    }
    let mut read = Timeline {
        width_ms,
        backends: BTreeMap::new(),
        others: others.map_or(Ok(Vec::new()), |others| cells(others, bins))?,
        failures: vec![Failures::default(); bins],
    };
    for BackendEntry { identity, cells: entry } in backends {
        if !identity.is_printable() {
            return Err(JsonError::Name);
        }
        if read.backends.insert(identity, cells(entry, bins)?).is_some() {
            return Err(JsonError::Counts("a backend is listed twice"));
        }
    }
    for (kind, Line(counts)) in failures {
        for (bin, count) in read.failures.iter_mut().zip(counts) {
            bin[kind as usize] = count;
        }
    }
    let none = |bin: &Failures| bin.iter().all(|count| *count == 0);
    trim(&mut read.failures, none);
    // A bin has a count for each kind, the text perhaps for one only.
    budget.take(size_of_val(read.failures.as_slice()))?;
    Ok(read)
}

fn cells(entry: CellsEntry, bins: usize) -> Result<Vec<Cell>, JsonError> {
    let wrong = || JsonError::Counts("the latencies of a timeline's bin are wrong");
    let CellsEntry { answers: Line(answers), retried: Line(retried), max_us: Line(max), .. } =
        &entry;
    if [answers.len(), retried.len(), max.len()].iter().any(|length| *length != bins) {
        return Err(JsonError::Counts("the size of a timeline is wrong"));
    }
    let bytes = STANDARD.decode(&entry.sketch).map_err(|_| JsonError::Histogram)?;
    let mut rest = bytes.as_slice();
    let mut cells = Vec::new();
    for ((answers, retried), max) in answers.iter().zip(retried).zip(max) {
        let sketch = if rest.is_empty() {
            Sketch::default()
        } else {
            read_sketch(&mut rest).ok_or_else(wrong)?
        };
        // A full bucket stops counting; all others are exact.
        let full = sketch.entries().any(|(_, count)| count == crate::tally::sketch::MAX_COUNT);
        let fits = sketch.count() == *answers || full && sketch.count() < *answers;
        let (answers, retried, max_us) = (*answers, *retried, max.unwrap_or(0));
        if !fits || retried > answers || (max_us > 0) != (answers > 0) {
            return Err(wrong());
        }
        cells.push(Cell { answers, retried, max_us, sketch });
    }
    if !rest.is_empty() {
        return Err(wrong());
    }
    trim(&mut cells, |cell| cell.answers == 0);
    Ok(cells)
}

/// Checks that the sums of the timeline match the tally of the whole run.
pub(super) fn check(timeline: &Timeline, tally: &Tally) -> Result<(), JsonError> {
    let sum = |cells: &[Cell], of: fn(&Cell) -> u64| -> u128 {
        cells.iter().map(|cell| u128::from(of(cell))).sum()
    };
    let total = |of: fn(&Cell) -> u64| {
        timeline.backends.values().map(|cells| sum(cells, of)).sum::<u128>()
            + sum(&timeline.others, of)
    };
    // Answers of a backend may also be in `others`.
    let no_more = timeline.backends.iter().all(|(who, cells)| {
        let whole = tally.backends.get(who).map_or(0, |backend| backend.answers);
        sum(cells, |cell| cell.answers) <= u128::from(whole)
    });
    let failures = |kind: FailureKind| -> u128 {
        timeline.failures.iter().map(|bin| u128::from(bin[kind as usize])).sum()
    };
    let failed = |kind: FailureKind| -> u128 {
        let groups = tally.failures.iter().filter(|group| group.kind == kind);
        groups.map(|group| u128::from(group.count)).sum()
    };
    for (fits, what) in [
        (
            no_more && total(|cell| cell.answers) == u128::from(tally.answers()),
            "the answers of the timeline do not add up",
        ),
        (
            total(|cell| cell.retried) == u128::from(tally.retried()),
            "the retried answers of the timeline do not add up",
        ),
        (
            FailureKind::ALL.into_iter().all(|kind| failures(kind) == failed(kind)),
            "the failures of the timeline do not add up",
        ),
    ] {
        if !fits {
            return Err(JsonError::Counts(what));
        }
    }
    Ok(())
}

/// Removes empty bins at the end.
fn trim<T>(bins: &mut Vec<T>, empty: impl Fn(&T) -> bool) {
    while bins.last().is_some_and(&empty) {
        bins.pop();
    }
    // Otherwise a line of a report that says nothing of 2,400 bins would keep their memory.
    bins.shrink_to_fit();
}

fn read_sketch(bytes: &mut &[u8]) -> Option<Sketch> {
    let entries = leb128::read(bytes)?;
    let mut read = Vec::new();
    for _ in 0..entries {
        let (bucket, rest) = bytes.split_first()?;
        *bytes = rest;
        read.push((*bucket, u32::try_from(leb128::read(bytes)?).ok()?));
    }
    Sketch::from_entries(&read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::json::{parse, render};
    use crate::report::samples;
    use proptest::prelude::*;

    #[test]
    fn a_timeline() {
        let text = String::from_utf8(render(&samples::timeline())).unwrap();
        let from = text.find("\"timeline\"").unwrap();
        let to = from + text[from..].find("\"phases\"").unwrap();
        insta::assert_snapshot!(&text[from..to]);
    }

    #[test]
    fn what_is_written_is_read_back_without_loss() {
        for report in [samples::timeline(), samples::many_pods()] {
            assert!(report.rows[0].tally().unwrap().timeline.is_some());
            assert_eq!(parse(&render(&report)).unwrap(), report);
        }
    }

    #[test]
    fn counts_that_contradict_each_other_are_refused() {
        let text = String::from_utf8(render(&samples::timeline())).unwrap();
        for (from, to, part) in [
            ("\"width_ms\": 100", "\"width_ms\": 0", "size of a timeline"),
            ("\"bins\": 40", "\"bins\": 41", "size of a timeline"),
            ("\"bins\": 40", "\"bins\": 4000000000", "size of a timeline"),
            ("\"answers\": [5,", "\"answers\": [4,", "latencies of a timeline's bin"),
            (
                "\"retried\": [0,",
                "\"retried\": [1,",
                "the retried answers of the timeline do not add up",
            ),
            ("\"retried\": [0,", "\"retried\": [6,", "latencies of a timeline's bin"),
            ("\"max_us\": [9000,", "\"max_us\": [null,", "latencies of a timeline's bin"),
            ("\"reset\": [0,", "\"reset\": [1,", "failures of the timeline"),
            ("\"reset\": [0,", "\"dns\": [0,", "failures of the timeline"),
            ("\"reset\": [0,", "\"reset\": [", "size of a timeline"),
            ("\"sketch\": \"", "\"sketch\": \"!", "histogram"),
            ("\"sketch\": \"", "\"sketch\": \"AAAA", "latencies of a timeline's bin"),
        ] {
            let bad = text.replacen(from, to, 1);
            assert_ne!(bad, text, "{from}");
            let error = parse(bad.as_bytes()).expect_err(to).to_string();
            assert!(error.contains(part), "{from} → {to}: {error}");
        }
        // Two backends with each other's answers: the sums of the whole fit.
        let pods = ["echo2-a", "echo2-b"];
        let at = text.find("\"timeline\"").unwrap();
        let (head, tail) = text.split_at(at);
        let end = tail.find("\"phases\"").unwrap();
        let swapped = tail[..end].replace(pods[0], "?").replace(pods[1], pods[0]);
        let swapped = swapped.replace('?', pods[1]).replace("gke1", "?").replace("kops", "gke1");
        let bad = format!("{head}{}{}", swapped.replace('?', "kops"), &tail[end..]);
        let error = parse(bad.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("answers of the timeline"), "{error}");
    }

    proptest! {
        #[test]
        fn numbers_come_back(number in 0u64..1 << 35) {
            let mut bytes = Vec::new();
            leb128::write(&mut bytes, number);
            let mut rest = bytes.as_slice();
            prop_assert_eq!(leb128::read(&mut rest), Some(number));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let entry = CellsEntry {
                answers: Line(vec![1]),
                retried: Line(vec![0]),
                p99_us: no_line(),
                max_us: Line(vec![Some(1)]),
                sketch: STANDARD.encode(bytes),
            };
            let _ = cells(entry, 1);
        }
    }
}
