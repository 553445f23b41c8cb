//! Runs commands during a run: `--at 5s 'COMMAND'`. Each has a time limit. Whatever happens to a
//! command, the run continues and the report shows it.

pub(crate) mod marks;

use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::plan::Event;
use crate::process::{Family, Mark};
use crate::tally::{EventEnding, EventRecord};
use crate::units::micros;

/// How much of a command's output is kept, in bytes.
const MAX_OUTPUT: usize = 4096;
/// How often a running command is checked.
const POLL: Duration = Duration::from_millis(2);

/// Runs events at their instants after `start`. Blocks until all have ended. Once `over` or
/// `stop` is cancelled, no further event starts; `stop` also kills running commands.
pub(crate) fn run(
    events: &[Event],
    limit: Duration,
    start: Instant,
    over: &CancellationToken,
    stop: &CancellationToken,
) -> Vec<EventRecord> {
    thread::scope(|scope| {
        let running: Vec<_> = events
            .iter()
            .map(|event| {
                let work = move || run_one(event, limit, start, over, stop);
                (event, thread::Builder::new().name("event".into()).spawn_scoped(scope, work))
            })
            .collect();
        running
            .into_iter()
            .map(|(event, thread)| match thread {
                Ok(thread) => {
                    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                }
                Err(error) => {
                    not_started(event, EventEnding::NotStarted(usage::system_error(&error)))
                }
            })
            .collect()
    })
}

fn not_started(event: &Event, end: EventEnding) -> EventRecord {
    EventRecord {
        at_us: micros(event.at),
        began_us: None,
        command: event.command.clone(),
        took_us: None,
        end,
        output: String::new(),
    }
}

fn run_one(
    event: &Event,
    limit: Duration,
    start: Instant,
    over: &CancellationToken,
    stop: &CancellationToken,
) -> EventRecord {
    let due = start + event.at;
    loop {
        let left = due.saturating_duration_since(clock::now());
        if left.is_zero() {
            break;
        }
        if over.is_cancelled() || stop.is_cancelled() {
            return not_started(event, EventEnding::NotReached);
        }
        thread::sleep(left.min(POLL));
    }
    let began = clock::now();
    let (end, output) = match shell(&event.command) {
        Ok((child, family, output)) => {
            let reader =
                thread::Builder::new().name("event-output".into()).spawn(move || head_of(output));
            let end = wait(child, family, began + limit, stop);
            // A process that the command left in the background may hold the pipe open.
            let deadline = clock::now() + Duration::from_millis(200);
            let text = reader.map(|reader| {
                while !reader.is_finished() && clock::now() < deadline {
                    thread::sleep(POLL);
                }
                if reader.is_finished() { reader.join().unwrap_or_default() } else { String::new() }
            });
            (end, text.unwrap_or_default())
        }
        Err(error) => (EventEnding::NotStarted(usage::system_error(&error)), String::new()),
    };
    EventRecord {
        began_us: Some(micros(began.saturating_duration_since(start))),
        took_us: Some(micros(clock::now() - began)),
        output,
        ..not_started(event, end)
    }
}

/// Starts a command in its own process group, with stdout and stderr in one pipe.
fn shell(command: &str) -> io::Result<(Child, Family, io::PipeReader)> {
    let (reader, writer) = io::pipe()?;
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).stdout(writer.try_clone()?).stderr(writer);
    let mark = Mark::put(&mut shell);
    let child = shell.spawn()?;
    let family = Family::of(child.id(), mark);
    Ok((child, family, reader))
}

/// Waits for the end of a command; kills it and all that it started at the deadline, on `stop`, and if
/// prober is killed.
fn wait(
    mut child: Child,
    family: Family,
    deadline: Instant,
    stop: &CancellationToken,
) -> EventEnding {
    let ended = |status: ExitStatus| match status.code() {
        Some(code) => EventEnding::Exit(code),
        None => EventEnding::Signal(status.signal().unwrap_or_default()),
    };
    loop {
        match child.try_wait() {
            Ok(Some(status)) => {
                family.release();
                return ended(status);
            }
            Ok(None) => {}
            Err(error) => return EventEnding::NotStarted(usage::system_error(&error)),
        }
        let interrupted = stop.is_cancelled();
        if interrupted || clock::now() >= deadline {
            drop(family);
            let _ = child.wait();
            return if interrupted { EventEnding::Interrupted } else { EventEnding::TimedOut };
        }
        thread::sleep(POLL);
    }
}

/// The first [`MAX_OUTPUT`] bytes made safe to print; the rest is read and dropped.
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
    printable::clean_lines(text.trim_end()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(command: &str, limit: Duration) -> EventRecord {
        let event = Event { at: Duration::ZERO, command: command.into() };
        let (over, stop) = (CancellationToken::new(), CancellationToken::new());
        run(&[event], limit, clock::now(), &over, &stop).remove(0)
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn output_and_exit_code_are_kept() {
        let record = record("echo out; echo err >&2; exit 3", LONG);
        assert_eq!(record.end, EventEnding::Exit(3));
        assert_eq!(record.output, "out\nerr");
        assert!(record.began_us.is_some() && record.took_us.is_some());
    }

    #[test]
    fn a_command_that_hangs_is_killed_with_all_that_it_started() {
        let begin = clock::now();
        let record = record("sleep 300 & sleep 300", Duration::from_millis(50));
        assert_eq!(record.end, EventEnding::TimedOut);
        assert!(clock::now() - begin < LONG);
    }

    #[test]
    fn a_signal_is_reported_and_long_output_is_cut() {
        assert_eq!(record("kill -9 $$", LONG).end, EventEnding::Signal(9));
        let long = record("head -c 100000 /dev/zero | tr '\\0' x; printf '\\033[2J'", LONG);
        assert_eq!((long.end, long.output.len()), (EventEnding::Exit(0), MAX_OUTPUT));
        assert_eq!(record("printf 'a\\033b'", LONG).output, "a\\u{1b}b");
    }

    #[test]
    fn an_event_after_the_end_never_starts() {
        let event = Event { at: LONG, command: "true".into() };
        let (over, stop) = (CancellationToken::new(), CancellationToken::new());
        over.cancel();
        let record = run(&[event], LONG, clock::now(), &over, &stop).remove(0);
        assert_eq!((record.end, record.began_us), (EventEnding::NotReached, None));
    }
}
