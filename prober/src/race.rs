//! Attempts that start one after another without waiting for each other's end. Knows neither names
//! nor connections.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use crate::clock;

/// How a race ended. An attempt is named by its place in the order in which they started.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Raced<T, E> {
    /// The first attempt that succeeded; `None` if all failed, or the time was over.
    pub(crate) won: Option<(usize, T)>,
    /// The attempts that failed before the end, in the order of their failing.
    pub(crate) failed: Vec<(usize, E)>,
    /// How many attempts started.
    pub(crate) started: usize,
}

impl<T, E> Raced<T, E> {
    /// The attempts that had neither succeeded nor failed at the end, in order.
    pub(crate) fn unfinished(&self) -> impl Iterator<Item = usize> {
        let ended = |n: &usize| {
            self.won.as_ref().is_some_and(|(won, _)| won == n)
                || self.failed.iter().any(|(failed, _)| failed == n)
        };
        (0..self.started).filter(move |n| !ended(n))
    }
}

/// Starts each attempt when the last one has failed, or has been silent for the time beside it. All of
/// them go on until the first success, which drops the others, or until `limit` is over.
///
/// The iterator is asked for an attempt when it is to start.
pub(crate) async fn staggered<T, E, F>(
    limit: Duration,
    attempts: impl IntoIterator<Item = (F, Duration)>,
) -> Raced<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let end = clock::now() + limit;
    let mut attempts = attempts.into_iter().fuse();
    let mut running = FuturesUnordered::new();
    let mut raced = Raced { won: None, failed: Vec::new(), started: 0 };
    loop {
        let left = end.saturating_duration_since(clock::now());
        let wait = match attempts.next() {
            Some((attempt, wait)) => {
                let place = raced.started;
                raced.started += 1;
                running.push(async move { (place, attempt.await) });
                wait.min(left)
            }
            None if running.is_empty() => return raced,
            None => left,
        };
        let mut timer = pin!(tokio::time::sleep(wait));
        loop {
            tokio::select! {
                // A result that is there counts, also if the time is over by now.
                biased;
                Some((place, result)) = running.next() => match result {
                    Ok(won) => {
                        raced.won = Some((place, won));
                        return raced;
                    }
                    Err(why) => {
                        raced.failed.push((place, why));
                        if place + 1 == raced.started || running.is_empty() {
                            break;
                        }
                    }
                },
                () = &mut timer => break,
            }
        }
        if clock::now() >= end {
            return raced;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::pending;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(20);

    /// What an attempt does.
    #[derive(Clone, Copy)]
    enum Does {
        Succeed,
        Fail,
        /// Succeeds after so many milliseconds.
        Late(u64),
        Nothing,
    }
    use Does::{Fail, Late, Nothing, Succeed};

    /// Runs a race in which each next attempt starts after `wait`; which attempts started, in order.
    fn race(limit: Duration, wait: Duration, all: &[Does]) -> (Raced<usize, usize>, Vec<usize>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let started = RefCell::new(Vec::new());
        let attempt = |(n, does): (usize, &Does)| {
            started.borrow_mut().push(n);
            let does = *does;
            let attempt = async move {
                match does {
                    Succeed => Ok(n),
                    Fail => Err(n),
                    Late(ms) => {
                        tokio::time::sleep(Duration::from_millis(ms)).await;
                        Ok(n)
                    }
                    Nothing => pending().await,
                }
            };
            (attempt, wait)
        };
        let attempts = all.iter().enumerate().map(attempt);
        let raced = runtime.block_on(staggered(limit, attempts));
        (raced, started.into_inner())
    }

    #[test]
    fn the_first_that_works_is_used_alone() {
        let (raced, started) = race(LONG, LONG, &[Succeed, Succeed]);
        assert_eq!(raced, Raced { won: Some((0, 0)), failed: vec![], started: 1 });
        assert_eq!(started, [0]);
    }

    #[test]
    fn a_failure_starts_the_next_at_once() {
        let (raced, _) = race(LONG, LONG, &[Fail, Fail, Succeed, Succeed]);
        assert_eq!(raced, Raced { won: Some((2, 2)), failed: vec![(0, 0), (1, 1)], started: 3 });
        let (raced, _) = race(LONG, LONG, &[Fail, Fail]);
        assert_eq!(raced, Raced { won: None, failed: vec![(0, 0), (1, 1)], started: 2 });
        assert_eq!(race(LONG, LONG, &[]).0, Raced { won: None, failed: vec![], started: 0 });
    }

    #[test]
    fn a_silent_attempt_goes_on_beside_the_next_ones() {
        let (raced, _) = race(LONG, SHORT, &[Nothing, Fail, Succeed]);
        assert_eq!(raced, Raced { won: Some((2, 2)), failed: vec![(1, 1)], started: 3 });
        assert_eq!(raced.unfinished().collect::<Vec<_>>(), [0]);
        // What comes late counts, if nothing else did.
        let (raced, _) = race(LONG, SHORT, &[Late(100), Fail, Fail]);
        assert_eq!(raced, Raced { won: Some((0, 0)), failed: vec![(1, 1), (2, 2)], started: 3 });
    }

    #[test]
    fn an_end_without_success_leaves_all_unfinished() {
        let (raced, _) = race(SHORT * 5, SHORT, &[Nothing, Nothing]);
        assert_eq!(raced, Raced { won: None, failed: vec![], started: 2 });
        assert_eq!(raced.unfinished().collect::<Vec<_>>(), [0, 1]);
        // None starts after the end.
        let (raced, started) = race(SHORT, LONG, &[Nothing, Succeed]);
        assert_eq!((raced.started, started), (1, vec![0]));
    }
}
