//! Instants that a signal marks: `--marks`, and SIGUSR1.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::clock;
use crate::tally::{EventEnding, EventRecord};
use crate::units::micros;

/// More are not noted: a report is to be read.
const MOST: usize = 1000;

/// Of the process, as signals are.
static MARKS: Mutex<Vec<Instant>> = Mutex::new(Vec::new());

/// Marks this instant.
pub fn now() {
    let mut marks = MARKS.lock().unwrap_or_else(PoisonError::into_inner);
    if marks.len() < MOST {
        marks.push(clock::now());
    }
}

/// The marks of a run that was counted from `start` to `end`, as events.
pub(crate) fn between(start: Instant, end: Instant) -> Vec<EventRecord> {
    let marks = MARKS.lock().unwrap_or_else(PoisonError::into_inner);
    let marks = marks.iter().filter(|mark| (start..=end).contains(*mark));
    marks.map(|mark| happened(micros(*mark - start))).collect()
}

fn happened(at_us: u64) -> EventRecord {
    EventRecord {
        at_us,
        began_us: Some(at_us),
        command: "SIGUSR1".into(),
        took_us: None,
        end: EventEnding::Marked,
        output: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_mark_is_an_event_of_the_run_that_it_falls_into() {
        let start = clock::now();
        now();
        let end = clock::now();
        let marked = between(start, end);
        assert_eq!(marked.len(), 1, "{marked:?}");
        assert!(marked[0].began_us.unwrap() <= micros(end - start));
        assert_eq!((&marked[0].end, marked[0].command.as_str()), (&EventEnding::Marked, "SIGUSR1"));
        let later = end + Duration::from_secs(1);
        assert_eq!(between(later, later), []);
    }
}
