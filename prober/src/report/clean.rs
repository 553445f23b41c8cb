//! Makes the texts of a report safe to print, at the entry: when a row is made, and when a report is
//! read. Every field is named here, so that a new one does not compile until somebody decided. Pure.

use printable::{clean_in_place, clean_lines_in_place, clean_part_in_place};

use super::{Report, Row, RowResult};
use crate::tally::{EventEnding, EventRecord, Tally};
use crate::verdict::Judged;

impl Report {
    /// The same, with texts that are safe to print. What is clean stays as it is.
    #[must_use]
    pub(crate) fn cleaned(mut self) -> Self {
        let Self { run_id, started: _, interrupted: _, matrix: _, clusters, rows } = &mut self;
        run_id.iter_mut().chain(clusters).for_each(clean_in_place);
        rows.iter_mut().for_each(Row::clean);
        self
    }
}

impl Row {
    /// Makes all texts safe to print.
    pub(super) fn clean(&mut self) {
        // Readings are cleaned where a page of an Envoy, or the object of a report, is read.
        let Self { source, target, url, host, protocol: _, address: _, result, gone, readings: _ } =
            self;
        [target, url].into_iter().chain(source).chain(host).chain(gone).for_each(clean_in_place);
        match result {
            RowResult::Unreachable { reason, could_not_run: _ } => clean_in_place(reason),
            RowResult::Probed { tally, verdicts } => {
                clean_tally(tally);
                for Judged { expectation: _, verdict: _, reason } in verdicts {
                    // Names are spelled as in the tables, also at the start of a reason.
                    clean_part_in_place(reason);
                }
            }
        }
    }
}

/// The names of backends are clean, or their answers were refused.
fn clean_tally(tally: &mut Tally) {
    tally.shown.values_mut().for_each(clean_in_place);
    tally.passed_over.values_mut().for_each(|over| clean_in_place(&mut over.why));
    for event in &mut tally.events {
        let EventRecord { at_us: _, began_us: _, command, took_us: _, end, output } = event;
        clean_in_place(command);
        clean_lines_in_place(output);
        if let EventEnding::NotStarted(why) = end {
            clean_in_place(why);
        }
    }
}
