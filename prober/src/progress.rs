//! What is seen on stderr while a run goes on: one live line on a terminal, a
//! plain line every few seconds elsewhere, nothing when quiet.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::clock;

/// Counts what has ended so far; shared by all threads of a run.
#[derive(Debug, Default)]
pub struct Meter {
    answered: AtomicU64,
    failed: AtomicU64,
}

impl Meter {
    /// Counts one ended request.
    pub fn count(&self, answered: bool) {
        let counter = if answered { &self.answered } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts requests that ended elsewhere.
    pub fn count_all(&self, answered: u64, failed: u64) {
        self.answered.fetch_add(answered, Ordering::Relaxed);
        self.failed.fetch_add(failed, Ordering::Relaxed);
    }

    fn line(&self, requests: u64) -> String {
        let failed = self.failed.load(Ordering::Relaxed);
        let ended = self.answered.load(Ordering::Relaxed) + failed;
        format!("{ended} of {requests} requests ended, {failed} failed")
    }
}

/// The display of a [`Meter`]; it ends, and wipes its line, when dropped.
#[derive(Debug)]
pub struct Display {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Display {
    /// Shows `meter` against the number of requests planned, unless `quiet`.
    #[must_use]
    pub fn start(meter: &Arc<Meter>, requests: u64, quiet: bool) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let live = io::stderr().is_terminal();
        let (meter, over) = (Arc::clone(meter), Arc::clone(&done));
        let show = move || {
            if live {
                live_line(&meter, requests, &over)
            } else {
                plain_lines(&meter, requests, &over)
            }
        };
        let thread = if quiet { None } else { thread::Builder::new().spawn(show).ok() };
        Self { done, thread }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// Short runs show nothing: a line that flashes by tells nobody anything.
const FIRST: Duration = Duration::from_millis(300);
const LIVE: Duration = Duration::from_millis(100);
const PLAIN: Duration = Duration::from_secs(5);

fn live_line(meter: &Meter, requests: u64, done: &AtomicBool) {
    let mut drawn = false;
    let mut pause = FIRST;
    while wait(pause, done) {
        let _ = write!(io::stderr(), "\r\x1b[2K{}", meter.line(requests));
        drawn = true;
        pause = LIVE;
    }
    if drawn {
        let _ = write!(io::stderr(), "\r\x1b[2K");
    }
}

fn plain_lines(meter: &Meter, requests: u64, done: &AtomicBool) {
    while wait(PLAIN, done) {
        let _ = writeln!(io::stderr(), "prober: {}", meter.line(requests));
    }
}

/// Waits for `pause`; `false` as soon as the display is to end.
fn wait(pause: Duration, done: &AtomicBool) -> bool {
    let until = clock::now() + pause;
    while !done.load(Ordering::Relaxed) {
        let left = until.saturating_duration_since(clock::now());
        if left.is_zero() {
            return true;
        }
        thread::park_timeout(left);
    }
    false
}
