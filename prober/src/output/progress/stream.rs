//! Progress for programs (`--output ndjson`): one line of JSON per second before the report.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde::Serialize;

use crate::clock;
use crate::tally::meter::lock;
use crate::tally::meter::{Counted, Meter, SLOTS};

/// The time between two lines.
const EACH: Duration = Duration::from_secs(1);

/// The progress so far: `$defs/snapshot` of the schema.
#[derive(Debug, Serialize)]
struct Snapshot<'a> {
    r#type: &'static str,
    seconds: f64,
    requests: u64,
    failed: u64,
    answers: BTreeMap<&'a str, u64>,
    answers_further: u64,
    rows: u64,
}

/// Does `work`, and writes one line per second to `out` until it is done. A write error ends the
/// lines, but not the work.
pub(crate) fn during<T>(
    meter: &Meter,
    out: &mut (dyn Write + Send),
    work: impl FnOnce() -> T,
) -> T {
    let over = Over::default();
    thread::scope(|scope| {
        scope.spawn(|| {
            let start = clock::now();
            let mut lines = 1;
            while !over.within(|| (start + EACH * lines).saturating_duration_since(clock::now())) {
                let at = clock::now().saturating_duration_since(start);
                if out.write_all(&snapshot(meter, at)).and_then(|()| out.flush()).is_err() {
                    return;
                }
                // Skips the lines that it missed.
                lines = u32::try_from(at.as_secs()).unwrap_or(u32::MAX - 1) + 1;
            }
        });
        // The guard also ends the lines if the work panics.
        let _ends = &over.guard();
        work()
    })
}

fn snapshot(meter: &Meter, at: Duration) -> Vec<u8> {
    line(&meter.clusters(), &meter.counted(at))
}

fn line(names: &[String], counted: &Counted) -> Vec<u8> {
    let answers = names.iter().map(String::as_str).zip(counted.answers);
    let snapshot = Snapshot {
        r#type: "snapshot",
        seconds: (counted.at.as_secs_f64() * 1000.0).round() / 1000.0,
        requests: counted.ended(),
        failed: counted.failed,
        answers: answers.take(SLOTS - 1).collect(),
        answers_further: counted.answers[SLOTS - 1],
        rows: counted.rows,
    };
    let mut bytes = serde_json::to_vec(&snapshot).expect("names are strings, floats finite");
    bytes.push(b'\n');
    bytes
}

/// Whether the work is done.
#[derive(Debug, Default)]
struct Over(Mutex<bool>, Condvar);

impl Over {
    /// Waits until the work is done or no time is `left`. Returns whether it is done.
    fn within(&self, left: impl Fn() -> Duration) -> bool {
        let mut over = lock(&self.0);
        while !*over {
            let left = left();
            if left.is_zero() {
                return false;
            }
            over = self.1.wait_timeout(over, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn guard(&self) -> Guard<'_> {
        Guard(self)
    }
}

/// Ends the lines when dropped.
struct Guard<'a>(&'a Over);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        *lock(&self.0.0) = true;
        self.0.1.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_progress() {
        let mut answers = [0; SLOTS];
        answers[..2].copy_from_slice(&[7, 5]);
        answers[SLOTS - 1] = 2;
        let counted = Counted { at: Duration::from_micros(2_000_400), rows: 1, failed: 3, answers };
        let names = ["kops".to_owned(), "gke1".to_owned()];
        assert_eq!(
            String::from_utf8(line(&names, &counted)).unwrap(),
            "{\"type\":\"snapshot\",\"seconds\":2.0,\"requests\":17,\"failed\":3,\
             \"answers\":{\"gke1\":5,\"kops\":7},\"answers_further\":2,\"rows\":1}\n"
        );
    }

    #[test]
    fn short_work_has_no_line_and_keeps_its_value() {
        let mut out = Vec::new();
        assert_eq!(during(&Meter::default(), &mut out, || 7), 7);
        assert!(out.is_empty());
    }
}
