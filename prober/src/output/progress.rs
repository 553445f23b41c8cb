//! Progress on stderr: a few live lines on a terminal, otherwise a plain line every few seconds,
//! nothing with `--quiet`.

mod live;
mod screen;
pub(crate) mod stream;
pub(crate) mod view;

use std::io::{self, IsTerminal as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::terminal;
use crate::clock;
use crate::report::text::Style;
use crate::tally::meter::{Meter, lock};
use live::Live;
use view::{Goal, History, View};

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Quiet,
    /// One line every few seconds.
    Plain,
    /// A few lines on a terminal that are redrawn, and cleared at the end.
    Live(Style),
}

/// Displays a [`Meter`]. Dropping it stops the display and clears its lines.
#[derive(Debug)]
pub(crate) struct Display {
    done: Arc<AtomicBool>,
    live: Arc<Mutex<Option<Live>>>,
    thread: Option<JoinHandle<()>>,
}

impl Display {
    #[must_use]
    pub(crate) fn start(meter: &Arc<Meter>, goal: Goal, form: Form) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let live = Arc::new(Mutex::new(None));
        let shown = Shown {
            meter: Arc::clone(meter),
            goal,
            start: clock::now(),
            history: History::default(),
            done: Arc::clone(&done),
        };
        let drawn = Arc::clone(&live);
        let show = move || match form {
            Form::Live(style) => shown.live(style, &drawn),
            _ => shown.plain(),
        };
        let named = thread::Builder::new().name("progress".to_owned());
        let thread = if form == Form::Quiet { None } else { named.spawn(show).ok() };
        Self { done, live, thread }
    }

    /// Prints a line above the live lines.
    pub(crate) fn note(&self, line: &str) {
        match &*lock(&self.live) {
            Some(live) => live.note(line),
            None => terminal::note(line),
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
        *lock(&self.live) = None;
    }
}

/// Runs shorter than this show no progress.
const FIRST: Duration = Duration::from_millis(300);
const LIVE: Duration = Duration::from_millis(100);
const PLAIN: Duration = Duration::from_secs(5);

/// The state of the display's thread.
struct Shown {
    meter: Arc<Meter>,
    goal: Goal,
    start: Instant,
    history: History,
    done: Arc<AtomicBool>,
}

impl Shown {
    fn live(mut self, style: Style, live: &Mutex<Option<Live>>) {
        let mut pause = FIRST;
        while self.wait(pause) {
            self.view(|view| lock(live).get_or_insert_with(|| Live::new(style)).show(view));
            pause = LIVE;
        }
    }

    fn plain(mut self) {
        while self.wait(PLAIN) {
            terminal::note(&self.view(|view| view.plain()));
        }
    }

    /// Renders the current view.
    fn view<T>(&mut self, render: impl FnOnce(&View<'_>) -> T) -> T {
        let whole = self.meter.counted(clock::now().saturating_duration_since(self.start));
        let lately = self.history.lately(&whole);
        let clusters = self.meter.clusters();
        render(&View { clusters: &clusters, goal: self.goal, whole, lately })
    }

    /// Waits for `pause`. Returns `false` as soon as the display should stop.
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

/// The form for the flags and the type of stderr.
#[must_use]
pub(crate) fn form(quiet: bool, style: Style) -> Form {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    match (quiet, io::stderr().is_terminal() && !dumb) {
        (true, _) => Form::Quiet,
        (false, true) => Form::Live(style),
        (false, false) => Form::Plain,
    }
}
