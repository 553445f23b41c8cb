//! `--at`, `--event-file`, `--failover-to` and `--hold`: what happens during a run, and when.
//! Pure, but for the file, which is read here.

use std::collections::BTreeMap;
use std::time::Duration;

use super::error::PlanError;
use super::number::{duration, instant};
use super::schedule::{Arrivals, End, Schedule};
use crate::cli::EventArgs;
use crate::tally::failover::Terms;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Counted from the end of the warm-up.
    pub at: Duration,
    /// For `sh -c`.
    pub command: String,
}

/// All events, earliest first.
pub(super) fn read(args: &EventArgs, schedule: Schedule) -> Result<Vec<Event>, PlanError> {
    let mut events = Vec::new();
    for pair in args.at.chunks_exact(2) {
        events.push(Event { at: instant("--at", &pair[0])?, command: pair[1].clone() });
    }
    if let Some(path) = &args.event_file {
        let text = usage::file::read_text(path)
            .map_err(|error| PlanError::EventFile(path.clone(), error))?;
        let file = path.display().to_string();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong =
                || PlanError::EventLine { file: file.clone(), line: number, text: line.to_owned() };
            let (at, command) = line.split_once(char::is_whitespace).ok_or_else(wrong)?;
            let at = instant("--at", at).map_err(|_| wrong())?;
            events.push(Event { at, command: command.trim().to_owned() });
        }
    }
    events.sort_by_key(|event| event.at);
    if let Some((last, end)) = events.last().map(|event| event.at).zip(end(schedule))
        && last >= end
    {
        let [at, end] = [last, end].map(usage::duration::format);
        return Err(PlanError::EventAfterEnd { at, end });
    }
    Ok(events)
}

/// When the run ends, without the warm-up; `None` if that is not known beforehand.
fn end(schedule: Schedule) -> Option<Duration> {
    match (schedule.end, schedule.arrivals) {
        (End::After(duration), _) => Some(duration),
        (End::Requests(n), Arrivals::Constant(rate)) => {
            Duration::try_from_secs_f64(n as f64 / rate).ok()
        }
        (End::Requests(_), _) => None,
    }
}

/// How it is measured whether a fault was survived.
pub(super) fn terms(args: &EventArgs) -> Result<Terms, PlanError> {
    let hold = duration("--hold", &args.hold)?;
    let shares = args.failover_to.as_deref().map(shares).transpose()?.unwrap_or_default();
    Ok(Terms { hold, shares })
}

/// Reads `kops`, `kops,gke1` (even shares) or `kops=70%,gke1=30%`.
fn shares(given: &str) -> Result<BTreeMap<String, f64>, PlanError> {
    let wrong = |wrong: String| PlanError::FailoverTo { given: given.to_owned(), wrong };
    let parts: Vec<_> = given.split(',').map(str::trim).collect();
    let mut shares = BTreeMap::new();
    for part in &parts {
        let (name, share) = match part.split_once('=') {
            None => (*part, 1.0 / parts.len() as f64),
            Some((name, percent)) => {
                let percent = percent.trim();
                let number = percent.strip_suffix('%').unwrap_or(percent).trim().parse().ok();
                let valid = number.filter(|n: &f64| (0.0..=100.0).contains(n));
                let share = valid.ok_or_else(|| wrong(format!("'{percent}' is not a share")))?;
                (name.trim(), share / 100.0)
            }
        };
        if name.is_empty() {
            return Err(wrong("a name is missing".into()));
        }
        if shares.insert(name.to_owned(), share).is_some() {
            return Err(wrong(format!("'{name}' is named twice")));
        }
    }
    let sum: f64 = shares.values().sum();
    if (sum - 1.0).abs() > 0.005 {
        return Err(wrong(format!("the shares add up to {:.0}%", sum * 100.0)));
    }
    Ok(shares)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser as _;

    fn plan(words: &[&str]) -> Result<super::super::ProbePlan, PlanError> {
        let words = ["prober", "-t", "a"].iter().chain(words);
        let cli = Cli::try_parse_from(words).unwrap();
        super::super::run(&cli.run).map(|mut plans| plans.remove(0))
    }

    #[test]
    fn events_come_in_the_order_of_their_instants() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("events");
        std::fs::write(&file, "# two\n\n500ms  touch a  b\n3s date\n").unwrap();
        let file = file.to_str().unwrap();
        let plan = plan(&["-d", "9", "--at", "2s", "-x", "--at", "0", "id", "--event-file", file]);
        let events = plan.unwrap().events;
        let shown: Vec<_> = events.iter().map(|e| (e.at.as_millis(), e.command.as_str())).collect();
        assert_eq!(shown, [(0, "id"), (500, "touch a  b"), (2000, "-x"), (3000, "date")]);
    }

    #[test]
    fn wrong_events_are_refused_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("events");
        std::fs::write(&file, "1s date\nsoon date\n").unwrap();
        let file = file.to_str().unwrap();
        for (words, part) in [
            (&["-d", "5", "--at", "soon", "date"][..], "'soon'"),
            (&["--at", "1s", "date"], "of known length"),
            (&["-d", "5", "--at", "5s", "date"], "the run ends after 5s"),
            (&["-n", "100", "-q", "50", "--at", "3", "date"], "the run ends after 2s"),
            (&["-d", "5", "-t", "b", "--at", "1s", "date"], "one --target"),
            (&["-d", "5", "--select", "each", "--at", "1s", "date"], "one --target"),
            (&["-d", "5", "--event-file", "/no/file"], "/no/file"),
            (&["-d", "5", "--event-file", file], "line 2: 'soon date'"),
            (&["--hold", "0"], "--hold"),
            (&["--event-timeout", "x"], "--event-timeout"),
            (&["--failover-to", "kops=50%"], "add up to 50%"),
            (&["--failover-to", "kops,kops"], "named twice"),
            (&["--failover-to", "kops=x%"], "is not a share"),
            (&["--failover-to", ",a"], "a name is missing"),
        ] {
            let said = plan(words).expect_err(part).to_string();
            assert!(said.contains(part), "{words:?}: {said}");
            assert_eq!(said.lines().count(), 1, "{said}");
        }
        let terms = plan(&["--failover-to", "kops=70%, gke1=30%", "--hold", "2"]).unwrap().terms;
        assert_eq!(terms.hold, Duration::from_secs(2));
        assert_eq!(terms.shares["kops"], 0.7);
        assert_eq!(plan(&["--failover-to", "a,b"]).unwrap().terms.shares["b"], 0.5);
    }
}
