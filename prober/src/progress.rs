//! What is seen while a run goes on, on stderr: a few live lines on a terminal, a
//! plain line every few seconds elsewhere, nothing when quiet.

pub mod stream;
pub mod view;

use std::cell::RefCell;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::clock;
use crate::report::text::Style;
use crate::tally::{Label, Tally};
use view::{Counted, Goal, History, View};

/// How many clusters are counted apart, and one more for all others.
pub const SLOTS: usize = 9;

/// What one thread has ended so far. Each thread has its own, so that counting
/// costs no more than a write to memory that nobody else writes.
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

/// The clusters' names, in the order in which they were first seen; as many as are
/// counted apart.
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

/// Counts what one thread ends of one row.
#[derive(Debug)]
pub struct Counter {
    counts: Arc<Counts>,
    names: Arc<Names>,
    /// The slot of each backend's cluster, by the backend's place in the recorder.
    slots: RefCell<Vec<usize>>,
}

impl Counter {
    /// Counts an answer of the backend at `place`; `cluster` is asked for when it is new.
    pub fn answered<'a>(&self, place: usize, cluster: impl FnOnce() -> &'a str) {
        let known = self.slots.borrow().get(place).copied();
        let slot = known.unwrap_or_else(|| {
            let slot = self.names.slot(cluster());
            let mut slots = self.slots.borrow_mut();
            slots.resize(place + 1, slot);
            slot
        });
        add(&self.counts.answers[slot], 1);
    }

    /// Counts a failure.
    pub fn failed(&self) {
        add(&self.counts.failed, 1);
    }
}

/// What has ended so far, of all threads of a run.
#[derive(Debug, Default)]
pub struct Meter {
    threads: Mutex<Vec<Arc<Counts>>>,
    names: Arc<Names>,
    rows: AtomicU64,
}

impl Meter {
    /// A counter for one more thread, of one row.
    #[must_use]
    pub fn thread(&self) -> Counter {
        let counts = Arc::new(Counts::default());
        lock(&self.threads).push(Arc::clone(&counts));
        Counter { counts, names: Arc::clone(&self.names), slots: RefCell::default() }
    }

    /// Counts requests that ended elsewhere.
    pub fn count_all(&self, tally: &Tally) {
        let counts = Counts::default();
        for (cluster, answers) in tally.answers_by(Label::Cluster) {
            add(&counts.answers[self.names.slot(&cluster)], answers);
        }
        add(&counts.failed, tally.failed_requests());
        lock(&self.threads).push(Arc::new(counts));
    }

    /// Counts a row that ended.
    pub fn row_ended(&self) {
        self.rows.fetch_add(1, Ordering::Relaxed);
    }

    fn counted(&self, at: Duration) -> Counted {
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Not at all.
    Quiet,
    /// A line every few seconds.
    Plain,
    /// A few lines on a terminal, drawn again and again, and wiped at the end.
    Live(Style),
}

/// The display of a [`Meter`]; it ends, and wipes what it drew, when dropped.
#[derive(Debug)]
pub struct Display {
    done: Arc<AtomicBool>,
    screen: Arc<Mutex<Screen>>,
    thread: Option<JoinHandle<()>>,
}

impl Display {
    /// Shows `meter` on its way to `goal`.
    #[must_use]
    pub fn start(meter: &Arc<Meter>, goal: Goal, form: Form) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let screen = Arc::new(Mutex::new(Screen::default()));
        let shown = Shown {
            meter: Arc::clone(meter),
            goal,
            start: clock::now(),
            history: History::default(),
            done: Arc::clone(&done),
        };
        let drawn = Arc::clone(&screen);
        let show = move || match form {
            Form::Live(style) => shown.live(style, &drawn),
            _ => shown.plain(),
        };
        let named = thread::Builder::new().name("progress".to_owned());
        let thread = if form == Form::Quiet { None } else { named.spawn(show).ok() };
        Self { done, screen, thread }
    }

