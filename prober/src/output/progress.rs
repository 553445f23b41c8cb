//! Progress on stderr: a few live lines on a terminal, otherwise a plain line every few seconds,
//! nothing with `--quiet`.

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
    screen: Arc<Mutex<Screen>>,
    thread: Option<JoinHandle<()>>,
}

impl Display {
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

    /// Prints a line above the live lines.
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

/// Columns and lines of the terminal on stderr; 80 and 24 if it does not report them.
fn terminal_size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 => (size.ws_col.into(), size.ws_row.max(2).into()),
        _ => (80, 24),
    }
}

/// The live lines on a terminal.
#[derive(Debug, Default)]
struct Screen {
    /// The number of live lines. The cursor is at the end of the last one.
    drawn: usize,
}

impl Screen {
    /// Replaces the live lines. A closed stderr is not an error.
    fn draw(&mut self, lines: &[String]) {
        if self.drawn > 0 || !lines.is_empty() {
            let text = format!("{}{}", self.clearing(), lines.join("\r\n"));
            let _ = io::stderr().write_all(text.as_bytes());
            self.drawn = lines.len();
        }
    }

    /// Clears the live lines and prints a line that stays.
    fn print(&mut self, line: &str) {
        let clearing = self.clearing();
        let _ = io::stderr().write_all(format!("{clearing}{line}\n").as_bytes());
        self.drawn = 0;
    }

    /// The escape sequence that clears the live lines and moves the cursor to their start.
    fn clearing(&self) -> String {
        match self.drawn {
            0 => String::new(),
            1 => "\r\u{1b}[J".to_owned(),
            drawn => format!("\r\u{1b}[{}A\u{1b}[J", drawn - 1),
        }
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
