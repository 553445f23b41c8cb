//! The object `explanation` of a row: the findings and the readings that they come from. Only the
//! readings are read back; the findings are computed from them again.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::diagnosis::{Finding, Readings, evidence::Reading};
use crate::report::Row;

#[derive(Serialize)]
pub(super) struct Entry {
    findings: Vec<Finding>,
    unknown: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    well: Option<String>,
    envoys: Vec<Reading>,
}

/// The object of a row; `None` without `--explain`.
pub(super) fn entry(row: &Row) -> Option<Entry> {
    let found = row.explanation()?;
    let envoys = row.readings.as_ref()?.envoys.clone();
    let (findings, unknown, well) = (found.findings, found.unknown, found.well);
    Some(Entry { findings, unknown, well, envoys })
}

/// The readings in such an object, safe to print.
pub(super) fn readings(mut entry: Value) -> Result<Readings, serde_json::Error> {
    plain(&mut entry);
    Readings::deserialize(entry)
}

fn plain(value: &mut Value) {
    match value {
        Value::String(text) => printable::clean_in_place(text),
        Value::Array(all) => all.iter_mut().for_each(plain),
        Value::Object(all) => {
            let taken = std::mem::take(all);
            for (name, mut value) in taken {
                plain(&mut value);
                all.insert(printable::clean(&name).into_owned(), value);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