    /// Prints a line above what is drawn.
    pub fn note(&self, line: &str) {
        lock(&self.screen).print(line);
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
        lock(&self.screen).draw(&[]);
    }
}

/// Short runs show nothing: a line that flashes by tells nobody anything.
const FIRST: Duration = Duration::from_millis(300);
const LIVE: Duration = Duration::from_millis(100);
const PLAIN: Duration = Duration::from_secs(5);

/// What the display's thread has.
struct Shown {
    meter: Arc<Meter>,
    goal: Goal,
    start: Instant,
    history: History,
    done: Arc<AtomicBool>,
}

impl Shown {
    fn live(mut self, style: Style, screen: &Mutex<Screen>) {
        let mut pause = FIRST;
        while self.wait(pause) {
            let (columns, lines) = terminal_size();
            let view = self.view(|view| view.live(columns, lines, style));
            lock(screen).draw(&view);
            pause = LIVE;
        }
    }

    fn plain(mut self) {
        while self.wait(PLAIN) {
            let line = self.view(|view| view.plain());
            let _ = writeln!(io::stderr(), "prober: {line}");
        }
    }

    /// What there is to show now, as `render` puts it.
    fn view<T>(&mut self, render: impl FnOnce(&View<'_>) -> T) -> T {
        let whole = self.meter.counted(clock::now().saturating_duration_since(self.start));
        let lately = self.history.lately(&whole);
        let clusters = lock(&self.meter.names.0).clone();
        render(&View { clusters: &clusters, goal: self.goal, whole, lately })
    }

    /// Waits for `pause`; `false` as soon as the display is to end.
    fn wait(&self, pause: Duration) -> bool {
        let until = clock::now() + pause;
        while !self.done.load(Ordering::Relaxed) {
            let left = until.saturating_duration_since(clock::now());
            if left.is_zero() {
                return true;
            }
            thread::park_timeout(left);
        }
        false
    }
}

/// Columns and lines of the terminal that stderr is; the usual ones if it does not say.
fn terminal_size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 => (size.ws_col.into(), size.ws_row.max(2).into()),
        _ => (80, 24),
    }
}

/// Lines on a terminal that are drawn over and over.
#[derive(Debug, Default)]
struct Screen {
    /// How many lines are there; the cursor is behind the last one.
    drawn: usize,
}

impl Screen {
    /// Puts these lines in the place of those before. What nobody can see is no error.
    fn draw(&mut self, lines: &[String]) {
        if self.drawn > 0 || !lines.is_empty() {
            let text = format!("{}{}", self.wiped(), lines.join("\r\n"));
            let _ = io::stderr().write_all(text.as_bytes());
            self.drawn = lines.len();
        }
    }

    /// Prints a line that stays.
    fn print(&mut self, line: &str) {
        let wiped = self.wiped();
        let _ = io::stderr().write_all(format!("{wiped}{line}\n").as_bytes());
        self.drawn = 0;
    }

    /// What wipes the lines, and leaves the cursor where they began.
    fn wiped(&self) -> String {
        match self.drawn {
            0 => String::new(),
            1 => "\r\u{1b}[J".to_owned(),
            drawn => format!("\r\u{1b}[{}A\u{1b}[J", drawn - 1),
        }
    }
}

/// The form for a person's wishes and for what stderr is.
#[must_use]
pub fn form(quiet: bool, style: Style) -> Form {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    match (quiet, io::stderr().is_terminal() && !dumb) {
        (true, _) => Form::Quiet,
        (false, true) => Form::Live(style),
        (false, false) => Form::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(*lock(&meter.names.0), ["kops", "gke1"]);
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
        assert_eq!(lock(&meter.names.0).len(), SLOTS - 1);
    }

    #[test]
    fn rows_that_ended_elsewhere_count_with_their_clusters() {
        let meter = Meter::default();
        let report = crate::report::samples::matrix();
        report.rows.iter().filter_map(crate::report::Row::tally).for_each(|t| meter.count_all(t));
        let counted = meter.counted(Duration::ZERO);
        assert_eq!((counted.answers[0], counted.failed), (154, 50));
    }
}
