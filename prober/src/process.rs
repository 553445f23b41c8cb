//! Runs a command to its end, with limits on its time and its output.

mod family;

use std::io;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

pub(crate) use family::{Family, Mark};

/// The most bytes that are read from stderr.
const MAX_STDERR: u64 = 64 << 10;
/// The most characters of such a line that are shown.
const MOST_SHOWN: usize = 500;
/// How long a command's pipes may stay open after its end. A process that it started, such as the
/// shared connection of ssh, can hold them for hours.
const PIPES_AFTER_END: Duration = Duration::from_secs(1);

/// The interval of checks whether a command is stopped, which look at all processes.
const STOPPED_POLL: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(crate) struct Output {
    /// Its stdout.
    pub(crate) output: Vec<u8>,
    /// Whether it printed more than was read.
    pub(crate) cut: bool,
    pub(crate) status: ExitStatus,
    pub(crate) program: String,
    stderr: Vec<u8>,
}

impl Output {
    /// The last line of stderr, and how the command ended.
    pub(crate) fn complaint(&self) -> String {
        let Self { program, status, .. } = self;
        match self.lines().last() {
            Some(line) => format!("{program}: {line} ({status})"),
            None => format!("'{program}' printed nothing ({status})"),
        }
    }

    /// The lines of stderr that are not blank, each of them cut.
    pub(crate) fn lines(&self) -> Vec<String> {
        let stderr = String::from_utf8_lossy(&self.stderr);
        let lines = stderr.lines().map(str::trim).filter(|line| !line.is_empty());
        let cut = |line: &str| match line.char_indices().nth(MOST_SHOWN) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line.to_owned(),
        };
        lines.map(|line| printable::clean(&cut(line)).into_owned()).collect()
    }
}

/// Why there is no output. `Display` is one line.
#[derive(Debug, Error)]
pub(crate) enum ProcessError {
    #[error("cannot run '{program}': {}", why_not_started(.error))]
    NotStarted { program: String, error: io::Error },
    #[error("{0}")]
    NotEnded(String),
}

fn why_not_started(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "there is no such program here; install it, or correct PATH".to_owned()
        }
        io::ErrorKind::PermissionDenied => "the file is not executable".to_owned(),
        _ => usage::local_limit(error),
    }
}

/// Runs a command to its end and reads at most `most` bytes of its stdout. The command and all that it
/// started are killed after `limit`, at `stop`, and if prober is killed.
///
/// # Errors
/// One line, if the command could not run or did not end by itself. Its exit code is not checked.
pub(crate) async fn output(
    words: &[String],
    limit: Duration,
    stop: &CancellationToken,
    most: usize,
) -> Result<Output, ProcessError> {
    let (mut child, family, program) = start(words)?;
    let (from_stdout, from_stderr) = (child.stdout.take(), child.stderr.take());
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let run = async {
        let mut reading = pin!(async {
            tokio::join!(
                // One byte more, to know whether there is more.
                read(from_stdout, most as u64 + 1, &mut stdout),
                read(from_stderr, MAX_STDERR, &mut stderr),
            )
        });
        let ended = tokio::select! {
            _ = &mut reading => None,
            status = child.wait() => Some(status),
        };
        match ended {
            None => child.wait().await,
            Some(status) => {
                let _ = tokio::time::timeout(PIPES_AFTER_END, reading).await;
                status
            }
        }
    };
    let status = tokio::select! {
        ended = tokio::time::timeout(limit, run) => ended.map_err(|_| {
            let limit = usage::duration::format(limit);
            ProcessError::NotEnded(format!("'{program}' did not end within {limit}"))
        })?,
        () = stops(&family) => {
            return Err(ProcessError::NotEnded(format!(
                "'{program}' asks for something on the terminal, which prober's commands cannot use; log in \
                 before, or use a command that does not ask"
            )));
        }
        () = stop.cancelled() => return Err(ProcessError::NotEnded("interrupted".to_owned())),
    };
    let lost =
        |error| ProcessError::NotEnded(format!("'{program}': {}", usage::system_error(&error)));
    let status = status.map_err(lost)?;
    family.release();
    let cut = stdout.len() > most;
    stdout.truncate(most);
    Ok(Output { output: stdout, cut, status, program: program.clone(), stderr })
}

