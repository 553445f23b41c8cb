//! The terminal on stderr, as indicatif draws on it. Between two frames the cursor is at the start
//! of the first live line, so that it stays there when the terminal changes its width and wraps
//! or joins the lines. Lines are erased one by one: tmux saves a screen that is erased as a whole.

use std::io::{self, Write as _};
use std::sync::Mutex;

use indicatif::TermLike;

use crate::tally::meter::lock;

/// Synchronized output (DEC private mode 2026): a terminal that knows it shows a frame as a whole.
/// Others ignore it.
const BEGIN: &str = "\u{1b}[?2026h";
const END: &str = "\u{1b}[?2026l";

/// Columns and lines of the terminal on stderr; 80 and 24 if it does not report them.
pub(super) fn size() -> (u16, u16) {
    match rustix::termios::tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 => (size.ws_col, size.ws_row.max(2)),
        _ => (80, 24),
    }
}

/// The columns that a live line may use: the last one stays free, so that no line wraps.
pub(super) fn usable(columns: u16) -> u16 {
    // indicatif needs room for a wide character.
    columns.saturating_sub(1).max(2)
}

/// The terminal on stderr. A closed stderr is not an error.
#[derive(Debug, Default)]
pub(super) struct Screen(Mutex<Frame>);

/// What will be written at once.
#[derive(Debug, Default)]
struct Frame {
    text: String,
    /// The cursor's line, counted from the first live line.
    row: usize,
    /// The last line is complete. The next one starts below it.
    line_ended: bool,
    /// The columns of the terminal when it was last drawn on.
    columns: Option<u16>,
}

impl Frame {
    fn up(&mut self, lines: usize) {
        let lines = lines.min(self.row);
        if lines > 0 {
            self.text.push_str(&format!("\u{1b}[{lines}A"));
            self.row -= lines;
        }
    }

    /// Starts a frame. If the width has changed, the old lines may use any number of lines below.
    fn start(&mut self) {
        if !self.text.is_empty() {
            return;
        }
        let (columns, lines) = size();
        if self.columns.replace(columns).is_some_and(|before| before != columns) {
            let erased = "\u{1b}[B\u{1b}[2K".repeat(usize::from(lines) - 1);
            self.text.push_str(&format!("\r\u{1b}7{erased}\u{1b}8"));
        }
    }

    fn write(&mut self, text: &str) {
        // indicatif fills each line with spaces. Without them, fewer lines wrap when the terminal
        // becomes narrower.
        if text.trim_matches(' ').is_empty() {
            self.line_ended = true;
            return;
        }
        if std::mem::take(&mut self.line_ended) {
            self.text.push_str("\r\n");
            self.row += 1;
        }
        self.text.push_str(text);
    }

    fn flush(&mut self) -> io::Result<()> {
        self.up(self.row);
        self.line_ended = false;
        let text = std::mem::take(&mut self.text);
        io::stderr().write_all(format!("{BEGIN}{text}\r{END}").as_bytes())
    }
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        usable(size().0)
    }

    fn height(&self) -> u16 {
        size().1
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        let mut frame = lock(&self.0);
        frame.start();
        frame.up(n);
        Ok(())
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        let mut frame = lock(&self.0);
        frame.text.push_str(&format!("\u{1b}[{n}B"));
        frame.row += n;
        Ok(())
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        lock(&self.0).text.push_str(&format!("\u{1b}[{n}C"));
        Ok(())
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        lock(&self.0).text.push_str(&format!("\u{1b}[{n}D"));
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        lock(&self.0).text.push_str("\r\u{1b}[2K");
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        let mut frame = lock(&self.0);
        frame.write(text);
        frame.line_ended = true;
        Ok(())
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        lock(&self.0).write(text);
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        lock(&self.0).flush()
    }
}
