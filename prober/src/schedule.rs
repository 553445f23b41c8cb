//! When each request starts: data, no sleeping. A closed loop for now: a
//! request starts as soon as a lane is free, until the count is used up.

use std::sync::atomic::{AtomicU64, Ordering};

/// Hands out the requests of a run, each once, to any number of threads.
#[derive(Debug)]
pub struct Schedule {
    requests: u64,
    next: AtomicU64,
}

impl Schedule {
    /// A closed loop of `requests` requests.
    #[must_use]
    pub fn closed(requests: u64) -> Self {
        Self { requests, next: AtomicU64::new(0) }
    }

    /// The number of the next request, from 0; `None` when all were handed out.
    pub fn next(&self) -> Option<u64> {
        let sequence = self.next.fetch_add(1, Ordering::Relaxed);
        (sequence < self.requests).then_some(sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_handed_out_once() {
        let schedule = Schedule::closed(1000);
        let mut seen: Vec<u64> = std::thread::scope(|scope| {
            let lanes: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| std::iter::from_fn(|| schedule.next()).collect::<Vec<_>>()))
                .collect();
            lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect()
        });
        seen.sort_unstable();
        assert_eq!(seen, (0..1000).collect::<Vec<_>>());
        assert_eq!(schedule.next(), None);
    }
}
