//! Commands that are run to their end, with bounds on time and on what is read of them.

use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

/// The most that is read of a command's stderr, in bytes.
const MAX_COMPLAINT: u64 = 64 << 10;
/// How long a command that ended may leave its pipes open: what it started, such
/// as ssh's shared connection, may hold them for hours.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What a command printed until its end.
#[derive(Debug)]
pub(crate) struct Output {
    /// What it said on stdout.
    pub(crate) output: Vec<u8>,
    /// Whether it had said more.
    pub(crate) cut: bool,
    /// How it ended.
    pub(crate) status: ExitStatus,
    pub(crate) program: String,
    complaint: Vec<u8>,
}

impl Output {
    /// The last line of its complaints, with how it ended.
    pub(crate) fn complaint(&self) -> String {
        let Self { program, status, .. } = self;
        match self.last_line() {
            Some(line) => format!("{program}: {line} ({status})"),
            None => format!("'{program}' said nothing ({status})"),
        }
    }

    pub(crate) fn last_line(&self) -> Option<String> {
        let complaint = String::from_utf8_lossy(&self.complaint);
        let complaint = complaint.replace(|c: char| c.is_control() && c != '\n', "?");
        let mut lines = complaint.lines().rev().map(str::trim);
        lines.find(|line| !line.is_empty()).map(str::to_owned)
    }
}

/// Runs a command to its end and reads at most `most` bytes of its stdout; the reason, one line,
/// where that is not had. The command is killed at `limit` and at `stop`.
pub(crate) async fn output(
    words: &[String],
    limit: Duration,
    stop: &CancellationToken,
    most: usize,
) -> Result<Output, String> {
    let (program, arguments) = words.split_first().ok_or("the command is empty")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("cannot run '{program}': {error}"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (mut output, mut complaint) = (Vec::new(), Vec::new());
    let talk = async {
        let mut reading = pin!(async {
            tokio::join!(
                // One more, to know whether there was more.
                read(stdout, most as u64 + 1, &mut output),
                read(stderr, MAX_COMPLAINT, &mut complaint),
            )
        });
        let ended = tokio::select! {
            _ = &mut reading => None,
            status = child.wait() => Some(status),
        };
        match ended {
            None => child.wait().await,
            Some(status) => {
                let _ = tokio::time::timeout(LAST_WORDS, reading).await;
                status
            }
        }
    };
    let status = tokio::select! {
        said = tokio::time::timeout(limit, talk) => {
            said.map_err(|_| format!("'{program}' did not end within {limit:?}"))?
        }
        () = stop.cancelled() => return Err("interrupted".to_owned()),
    };
    let status = status.map_err(|error| format!("'{program}': {error}"))?;
    let cut = output.len() > most;
    output.truncate(most);
    Ok(Output { output, cut, status, program: program.clone(), complaint })
}

async fn read(from: Option<impl AsyncRead + Unpin>, most: u64, into: &mut Vec<u8>) {
    if let Some(from) = from {
        let mut bounded = from.take(most);
        // What was read until an error is what there is; a report cut short does not parse.
        let _ = bounded.read_to_end(into).await;
    }
}