/// Starts a command as the leader of a family. Returns its program, too.
fn start(words: &[String]) -> Result<(Child, Family, &String), ProcessError> {
    let empty = || ProcessError::NotEnded("the command is empty".to_owned());
    let (program, arguments) = words.split_first().ok_or_else(empty)?;
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mark = Mark::put(command.as_std_mut());
    let child = command
        .spawn()
        .map_err(|error| ProcessError::NotStarted { program: program.clone(), error })?;
    let family = Family::of(child.id().unwrap_or_default(), mark);
    Ok((child, family, program))
}

/// Waits until one of a family is stopped, as the kernel stops who asks for a password: the terminal is
/// not theirs. Who stops itself for a moment is not meant.
async fn stops(family: &Family) {
    let mut seen = false;
    loop {
        tokio::time::sleep(STOPPED_POLL).await;
        let stopped = family.is_stopped();
        if stopped && seen {
            return;
        }
        seen = stopped;
    }
}

async fn read(from: Option<impl AsyncRead + Unpin>, most: u64, into: &mut Vec<u8>) {
    if let Some(from) = from {
        let mut bounded = from.take(most);
        // After an error, what was read so far is used: a truncated report does not parse.
        let _ = bounded.read_to_end(into).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Processes in the background, in a session of their own, without a parent, and with neither. Their
    /// ids go to the file.
    const FAMILY: &str = "sleep 300 & echo $! >>\"$0\"; setsid sleep 300 & echo $! >>\"$0\"; \
        (sleep 300 & echo $! >>\"$0\"); (setsid sh -c 'echo $$ >>\"$0\"; exec sleep 300' \"$0\" &); \
        sh -c 'sleep 300 & echo $! >>\"$0\"; wait' \"$0\" & ";

    fn words(script: &str, file: &Path) -> Vec<String> {
        ["sh", "-c", script, file.to_str().unwrap()].map(str::to_owned).to_vec()
    }

    fn ids(file: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn runs(id: &str) -> bool {
        let process = rustix::process::Pid::from_raw(id.parse().unwrap()).unwrap();
        // A zombie has ended.
        family::stat(process).is_some_and(|stat| stat.state != 'Z')
    }

    fn wait_until(what: &str, check: impl Fn() -> bool) {
        for _ in 0..1000 {
            if check() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("waited in vain until {what}");
    }

    fn ended(script: &str, limit: Duration, stop: &CancellationToken) -> (String, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ids");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let line = std::thread::scope(|scope| {
            if limit > Duration::from_secs(5) {
                scope.spawn(|| {
                    wait_until("all have started", || ids(&file).len() == 5);
                    stop.cancel();
                });
            }
            let said = runtime.block_on(output(&words(script, &file), limit, stop, 100));
            said.map(|said| panic!("{said:?}")).unwrap_err().to_string()
        });
        (line, ids(&file))
    }

    #[test]
    fn a_command_ends_with_all_that_it_started() {
        let script = format!("{FAMILY} wait");
        let (short, long) = (Duration::from_secs(2), Duration::from_secs(60));
        for (limit, wanted) in [(short, "'sh' did not end within 2s"), (long, "interrupted")] {
            let (line, ids) = ended(&script, limit, &CancellationToken::new());
            assert_eq!((line.as_str(), ids.len()), (wanted, 5));
            wait_until("all have ended", || !ids.iter().any(|id| runs(id)));
        }
    }

    #[test]
    fn a_command_that_waits_for_the_terminal_is_told_at_once() {
        for script in ["kill -STOP $$", "sh -c 'kill -STOP $$'; true"] {
            let (line, _) = ended(script, Duration::from_secs(5), &CancellationToken::new());
            assert!(line.starts_with("'sh' asks for something on the terminal"), "{line}");
        }
    }

    #[test]
    fn a_command_that_stops_for_a_moment_goes_on() {
        let script = "(sleep 0.1; kill -CONT $$) & kill -STOP $$; echo done";
        let (limit, stop) = (Duration::from_secs(20), CancellationToken::new());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let words = ["sh", "-c", script].map(str::to_owned);
        let said = runtime.block_on(output(&words, limit, &stop, 100)).unwrap();
        assert_eq!(said.output, b"done\n");
    }

    #[test]
    fn what_a_command_left_in_the_background_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ids");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let script = "sleep 300 >/dev/null 2>&1 & echo $! >\"$0\"";
        let (limit, stop) = (Duration::from_secs(20), CancellationToken::new());
        let said = runtime.block_on(output(&words(script, &file), limit, &stop, 100)).unwrap();
        assert!(said.status.success());
        let ids = ids(&file);
        assert!(runs(&ids[0]));
        let _ = std::process::Command::new("kill").args(&ids).status();
    }
}
