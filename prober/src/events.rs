//! Commands that are run at instants of a run: `--at 5s 'COMMAND'`. Each is limited in time,
//! and whatever becomes of it, the run goes on and the report says so.

pub mod marks;

use std::io::{self, Read};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::clock;

/// How much of a command's output is kept.
const MAX_OUTPUT: usize = 4096;
/// How often a command that runs is looked at.
const POLL: Duration = Duration::from_millis(2);

/// A command, and when to run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, from the end of the warm-up.
    pub at: Duration,
    /// What the shell (`sh -c`) is given.
    pub command: String,
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happened {
    /// When it was to begin, µs from the end of the warm-up.
    pub at_us: u64,
    /// When it did; `None` if the run ended before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_us: Option<u64>,
    /// The command.
    pub command: String,
    /// How long it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_us: Option<u64>,
    /// How it ended.
    pub end: Ending,
    /// What it printed, stdout and stderr together, the first few KiB.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output: String,
}

impl Happened {
    /// When it began, or was to begin, µs from the end of the warm-up.
    #[must_use]
    pub fn instant_us(&self) -> u64 {
        self.began_us.unwrap_or(self.at_us)
    }
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// With this code.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// It was ended after the limit of time.
    TimedOut,
    /// It was ended because the run was interrupted.
    Interrupted,
    /// It could not be started, and why.
    NotStarted(String),
    /// The run ended before its instant.
    NotReached,
    /// There was nothing to run: a signal marked the instant.
    Marked,
}

impl Ending {
    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Exit(0) => "done".into(),
            Self::Exit(code) => format!("failed with exit code {code}"),
            Self::Signal(signal) => format!("ended by signal {signal}"),
            Self::TimedOut => "ended after its limit of time".into(),
            Self::Interrupted => "ended with the run".into(),
            Self::NotStarted(why) => format!("did not start: {why}"),
            Self::NotReached => "not reached: the run ended before".into(),
            Self::Marked => "marked".into(),
        }
    }
}

/// Runs events at their instants after `start`. Blocks until the last one has ended, or
/// until `stop`: with the run over, what has not begun never will.
pub(crate) fn run(
    events: &[Event],
    limit: Duration,
    start: Instant,
    over: &CancellationToken,
    stop: &CancellationToken,
) -> Vec<Happened> {
    thread::scope(|scope| {
        let running: Vec<_> = events
            .iter()
            .map(|event| {
                let work = move || one(event, limit, start, over, stop);
                (event, thread::Builder::new().name("event".into()).spawn_scoped(scope, work))
            })
            .collect();
        running
            .into_iter()
            .map(|(event, thread)| match thread {
                Ok(thread) => {
                    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                }
                Err(error) => not_begun(event, Ending::NotStarted(error.to_string())),
            })
            .collect()
    })
}

fn not_begun(event: &Event, end: Ending) -> Happened {
    Happened {
        at_us: micros(event.at),
        began_us: None,
        command: event.command.clone(),
        took_us: None,
        end,
        output: String::new(),
    }
}

fn one(
    event: &Event,
    limit: Duration,
    start: Instant,
    over: &CancellationToken,
    stop: &CancellationToken,
) -> Happened {
    let due = start + event.at;
    loop {
        let left = due.saturating_duration_since(clock::now());
        if left.is_zero() {
            break;
        }
        if over.is_cancelled() || stop.is_cancelled() {
            return not_begun(event, Ending::NotReached);
        }
        thread::sleep(left.min(POLL));
    }
    let began = clock::now();
    let (end, output) = match shell(&event.command) {
        Ok((child, output)) => {
            let reader =
                thread::Builder::new().name("event-output".into()).spawn(move || head_of(output));
            let end = wait(child, began + limit, stop);
            // What the command left running in the background may hold the pipe open.
            let deadline = clock::now() + Duration::from_millis(200);
            let text = reader.map(|reader| {
                while !reader.is_finished() && clock::now() < deadline {
                    thread::sleep(POLL);
                }
                if reader.is_finished() { reader.join().unwrap_or_default() } else { String::new() }
            });
            (end, text.unwrap_or_default())
        }
        Err(error) => (Ending::NotStarted(error.to_string()), String::new()),
    };
    Happened {
        began_us: Some(micros(began.saturating_duration_since(start))),
        took_us: Some(micros(clock::now() - began)),
        output,
        ..not_begun(event, end)
    }
}

/// Starts a command in a process group of its own, its output in one pipe.
fn shell(command: &str) -> io::Result<(Child, io::PipeReader)> {
    let (reader, writer) = io::pipe()?;
    let child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0)
        .spawn()?;
    Ok((child, reader))
}

/// Waits for the end, and brings it about at the deadline or on `stop`.
fn wait(mut child: Child, deadline: Instant, stop: &CancellationToken) -> Ending {
    let ended = |status: ExitStatus| match status.code() {
        Some(code) => Ending::Exit(code),
        None => Ending::Signal(status.signal().unwrap_or_default()),
    };
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return ended(status),
            Ok(None) => {}
            Err(error) => return Ending::NotStarted(error.to_string()),
        }
        let interrupted = stop.is_cancelled();
        if interrupted || clock::now() >= deadline {
            // The group: the shell, and what it has started.
            let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
            let _ = child.wait();
            return if interrupted { Ending::Interrupted } else { Ending::TimedOut };
        }
        thread::sleep(POLL);
    }
}

/// The first few KiB, without what could steer a terminal; the rest is read and dropped.
fn head_of(mut from: impl Read) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(read) = from.read(&mut buffer)
        && read > 0
    {
        let room = MAX_OUTPUT - kept.len();
        kept.extend_from_slice(&buffer[..read.min(room)]);
    }
    let text = String::from_utf8_lossy(&kept);
    text.trim_end().replace(|c: char| c.is_control() && c != '\n', "?")
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happened(command: &str, limit: Duration) -> Happened {
        let event = Event { at: Duration::ZERO, command: command.into() };
        let (over, stop) = (CancellationToken::new(), CancellationToken::new());
        run(&[event], limit, clock::now(), &over, &stop).remove(0)
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn output_and_exit_code_are_kept() {
        let happened = happened("echo out; echo err >&2; exit 3", LONG);
        assert_eq!(happened.end, Ending::Exit(3));
        assert_eq!(happened.output, "out\nerr");
        assert!(happened.began_us.is_some() && happened.took_us.is_some());
    }

    #[test]
    fn a_command_that_hangs_is_ended_with_all_that_it_started() {
        let begin = clock::now();
        let happened = happened("sleep 300 & sleep 300", Duration::from_millis(50));
        assert_eq!(happened.end, Ending::TimedOut);
        assert!(clock::now() - begin < LONG);
    }

    #[test]
    fn a_signal_is_told_and_long_output_is_cut() {
        assert_eq!(happened("kill -9 $$", LONG).end, Ending::Signal(9));
        let long = happened("head -c 100000 /dev/zero | tr '\\0' x; printf '\\033[2J'", LONG);
        assert_eq!((long.end, long.output.len()), (Ending::Exit(0), MAX_OUTPUT));
        assert_eq!(happened("printf 'a\\033b'", LONG).output, "a?b");
    }

    #[test]
    fn an_event_after_the_end_never_begins() {
        let event = Event { at: LONG, command: "true".into() };
        let (over, stop) = (CancellationToken::new(), CancellationToken::new());
        over.cancel();
        let happened = run(&[event], LONG, clock::now(), &over, &stop).remove(0);
        assert_eq!((happened.end, happened.began_us), (Ending::NotReached, None));
    }
}
