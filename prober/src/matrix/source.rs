//! Where probing runs: in this process, or behind any command that runs a prober and returns its
//! JSON on stdout, such as `kubectl exec`.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{NotProbed, refusal};
use crate::process::{self, Output, ProcessError};
use crate::report::{Report, RowResult, json};
use crate::tally::Tally;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// This process.
    Here,
    /// A prober behind a command.
    Command {
        /// The command, to which the prober's own words are appended.
        prefix: Vec<String>,
        /// The prober's name or path there.
        prober: String,
    },
}

impl Source {
    /// The command that probes with these arguments.
    #[must_use]
    pub(crate) fn words(&self, arguments: &[String]) -> Vec<String> {
        let (prefix, prober) = match self {
            Self::Here => (&[][..], "prober"),
            Self::Command { prefix, prober } => (prefix.as_slice(), prober.as_str()),
        };
        let mut words = prefix.to_vec();
        words.push(prober.to_owned());
        words.extend_from_slice(arguments);
        words
    }
}

/// Runs a prober behind a command and reads its report. The command is killed after `limit` and at
/// `stop`.
pub(crate) async fn probe_behind(
    words: &[String],
    limit: Duration,
    stop: &CancellationToken,
) -> Result<Report, NotProbed> {
    let said =
        process::output(words, limit, stop, json::MOST_BYTES as usize).await.map_err(|error| {
            let could_not_run = matches!(error, ProcessError::NotStarted { .. });
            NotProbed { reason: error.to_string(), could_not_run }
        })?;
    json::parse(&said.output).map_err(|error| {
        let (Output { program, status, .. }, lines) = (&said, said.lines());
        let empty = said.output.is_empty();
        if let Some(reason) = refusal::read(&lines, status.code()).filter(|_| empty) {
            return NotProbed { reason, could_not_run: true };
        }
        NotProbed::from(match refusal::last_words(&lines) {
            Some(line) if empty => format!("{program}: {line} ({status})"),
            Some(line) => format!("{error}; {program}: {line} ({status})"),
            None => format!("'{program}' printed no report ({status}): {error}"),
        })
    })
}

/// The tally of a report that is complete: a single row, of this URL, with all `requests`.
/// An incomplete one cannot be judged.
pub(crate) fn whole(report: Report, url: &str, requests: Option<u64>) -> Result<Tally, String> {
    let [row] = <[_; 1]>::try_from(report.rows)
        .map_err(|rows| format!("the report has {} rows instead of one", rows.len()))?;
    if row.url != printable::clean(url) {
        return Err(format!("the report is about another target: {}", row.target));
    }
    let RowResult::Probed { tally, .. } = row.result else {
        return Err("the row in the report was not probed".to_owned());
    };
    let ended = tally.requests();
    if report.interrupted {
        return Err(format!("the prober there was interrupted after {ended} requests"));
    }
    if let Some(requests) = requests.filter(|requests| *requests != ended) {
        return Err(format!("the report has {ended} requests instead of {requests}"));
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn an_incomplete_report_is_refused() {
        let report = samples::plain;
        let (url, requests) =
            (report().rows[0].url.clone(), report().rows[0].tally().unwrap().requests());
        assert_eq!(
            whole(report(), &url, Some(requests)).as_ref(),
            Ok(report().rows[0].tally().unwrap())
        );
        let partial = Report { interrupted: true, ..report() };
        assert!(whole(partial, &url, Some(requests)).unwrap_err().contains("was interrupted"));
        assert!(
            whole(report(), &url, Some(requests + 1)).unwrap_err().contains("requests instead of")
        );
        assert!(
            whole(report(), "elsewhere", Some(requests)).unwrap_err().contains("another target")
        );
        let none = Report { rows: Vec::new(), ..report() };
        assert!(whole(none, &url, Some(requests)).unwrap_err().contains("0 rows"));
    }

    #[test]
    fn the_words_of_the_prober_follow_the_command() {
        let arguments = ["--target".to_owned(), "echo1:8080".to_owned()];
        assert_eq!(Source::Here.words(&arguments), ["prober", "--target", "echo1:8080"]);
        let prefix = vec!["ssh".to_owned(), "host".to_owned()];
        let source = Source::Command { prefix, prober: "/prober".to_owned() };
        assert_eq!(source.words(&arguments), ["ssh", "host", "/prober", "--target", "echo1:8080"]);
    }

    #[test]
    fn a_pipe_that_stays_open_does_not_block() {
        let dir = std::env::temp_dir().join(format!("prober-source-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join("report.json");
        std::fs::write(&file, json::render(&samples::plain())).unwrap();
        let script = "cat \"$0\"; sleep 20 &";
        let words = ["sh", "-c", script, file.to_str().unwrap()].map(str::to_owned);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let limit = Duration::from_secs(10);
        let stop = CancellationToken::new();
        let report = runtime.block_on(probe_behind(&words, limit, &stop));
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(report, Ok(samples::plain()));
    }
}
