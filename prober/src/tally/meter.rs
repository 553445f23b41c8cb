//! Live counts of a run for progress. Each request costs one write to memory that only its own
//! thread writes.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::label::Label;
use super::totals::Tally;

/// The clusters that are counted separately, and one slot for all others.
pub(crate) const SLOTS: usize = 9;

/// The counts of one thread, in cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counts {
    answers: [AtomicU64; SLOTS],
    failed: AtomicU64,
}

/// Adds to a counter that only this thread writes.
fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Ordering::Relaxed) + more, Ordering::Relaxed);
}

/// The names of the clusters that are counted separately, in the order of their first answer.
#[derive(Debug, Default)]
struct Names(Mutex<Vec<String>>);

impl Names {
    fn slot(&self, cluster: &str) -> usize {
        let mut names = lock(&self.0);
        let known = names.iter().position(|name| name == cluster);
        known.unwrap_or_else(|| {
            if names.len() < SLOTS - 1 {
                names.push(cluster.to_owned());
                names.len() - 1
            } else {
                SLOTS - 1
            }
        })
    }
}

/// Counts the ended requests of one thread and one row.
#[derive(Debug)]
pub(crate) struct Counter {
    counts: Arc<Counts>,
    names: Arc<Names>,
    /// The slot of each backend's cluster, by the backend's index in the recorder.
    slots: RefCell<Vec<usize>>,
}

impl Counter {
    /// Counts an answer of the backend with this index; `cluster` is called if it is new.
    pub(crate) fn answered<'a>(&self, place: usize, cluster: impl FnOnce() -> &'a str) {
        let known = self.slots.borrow().get(place).copied();
        let slot = known.unwrap_or_else(|| {
            let slot = self.names.slot(cluster());
            let mut slots = self.slots.borrow_mut();
            slots.resize(place + 1, slot);
            slot
        });
        add(&self.counts.answers[slot], 1);
    }

    pub(crate) fn failed(&self) {
        add(&self.counts.failed, 1);
    }
}

/// The live counts of all threads of a run.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    threads: Mutex<Vec<Arc<Counts>>>,
    names: Arc<Names>,
    rows: AtomicU64,
}

impl Meter {
    /// A counter for one more thread of a row.
    #[must_use]
    pub(crate) fn thread(&self) -> Counter {
        let counts = Arc::new(Counts::default());
        lock(&self.threads).push(Arc::clone(&counts));
        Counter { counts, names: Arc::clone(&self.names), slots: RefCell::default() }
    }

    /// Adds the counts of a row that another process ran.
    pub(crate) fn count_all(&self, tally: &Tally) {
        let counts = Counts::default();
        for (cluster, answers) in tally.answers_by(Label::Cluster) {
            add(&counts.answers[self.names.slot(&cluster)], answers);
        }
        add(&counts.failed, tally.failed_requests());
        lock(&self.threads).push(Arc::new(counts));
    }

    /// The names of the clusters that are counted separately, in the order of their first answer.
    #[must_use]
    pub(crate) fn clusters(&self) -> Vec<String> {
        lock(&self.names.0).clone()
    }

    pub(crate) fn row_ended(&self) {
        self.rows.fetch_add(1, Ordering::Relaxed);
    }

    /// The sum over all threads; `at` is the time since the start of the run.
    #[must_use]
    pub(crate) fn counted(&self, at: Duration) -> Counted {
        let rows = self.rows.load(Ordering::Relaxed);
        let mut sum = Counted { at, rows, ..Counted::default() };
        for counts in lock(&self.threads).iter() {
            sum.failed += counts.failed.load(Ordering::Relaxed);
            for (sum, answers) in sum.answers.iter_mut().zip(&counts.answers) {
                *sum += answers.load(Ordering::Relaxed);
            }
        }
        sum
    }
}

/// Locks a mutex, even if a thread panicked while it held the lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The counts at an instant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Time since the start of the run.
    pub at: Duration,
    /// Rows that ended.
    pub rows: u64,
    pub failed: u64,
    /// Answers per cluster, in the order of [`Meter::clusters`]; the last one is all others.
    pub answers: [u64; SLOTS],
}

impl Counted {
    #[must_use]
    pub(crate) fn answered(&self) -> u64 {
        self.answers.iter().sum()
    }

    #[must_use]
    pub(crate) fn ended(&self) -> u64 {
        self.answered() + self.failed
    }

    /// The difference to an earlier instant.
    #[must_use]
    pub(crate) fn since(&self, before: &Self) -> Self {
        let mut answers = self.answers;
        answers.iter_mut().zip(before.answers).for_each(|(own, less)| *own -= less.min(*own));
        let failed = self.failed.saturating_sub(before.failed);
        Self { at: self.at.saturating_sub(before.at), rows: self.rows, failed, answers }
    }
}

#[cfg(test)]
mod tests {
    use echo_reply::Identity;

    use super::*;
    use crate::tally::outcome::Failure;
    use crate::tally::outcome::FailureKind;
    use crate::tally::{BackendTally, FailureGroup};

    #[test]
    fn threads_of_several_rows_are_counted_per_cluster() {
        let meter = Meter::default();
        let (a, b) = (meter.thread(), meter.thread());
        a.answered(0, || "kops");
        a.answered(0, || unreachable!("it is known"));
        a.answered(1, || "gke1");
        // Another thread meets them in another order.
        b.answered(0, || "gke1");
        b.failed();
        meter.row_ended();
        let counted = meter.counted(Duration::ZERO);
        assert_eq!((counted.answers[..3].to_vec(), counted.failed), (vec![2, 2, 0], 1));
        assert_eq!(meter.clusters(), ["kops", "gke1"]);
        assert_eq!(counted.rows, 1);
    }

    #[test]
    fn clusters_beyond_the_slots_are_the_others() {
        let meter = Meter::default();
        let counter = meter.thread();
        for place in 0..30 {
            let name = format!("c{place}");
            counter.answered(place, || &name);
        }
        let counted = meter.counted(Duration::ZERO);
        assert_eq!(counted.answers, [1, 1, 1, 1, 1, 1, 1, 1, 22]);
        assert_eq!(meter.clusters().len(), SLOTS - 1);
    }

    #[test]
    fn rows_that_ended_elsewhere_count_with_their_clusters() {
        let meter = Meter::default();
        let mut tally = Tally::default();
        for (cluster, pod, answers) in [("kops", "a", 50), ("gke1", "b", 54), ("gke1", "c", 50)] {
            let backend = BackendTally { answers, ..BackendTally::default() };
            tally.backends.insert(Identity::new(pod, cluster), backend);
        }
        let (kind, what) = (FailureKind::Reset, "gone".to_owned());
        tally.failures.push(FailureGroup::new(Failure::new(kind, what), 50));
        meter.count_all(&tally);
        let counted = meter.counted(Duration::ZERO);
        assert_eq!((counted.answers[..2].to_vec(), counted.failed), (vec![104, 50], 50));
    }
}
