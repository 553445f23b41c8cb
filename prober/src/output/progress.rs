//! What is seen while a run goes on, on stderr: a few live lines on a terminal, a
//! plain line every few seconds elsewhere, nothing when quiet.

pub(crate) mod stream;
pub(crate) mod view;

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::clock;
use crate::report::text::Style;
use crate::tally::meter::{Meter, lock};
use view::{Goal, History, View};

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Not at all.
    Quiet,
    /// A line every few seconds.
    Plain,
    /// A few lines on a terminal, drawn again and again, and wiped at the end.
    Live(Style),
}

/// The display of a [`Meter`]; it ends, and wipes what it drew, when dropped.
#[derive(Debug)]
pub(crate) struct Display {
    done: Arc<AtomicBool>,
    screen: Arc<Mutex<Screen>>,
    thread: Option<JoinHandle<()>>,
}

impl Display {
    /// Shows `meter` on its way to `goal`.
    #[must_use]
    pub(crate) fn start(meter: &Arc<Meter>, goal: Goal, form: Form) -> Self {
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
    pub(crate) fn note(&self, line: &str) {
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
        let clusters = self.meter.clusters();
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
pub(crate) fn form(quiet: bool, style: Style) -> Form {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    match (quiet, io::stderr().is_terminal() && !dumb) {
        (true, _) => Form::Quiet,
        (false, true) => Form::Live(style),
        (false, false) => Form::Plain,
    }
}
