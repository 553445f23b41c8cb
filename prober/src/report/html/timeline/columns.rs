//! The bins of a timeline, merged into the columns of a plot.

use std::time::Duration;

use crate::report::groups::Clusters;
use crate::report::html::plot;
use crate::tally::EventRecord;
use crate::tally::Tally;
use crate::tally::sketch::Sketch;
use crate::tally::timeline::Cell;
use crate::units::{shown_round, shown_time};

/// The most columns of a plot.
const MOST: usize = 120;

/// The values that are drawn, by column.
pub(super) struct Columns {
    /// The width of a column.
    pub(super) width_us: u64,
    /// The width of the plot: it covers all columns and all events.
    pub(super) span_us: u64,
    /// The place of each cluster that answered, and its answers. Other clusters are last.
    pub(super) clusters: Vec<(usize, Vec<u64>)>,
    /// The failures of all kinds.
    pub(super) failed: Vec<u64>,
    /// The p99 latency, accurate to 5 %.
    pub(super) p99_us: Vec<Option<u32>>,
}

impl Columns {
    /// The columns of a tally; `None` if it has no timeline, or an empty one.
    pub(super) fn of(tally: &Tally, clusters: &Clusters<'_>) -> Option<Self> {
        let timeline = tally.timeline.as_ref().filter(|timeline| timeline.bins() > 0)?;
        let bins = timeline.bins();
        let group = bins.div_ceil(MOST);
        let length = bins.div_ceil(group);
        let named = clusters.names().len();
        let mut answers = vec![vec![0; length]; named + 1];
        let mut times = vec![(Sketch::default(), 0); length];
        let lanes =
            timeline.backends.iter().map(|(who, cells)| (clusters.place(&who.cluster), cells));
        for (place, cells) in lanes.chain([(named, &timeline.others)]) {
            for (bin, cell) in cells.iter().enumerate() {
                answers[place][bin / group] += cell.answers;
                add(&mut times[bin / group], cell);
            }
        }
        let mut failed = vec![0; length];
        for (bin, counts) in timeline.failures.iter().enumerate() {
            failed[bin / group] += counts.iter().sum::<u64>();
        }
        let width_us = timeline.width_ms.saturating_mul(1000).saturating_mul(group as u64);
        let events = tally.events.iter().map(EventRecord::instant_us).max().unwrap_or(0);
        Some(Self {
            width_us,
            span_us: width_us.saturating_mul(length as u64).max(events).max(1),
            clusters: answers
                .into_iter()
                .enumerate()
                .filter(|(_, counts)| counts.iter().any(|count| *count > 0))
                .collect(),
            failed,
            p99_us: times
                .iter()
                .map(|(sketch, max)| Some(sketch.quantile(0.99)?.min(*max)))
                .collect(),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.failed.len()
    }

    /// When a column starts, to show.
    pub(super) fn start(&self, place: usize) -> String {
        shown_round(place as f64 * self.width_us as f64)
    }

    /// The p99 latency of a column, to show.
    pub(super) fn p99(&self, place: usize) -> String {
        shown_time(self.p99_us[place].map(|us| Duration::from_micros(us.into())))
    }

    /// The part of the plot's width that one column takes.
    pub(super) fn part(&self) -> f64 {
        self.width_us as f64 / self.span_us as f64
    }

    /// The horizontal position of an instant.
    pub(super) fn percent(&self, us: u64) -> String {
        plot::percent(us as f64 / self.span_us as f64)
    }

    /// The answers of the column that has the most.
    pub(super) fn most_answers(&self) -> u64 {
        let sum = |place: usize| self.clusters.iter().map(|(_, counts)| counts[place]).sum();
        (0..self.len()).map(sum).max().unwrap_or(0)
    }
}

fn add(column: &mut (Sketch, u32), cell: &Cell) {
    column.0.merge(&cell.sketch);
    column.1 = column.1.max(cell.max_us);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn bins_become_columns_without_loss() {
        for (report, length, width) in
            [(samples::timeline(), 40, 100_000), (samples::many_pods(), 0, 0)]
        {
            let tally = report.rows[0].tally().unwrap();
            let columns = Columns::of(tally, &Clusters::of(&report)).unwrap();
            let answers: u64 = columns.clusters.iter().flat_map(|(_, counts)| counts).sum();
            assert_eq!(answers, tally.answers());
            assert_eq!(columns.failed.iter().sum::<u64>(), tally.failed_requests());
            assert!(columns.len() <= MOST);
            if length > 0 {
                assert_eq!((columns.len(), columns.width_us), (length, width));
                assert_eq!(columns.p99_us[0], Some(10_000), "never above the longest");
            }
        }
    }

    #[test]
    fn without_a_timeline_there_are_none() {
        let report = samples::plain();
        assert!(Columns::of(report.rows[0].tally().unwrap(), &Clusters::of(&report)).is_none());
    }
}
