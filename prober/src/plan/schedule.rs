//! When each request starts: data, no sleeping. A closed loop starts a request as soon as a lane
//! is free. An open loop gives each request an instant, even if no lane is free by then.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::stats::random::Random;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    pub end: End,
    pub arrivals: Arrivals,
    /// Requests that start within this time are not counted.
    pub warmup: Duration,
    /// The pace of a closed loop.
    pub pace: Pace,
}

/// Spreads the first requests of a closed loop over a least time, so that a sample says more than
/// how the target was for an instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// Without the warm-up. Zero means without a pace.
    pub over: Duration,
    /// The most requests that start within that time.
    pub requests: u64,
}

impl Pace {
    /// Before when a request may not start, counted from the end of the warm-up.
    fn not_before(self, sequence: u64) -> Option<Duration> {
        let part = sequence as f64 / self.requests.max(1) as f64;
        (!self.over.is_zero() && part < 1.0).then(|| self.over.mul_f64(part))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// This many requests, without those of the warm-up.
    Requests(u64),
    /// This time, without the warm-up.
    After(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrivals {
    /// Each starts when the one before it on its lane has ended.
    Closed,
    /// This many per second, evenly spaced.
    Constant(f64),
    /// This many per second on average, independent of each other (a Poisson process); the second
    /// number is the seed.
    Poisson(f64, u64),
}

/// A request that may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// Its number in the run, from 0; those of the warm-up count from [`WARMUP_SEQUENCE`].
    pub sequence: u64,
    /// When it should start, counted from the start of the run; `None` is now.
    pub due: Option<Duration>,
    /// Before when it may not start, counted likewise.
    pub not_before: Option<Duration>,
    pub warmup: bool,
}

/// The first number of warm-up requests, above all others.
pub(crate) const WARMUP_SEQUENCE: u64 = 1 << 47;
/// The most requests of a run.
pub(crate) const MAX_REQUESTS: u64 = WARMUP_SEQUENCE - 1;

/// Hands out the starts of a schedule to one of several threads. In a closed loop the threads share
/// a counter, so that a faster thread sends more; an open loop is split evenly.
#[derive(Debug)]
pub(crate) struct Share<'a> {
    schedule: Schedule,
    thread: u64,
    threads: u64,
    /// How many starts this thread has taken.
    taken: u64,
    /// The instant of the last Poisson start, in seconds.
    clock: f64,
    random: Option<Random>,
    counter: &'a AtomicU64,
    warmups: u64,
}

impl<'a> Share<'a> {
    /// The share of thread number `thread`, counted from 0; all threads get the same `counter`.
    #[must_use]
    pub(crate) fn new(
        schedule: Schedule,
        thread: u64,
        threads: u64,
        counter: &'a AtomicU64,
    ) -> Self {
        let random = match schedule.arrivals {
            Arrivals::Poisson(_, seed) => Some(Random::new(seed.wrapping_add(thread))),
            _ => None,
        };
        Self { schedule, thread, threads, taken: 0, clock: 0.0, random, counter, warmups: 0 }
    }

