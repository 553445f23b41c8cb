//! The log on its way to stderr. Whoever logs puts a line into a queue and never waits for a
//! reader or a disk: a thread of its own writes. A line that does not fit is dropped and counted.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tracing::warn;

/// The most that waits to be written, in bytes. A line has no small limit: it may hold a URL of
/// 64 KiB.
const MOST_QUEUED: usize = 1 << 20;
/// As much wakes the writer from its nap, and as much room is kept while nothing waits, in bytes.
const MANY: usize = 64 << 10;
/// How long the writer lets lines gather after it has written all. To wake it for each line would
/// cost a request more than to write the line.
const NAP: Duration = Duration::from_millis(5);
/// The most that one write holds, unless a line is longer, in bytes. Linux keeps so much together
/// (`PIPE_BUF`) if several programs write to the same pipe.
const AT_ONCE: usize = 4096;
/// More than the queue ever holds.
const NEVER: usize = usize::MAX;
/// How long the end of the program waits until the last lines are written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The log of this process: it has one stderr.
pub static LOG: LogQueue = LogQueue::new();

/// Lines that wait to be written.
#[derive(Debug)]
pub struct LogQueue {
    state: Mutex<State>,
    arrived: Condvar,
    ended: Condvar,
}

#[derive(Debug)]
struct State {
    /// Whole lines. Those being written stay until they are.
    lines: VecDeque<u8>,
    /// Lines dropped since the start.
    dropped: u64,
    /// The writer is to be woken when so many bytes wait.
    wake_at: usize,
    closing: bool,
    ended: bool,
}

/// Lines are written as long as this lives. When dropped, it waits for the last ones, at most a
/// second.
#[derive(Debug)]
#[must_use]
pub struct Writing(&'static LogQueue);

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.close(LAST_LINES);
    }
}

impl LogQueue {
    const fn new() -> Self {
        let lines = VecDeque::new();
        let state = State { lines, dropped: 0, wake_at: NEVER, closing: false, ended: false };
        Self { state: Mutex::new(state), arrived: Condvar::new(), ended: Condvar::new() }
    }

    /// Starts the thread that writes to stderr.
    ///
    /// # Errors
    ///
    /// If the system allows no further thread.
    pub fn start(&'static self) -> io::Result<Writing> {
        thread::Builder::new().name("log".to_owned()).spawn(|| self.write(Stderr(io::stderr())))?;
        Ok(Writing(self))
    }

    /// Queues whole lines, or drops them if they do not fit.
    pub fn push(&self, lines: &str) {
        self.push_bytes(lines.as_bytes());
    }

    fn push_bytes(&self, lines: &[u8]) {
        let mut state = self.lock();
        if state.lines.len() + lines.len() > MOST_QUEUED {
            state.dropped += count(lines);
            return;
        }
        state.lines.extend(lines);
        if state.lines.len() >= state.wake_at {
            state.wake_at = NEVER;
            drop(state);
            self.arrived.notify_one();
        }
    }

    /// How many lines were dropped since the start: nobody read them in time, or they could not
    /// be written.
    pub(crate) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Writes all lines until the queue is closed and empty.
    fn write(&self, to: impl Write) {
        let mut output = Output { to, torn: false };
        let (mut lines, mut told, mut since_told) = (Vec::new(), 0, 0);
        while self.next(&mut lines) {
            let failed = output.write(&lines);
            let mut state = self.lock();
            state.lines.drain(..lines.len());
            state.dropped += failed;
            let (dropped, empty) = (state.dropped, state.lines.is_empty());
            drop(state);
            since_told += lines.len();
            // Only after a success: this line would else be dropped, and be told in turn. The number
            // counts from the start, so that no line is missed if this one is dropped as well.
            if failed == 0 && dropped > told && (empty || since_told >= MOST_QUEUED) {
                (told, since_told) = (dropped, 0);
                warn!(
                    dropped_since_start = dropped,
                    "log lines were not read in time, or could not be written"
                );
            }
        }
    }

    /// Waits for lines, and copies as many as one write takes. False at the end.
    fn next(&self, copy: &mut Vec<u8>) -> bool {
        let mut state = self.lock();
        if state.lines.is_empty() && !state.closing {
            state.wake_at = MANY;
            let rested = self.arrived.wait_timeout(state, NAP);
            state = rested.unwrap_or_else(PoisonError::into_inner).0;
        }
        while state.lines.is_empty() {
            state.lines.shrink_to(MANY);
            if state.closing {
                state.ended = true;
                self.ended.notify_all();
                return false;
            }
            state.wake_at = 1;
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.wake_at = NEVER;
        let length = whole_lines(&state.lines);
        let (front, back) = state.lines.as_slices();
        let in_front = length.min(front.len());
        copy.clear();
        copy.shrink_to(MANY);
        copy.extend_from_slice(&front[..in_front]);
        copy.extend_from_slice(&back[..length - in_front]);
        true
    }

    /// Waits until all lines are written, at most so long.
    fn close(&self, within: Duration) {
        let mut state = self.lock();
        state.closing = true;
        self.arrived.notify_one();
        // Poisoned or too late: both end the wait.
        let _ = self.ended.wait_timeout_while(state, within, |state| !state.ended);
    }

    /// No line is half queued if a thread panicked.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For `tracing`, which writes each line with one call. Never fails.
impl Write for &LogQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push_bytes(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The length of the first lines that one write takes: one, or more that are short.
fn whole_lines(lines: &VecDeque<u8>) -> usize {
    let is_end = |byte: &u8| *byte == b'\n';
    let short = lines.range(..lines.len().min(AT_ONCE)).rposition(is_end);
    short.or_else(|| lines.iter().position(is_end)).map_or(lines.len(), |end| end + 1)
}

fn count(lines: &[u8]) -> u64 {
    lines.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// Where lines are written to, and fail at times.
struct Output<W> {
    to: W,
    /// Whether the last line was written in part.
    torn: bool,
}

impl<W: Write> Output<W> {
    /// Writes whole lines. Returns how many of them were not written to their end.
    fn write(&mut self, lines: &[u8]) -> u64 {
        if self.torn {
            if self.all(b"\n").is_err() {
                return count(lines);
            }
            self.torn = false;
        }
        let Err(rest) = self.all(lines) else { return 0 };
        let written = &lines[..lines.len() - rest];
        self.torn = written.last().is_some_and(|byte| *byte != b'\n');
        count(&lines[written.len()..])
    }

    /// Writes all bytes, or returns how many are left.
    fn all(&mut self, bytes: &[u8]) -> Result<(), usize> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.to.write(rest) {
                Ok(0) => return Err(rest.len()),
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(rest.len()),
            }
        }
        Ok(())
    }
}

/// Stderr without the lock of the standard library, which the end of the program would wait for.
struct Stderr(io::Stderr);

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match rustix::io::write(self.0.as_fd(), bytes) {
                // Another program made the pipe non-blocking for all.
                Err(Errno::AGAIN) => {
                    poll(&mut [PollFd::new(&self.0, PollFlags::OUT)], None)?;
                }
                written => return Ok(written?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
