//! `prober watch`: probes every row continuously, each on its own schedule, and serves metrics and
//! a live page. Everything in `watch/` except the server is pure.

pub(crate) mod lifetime;
pub(crate) mod page;
pub(crate) mod server;
pub(crate) mod settings;
pub(crate) mod state;
pub(crate) mod window;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::matrix;
use crate::matrix::file::Matrix;
use crate::report::Report;
use crate::tally::meter::{Meter, lock};
use crate::units::count;
use settings::Settings;
use state::{Ended, State};

/// Why watching could not start.
#[derive(Debug, Error)]
pub enum WatchError {
    #[error(transparent)]
    Settings(#[from] settings::SettingsError),
    #[error(transparent)]
    Listen(#[from] server::ListenError),
    #[error("cannot start watching: {}", usage::local_limit(.0))]
    Runtime(#[from] io::Error),
}

/// Probes all rows until `stop`, and returns the report of the last window. `note` gets one line
/// per change; the first line has the address of the metrics and the page.
///
/// # Errors
/// Before the first request: if it cannot listen on the address, or if the system refuses
/// resources.
pub(crate) fn run(
    matrix: Matrix,
    settings: Settings,
    stop: &CancellationToken,
    note: &dyn Fn(&str),
) -> Result<Report, WatchError> {
    let asked: Vec<_> = matrix.rows.iter().cloned().map(Arc::new).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // All rows may probe at the same time.
        .max_blocking_threads(asked.len().max(1))
        .build()?;
    let state = State::new(matrix, settings.rhythm, clock::wall());
    let live = Live { state: Arc::new(Mutex::new(state)), began: clock::now() };
    runtime.block_on(async {
        let listener = server::bind(settings.listen)?;
        let interval = settings.rhythm.interval;
        note(&format!(
            "watching {} every {}; metrics and a live page are at http://{}/",
            count(asked.len() as u64, "target"),
            usage::duration::format(interval),
            listener.local_addr()?,
        ));
        let _server = server::start(listener, live.clone(), settings.hosts)?;
        let rows = asked.iter().enumerate().map(|(place, row)| {
            // Spreads the rows over the interval.
            let rows = u32::try_from(asked.len()).unwrap_or(u32::MAX).max(1);
            let part = u32::try_from(place).unwrap_or(u32::MAX);
            let first = live.began + interval / rows * part;
            live.watch(Scheduled { place, row, first, interval }, stop, note)
        });
        join_all(rows).await;
        Ok(live.now().report())
    })
}

/// A row and the schedule of its rounds.
struct Scheduled<'a> {
    place: usize,
    row: &'a Arc<matrix::Row>,
    first: Instant,
    interval: Duration,
}

/// The state, and the origin of its monotonic clock.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    state: Arc<Mutex<State>>,
    began: Instant,
}

impl Live {
    /// The current state.
    pub(crate) fn now(&self) -> MutexGuard<'_, State> {
        let now = clock::now().saturating_duration_since(self.began);
        let mut state = lock(&self.state);
        state.refresh(now);
        state
    }

    /// Probes one row on an interval until `stop`. A round that takes longer than the interval
    /// skips the rounds that it missed.
    async fn watch(&self, scheduled: Scheduled<'_>, stop: &CancellationToken, note: &dyn Fn(&str)) {
        let Scheduled { place, row, first, interval } = scheduled;
        let mut due = first;
        let until = |due: Instant| tokio::time::sleep_until(due.into());
        while stop.run_until_cancelled(until(due)).await.is_some() {
            let (row, stop) = (Arc::clone(row), stop.clone());
            let live = self.clone();
            let round = tokio::task::spawn_blocking(move || live.round(place, &row, &stop));
            match round.await {
                Ok(lines) => lines.iter().for_each(|line| note(line)),
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
            due = after(due, interval, clock::now());
        }
    }

    /// Runs one round of a row. Returns one line per change.
    fn round(&self, place: usize, row: &matrix::Row, stop: &CancellationToken) -> Vec<String> {
        let started = clock::now();
        let probed = row.probe(stop, &Meter::default()).map_err(|error| error.reason);
        if probed.is_err() && stop.is_cancelled() {
            return Vec::new();
        }
        let now = clock::now();
        let at = now.saturating_duration_since(self.began);
        let took = now.saturating_duration_since(started);
        lock(&self.state).add(place, Ended { at, ended: clock::wall(), took, probed })
    }
}

/// The first start after `now`, at a multiple of the interval after `due`.
fn after(due: Instant, interval: Duration, now: Instant) -> Instant {
    let late = now.saturating_duration_since(due).as_nanos();
    let passed = late / interval.as_nanos().max(1);
    let intervals = u32::try_from(passed).unwrap_or(u32::MAX).saturating_add(1);
    due + interval.saturating_mul(intervals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_start_on_the_interval_and_skip_missed_ones() {
        let (due, second) = (clock::now(), Duration::from_secs(1));
        let next = |late: f64| (after(due, second, due + second.mul_f64(late)) - due).as_secs();
        assert_eq!([0.0, 0.2, 0.999, 1.0, 1.5, 7.2].map(next), [1, 1, 1, 2, 2, 8]);
    }
}
