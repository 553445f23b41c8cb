//! The object `explanation` of a row: what was found, and what was read for it. Read back are only
//! the readings; what they mean is found anew.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::diagnosis::{Finding, Readings, evidence::Reading};
use crate::report::Row;

/// The object.
#[derive(Serialize)]
pub(super) struct Entry {
    findings: Vec<Finding>,
    unknown: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    well: Option<String>,
    envoys: Vec<Reading>,
}

/// The object of a row, where something was to be explained.
pub(super) fn entry(row: &Row) -> Option<Entry> {
    let found = row.explanation()?;
    let envoys = row.readings.as_ref()?.envoys.clone();
    let (findings, unknown, well) = (found.findings, found.unknown, found.well);
    Some(Entry { findings, unknown, well, envoys })
}

/// The readings in such an object, without what could steer a terminal.
pub(super) fn readings(mut entry: Value) -> Result<Readings, serde_json::Error> {
    plain(&mut entry);
    Readings::deserialize(entry)
}

fn plain(value: &mut Value) {
    match value {
        Value::String(text) => *text = super::plain(text),
        Value::Array(all) => all.iter_mut().for_each(plain),
        Value::Object(all) => {
            let taken = std::mem::take(all);
            for (name, mut value) in taken {
                plain(&mut value);
                all.insert(super::plain(&name), value);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
