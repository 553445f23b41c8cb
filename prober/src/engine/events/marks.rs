//! `--marks`: instants of a run that the signal SIGUSR1 marks.

use std::sync::Mutex;
use std::time::Instant;

use crate::clock;
use crate::tally::meter::lock;
use crate::tally::{EventEnding, EventRecord};
use crate::units::micros;

/// Further marks are ignored, so that the report stays readable.
const MOST: usize = 1000;

/// Signals belong to the process, so marks do too.
static MARKS: Mutex<Vec<Instant>> = Mutex::new(Vec::new());

pub fn now() {
    let mut marks = lock(&MARKS);
    if marks.len() < MOST {
        marks.push(clock::now());
    }
}

/// The marks from `start` to `end` as events; their times count from `start`.
pub(crate) fn between(start: Instant, end: Instant) -> Vec<EventRecord> {
    let marks = lock(&MARKS);
    let marks = marks.iter().filter(|mark| (start..=end).contains(*mark));
    marks.map(|mark| record(micros(*mark - start))).collect()
}

fn record(at_us: u64) -> EventRecord {
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
    fn a_mark_is_an_event_of_the_run_in_which_it_was_made() {
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
