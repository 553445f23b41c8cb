//! What is seen on stderr while a run goes on: one live line on a terminal, a
//! plain line every few seconds elsewhere, nothing when quiet.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::clock;

/// What one thread has ended so far. Each thread has its own, so that counting
/// costs no more than a write to memory that nobody else writes.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counts {
    answered: AtomicU64,
    failed: AtomicU64,
}

impl Counts {
    /// Counts one ended request. Only the owning thread may call it.
    pub fn count(&self, answered: bool) {
        let counter = if answered { &self.answered } else { &self.failed };
        counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

/// What has ended so far, of all threads of a run.
#[derive(Debug, Default)]
pub struct Meter {
    threads: Mutex<Vec<Arc<Counts>>>,
}

impl Meter {
    /// Counts for one more thread.
    #[must_use]
    pub fn thread(&self) -> Arc<Counts> {
        let counts = Arc::new(Counts::default());
        self.all().push(Arc::clone(&counts));
        counts
    }

    /// Counts requests that ended elsewhere.
    pub fn count_all(&self, answered: u64, failed: u64) {
        let counts = Counts { answered: answered.into(), failed: failed.into() };
        self.all().push(Arc::new(counts));
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<Counts>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self, planned: Option<u64>) -> String {
        let sum = |counter: fn(&Counts) -> &AtomicU64| -> u64 {
            self.all().iter().map(|counts| counter(counts).load(Ordering::Relaxed)).sum()
        };
        let (answered, failed) = (sum(|c| &c.answered), sum(|c| &c.failed));
        let ended = answered + failed;
        match planned {
            Some(planned) => format!("{ended} of {planned} requests ended, {failed} failed"),
            None => format!("{ended} requests ended, {failed} failed"),
        }
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
    pub fn start(meter: &Arc<Meter>, planned: Option<u64>, quiet: bool) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let live = io::stderr().is_terminal();
        let (meter, over) = (Arc::clone(meter), Arc::clone(&done));
        let show = move || {
            if live {
                live_line(&meter, planned, &over)
            } else {
                plain_lines(&meter, planned, &over)
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

fn live_line(meter: &Meter, planned: Option<u64>, done: &AtomicBool) {
    let mut drawn = false;
    let mut pause = FIRST;
    while wait(pause, done) {
        let _ = write!(io::stderr(), "\r\x1b[2K{}", meter.line(planned));
        drawn = true;
        pause = LIVE;
    }
    if drawn {
        let _ = write!(io::stderr(), "\r\x1b[2K");
    }
}

fn plain_lines(meter: &Meter, planned: Option<u64>, done: &AtomicBool) {
    while wait(PLAIN, done) {
        let _ = writeln!(io::stderr(), "prober: {}", meter.line(planned));
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
