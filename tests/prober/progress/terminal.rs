//! A pseudo-terminal of ours, read by an emulator.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::harness::{command, wait_until};

/// More lines than any test draws.
const SCROLLBACK: usize = 1000;

/// What a terminal does with lines that are longer than its new width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Narrowing {
    /// It cuts them, as xterm does.
    Cuts,
    /// It wraps them, as tmux and most others do.
    Wraps,
}

/// What each frame ends with. The system may pass a frame on in pieces.
const END_OF_FRAME: &[u8] = b"\x1b[?2026l";

/// A terminal, and what it showed.
pub(super) struct Terminal {
    ours: File,
    parser: vt100::Parser,
    bytes: Vec<u8>,
    /// The screen after each frame.
    pub(super) screens: Vec<String>,
    /// Whether stdout is the terminal too. Otherwise it is a pipe.
    pub(super) has_stdout: bool,
    pub(super) stdout: String,
    child: Option<Pid>,
}

impl Terminal {
    /// A terminal that already shows `text`.
    pub(super) fn showing(text: &str, (lines, columns): (u16, u16)) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&ours).expect("granted");
        unlockpt(&ours).expect("unlocked");
        let mut parser = vt100::Parser::new(lines, columns, SCROLLBACK);
        parser.process(text.as_bytes());
        let terminal = Self {
            ours: ours.into(),
            parser,
            bytes: Vec::new(),
            screens: Vec::new(),
            has_stdout: false,
            stdout: String::new(),
            child: None,
        };
        terminal.report_size();
        terminal
    }

    fn report_size(&self) {
        let (ws_row, ws_col) = self.parser.screen().size();
        let size = Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.ours, size).expect("a size");
    }

    /// The program's side of the terminal.
    fn theirs(&self) -> File {
        let name = ptsname(&self.ours, Vec::new()).expect("a name");
        let path = OsStr::from_bytes(name.as_bytes());
        OpenOptions::new().read(true).write(true).open(path).expect("opened")
    }

    /// Runs a prober to its end, and returns its exit code. `then` is called after frames.
    pub(super) fn run(
        &mut self,
        args: &[&str],
        environment: &[(&str, &str)],
        mut then: impl FnMut(&mut Self),
    ) -> i32 {
        let mut prober: Command = command("prober");
        prober.args(args).env("TERM", "xterm").envs(environment.iter().copied());
        let stdout = if self.has_stdout { self.theirs().into() } else { Stdio::piped() };
        prober.stdin(Stdio::null()).stdout(stdout).stderr(self.theirs());
        let mut child = prober.spawn().expect("the program starts");
        self.child = Some(Pid::from_child(&child));
        // Our copies of the program's side: reading ends when nobody holds it any more.
        drop(prober);
        let mut piece = [0; 4096];
        while let Ok(n @ 1..) = self.ours.read(&mut piece) {
            self.print(&piece[..n]);
            if self.bytes.ends_with(END_OF_FRAME) {
                then(self);
            }
        }
        if let Some(mut stdout) = child.stdout.take() {
            stdout.read_to_string(&mut self.stdout).expect("text");
        }
        let status = wait_until("it ends", || child.try_wait().expect("can be asked"));
        status.code().unwrap_or(-1)
    }

    fn print(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.bytes.push(*byte);
            self.parser.process(&[*byte]);
            if self.bytes.ends_with(END_OF_FRAME) {
                self.screens.push(self.parser.screen().contents());
            }
        }
    }

    /// Presses Ctrl-C: the terminal shows it, and the program gets the signal.
    pub(super) fn interrupt(&mut self) {
        self.parser.process(b"^C");
        kill_process(self.child.expect("it runs"), Signal::INT).expect("it lives");
    }

    pub(super) fn resize(&mut self, columns: u16, narrowing: Narrowing) {
        let (lines, _) = self.parser.screen().size();
        match narrowing {
            Narrowing::Cuts => self.parser.screen_mut().set_size(lines, columns),
            Narrowing::Wraps => self.wrap(lines, columns),
        }
        self.report_size();
    }

    /// Prints the screen anew. Lines that are longer than `columns` take several, and the cursor
    /// stays in its line.
    fn wrap(&mut self, lines: u16, columns: u16) {
        assert_eq!(self.scrolled(), [""; 0], "only a screen can be printed anew");
        let old = self.parser.screen();
        let (row, column) = old.cursor_position();
        let rows: Vec<_> = old.rows(0, old.size().1).collect();
        let height = |text: &str| text.trim_end().chars().count().div_ceil(columns.into()).max(1);
        let above: usize = rows[..row.into()].iter().map(|text| height(text)).sum();
        let used = rows.iter().rposition(|text| !text.trim_end().is_empty()).map_or(0, |at| at + 1);
        let shown: Vec<_> = rows[..used].iter().map(|text| text.trim_end()).collect();
        let mut new = vt100::Parser::new(lines, columns, SCROLLBACK);
        new.process(shown.join("\r\n").as_bytes());
        let (row, column) = (above + usize::from(column / columns) + 1, column % columns + 1);
        new.process(format!("\u{1b}[{row};{column}H").as_bytes());
        self.parser = new;
    }

    /// The lines that have left the screen at its top.
    fn scrolled(&mut self) -> Vec<String> {
        let screen = self.parser.screen_mut();
        let columns = screen.size().1;
        screen.set_scrollback(usize::MAX);
        let scrolled = screen.scrollback();
        let mut lines = Vec::new();
        for above in (1..=scrolled).rev() {
            screen.set_scrollback(above);
            lines.extend(screen.rows(0, columns).next());
        }
        screen.set_scrollback(0);
        lines
    }

    /// All lines, from the first one that left the screen to the last one that is not empty.
    pub(super) fn all(&mut self) -> String {
        let mut lines = self.scrolled();
        let screen = self.parser.screen();
        lines.extend(screen.rows(0, screen.size().1));
        lines.join("\n").trim_end().to_owned()
    }

    /// Everything that the program wrote.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The column of the cursor, and whether it is visible.
    pub(super) fn cursor(&self) -> (u16, bool) {
        let screen = self.parser.screen();
        (screen.cursor_position().1, !screen.hide_cursor())
    }

    /// The commands to the terminal that end in this letter, such as `J`.
    pub(super) fn commands(&self, letter: char) -> usize {
        let text = self.text();
        let parameter = |c: char| c.is_ascii_digit() || matches!(c, ';' | '?');
        let commands = text.split("\u{1b}[").skip(1);
        commands.filter(|rest| rest.trim_start_matches(parameter).starts_with(letter)).count()
    }
}
