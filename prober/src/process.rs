//! Runs a command to its end, with limits on its time and its output.

use std::io;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

/// The most bytes that are read from stderr.
const MAX_STDERR: u64 = 64 << 10;
/// How long a command's pipes may stay open after its end. A process that it started, such as the
/// shared connection of ssh, can hold them for hours.
const PIPES_AFTER_END: Duration = Duration::from_secs(1);

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

    /// The lines of stderr that are not blank.
    pub(crate) fn lines(&self) -> Vec<String> {
        let stderr = String::from_utf8_lossy(&self.stderr);
        let stderr = stderr.replace(|c: char| c.is_control() && c != '\n', "?");
        let lines = stderr.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.map(str::to_owned).collect()
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

/// Runs a command to its end and reads at most `most` bytes of its stdout. The command is killed after
/// `limit` and at `stop`.
///
/// # Errors
/// One line, if the command could not run or did not end by itself. Its exit code is not checked.
pub(crate) async fn output(
    words: &[String],
    limit: Duration,
    stop: &CancellationToken,
    most: usize,
) -> Result<Output, ProcessError> {
    let empty = || ProcessError::NotEnded("the command is empty".to_owned());
    let (program, arguments) = words.split_first().ok_or_else(empty)?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| ProcessError::NotStarted { program: program.clone(), error })?;
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
        ended = tokio::time::timeout(limit, run) => {
            let limit = usage::duration::format(limit);
            let late = || ProcessError::NotEnded(format!("'{program}' did not end within {limit}"));
            ended.map_err(|_| late())?
        }
        () = stop.cancelled() => return Err(ProcessError::NotEnded("interrupted".to_owned())),
    };
    let lost =
        |error| ProcessError::NotEnded(format!("'{program}': {}", usage::system_error(&error)));
    let status = status.map_err(lost)?;
    let cut = stdout.len() > most;
    stdout.truncate(most);
    Ok(Output { output: stdout, cut, status, program: program.clone(), stderr })
}

async fn read(from: Option<impl AsyncRead + Unpin>, most: u64, into: &mut Vec<u8>) {
    if let Some(from) = from {
        let mut bounded = from.take(most);
        // After an error, what was read so far is used: a truncated report does not parse.
        let _ = bounded.read_to_end(into).await;
    }
}