    /// The next start; `None` at the end of the schedule. `elapsed` is the time since the start of
    /// the run.
    pub(crate) fn next(&mut self, elapsed: Duration) -> Option<Start> {
        let due = match self.schedule.arrivals {
            Arrivals::Closed => None,
            Arrivals::Constant(rate) => {
                let place = self.taken * self.threads + self.thread;
                Some(Duration::from_secs_f64(place as f64 / rate))
            }
            Arrivals::Poisson(rate, _) => {
                let uniform = self.random.as_mut().map_or(0.5, Random::positive);
                self.clock -= uniform.ln() * self.threads as f64 / rate;
                Some(Duration::from_secs_f64(self.clock))
            }
        };
        self.taken += 1;
        let at = due.unwrap_or(elapsed);
        if at < self.schedule.warmup {
            self.warmups += 1;
            let sequence = WARMUP_SEQUENCE + self.warmups * self.threads + self.thread;
            return Some(Start { sequence, due, not_before: None, warmup: true });
        }
        if let End::After(duration) = self.schedule.end
            && at >= self.schedule.warmup + duration
        {
            return None;
        }
        let sequence = self.counter.fetch_add(1, Ordering::Relaxed);
        if let End::Requests(requests) = self.schedule.end
            && sequence >= requests
        {
            return None;
        }
        let paced = self.schedule.pace.not_before(sequence).filter(|_| due.is_none());
        let not_before = paced.map(|after| self.schedule.warmup + after);
        Some(Start { sequence, due, not_before, warmup: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(schedule: Schedule, threads: u64) -> Vec<Start> {
        let counter = AtomicU64::new(0);
        let mut starts = Vec::new();
        for thread in 0..threads {
            let mut share = Share::new(schedule, thread, threads, &counter);
            while let Some(start) = share.next(Duration::ZERO) {
                starts.push(start);
            }
        }
        starts
    }

    #[test]
    fn every_request_is_handed_out_once() {
        let schedule = Schedule {
            end: End::Requests(1000),
            arrivals: Arrivals::Closed,
            warmup: Duration::ZERO,
            pace: Pace::default(),
        };
        let counter = AtomicU64::new(0);
        let mut seen: Vec<u64> = std::thread::scope(|scope| {
            let lanes: Vec<_> = (0..4)
                .map(|thread| {
                    let counter = &counter;
                    scope.spawn(move || {
                        let mut share = Share::new(schedule, thread, 4, counter);
                        std::iter::from_fn(|| share.next(Duration::ZERO))
                            .map(|start| start.sequence)
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect()
        });
        seen.sort_unstable();
        assert_eq!(seen, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn a_constant_rate_is_even_over_all_threads() {
        let schedule = Schedule {
            end: End::After(Duration::from_secs(2)),
            arrivals: Arrivals::Constant(100.0),
            warmup: Duration::ZERO,
            pace: Pace::default(),
        };
        let mut due: Vec<_> = all(schedule, 3).iter().map(|start| start.due.unwrap()).collect();
        due.sort_unstable();
        assert_eq!(due.len(), 200);
        assert!(due.iter().enumerate().all(|(n, due)| due.as_millis() == n as u128 * 10));
    }

    #[test]
    fn poisson_arrivals_have_their_mean_and_their_variance() {
        let schedule = Schedule {
            end: End::After(Duration::from_secs(100)),
            arrivals: Arrivals::Poisson(100.0, 7),
            warmup: Duration::ZERO,
            pace: Pace::default(),
        };
        let mut due: Vec<_> =
            all(schedule, 2).iter().map(|start| start.due.unwrap().as_secs_f64()).collect();
        due.sort_by(f64::total_cmp);
        // 10,000 ± 100; a fixed seed, so this cannot fail by chance.
        assert!((9_700..10_300).contains(&due.len()), "{}", due.len());
        let mut counts = [0u32; 100];
        due.iter().for_each(|due| counts[*due as usize] += 1);
        let mean = due.len() as f64 / 100.0;
        let variance = counts.iter().map(|n| (f64::from(*n) - mean).powi(2)).sum::<f64>() / 99.0;
        assert!((0.6..1.5).contains(&(variance / mean)), "{variance} of {mean}");
        assert_eq!(all(schedule, 2), all(schedule, 2), "the same seed, the same arrivals");
    }

    #[test]
    fn a_paced_loop_spreads_its_first_requests_and_then_goes_on_freely() {
        let schedule = Schedule {
            end: End::Requests(150),
            arrivals: Arrivals::Closed,
            warmup: Duration::ZERO,
            pace: Pace { over: Duration::from_secs(2), requests: 100 },
        };
        let starts = all(schedule, 2);
        for start in starts {
            let paced =
                (start.sequence < 100).then(|| Duration::from_millis(20) * start.sequence as u32);
            assert_eq!((start.due, start.not_before), (None, paced));
        }
    }

    #[test]
    fn the_warm_up_comes_first_and_is_not_counted() {
        let schedule = Schedule {
            end: End::Requests(10),
            arrivals: Arrivals::Constant(10.0),
            warmup: Duration::from_secs(1),
            pace: Pace::default(),
        };
        let starts = all(schedule, 1);
        assert_eq!(starts.iter().filter(|start| start.warmup).count(), 10);
        let counted: Vec<_> = starts.iter().filter(|s| !s.warmup).map(|s| s.sequence).collect();
        assert_eq!(counted, (0..10).collect::<Vec<_>>());
    }
}
