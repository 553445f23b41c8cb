//! `--at`, `--event-file`, `--failover-to` and `--hold`: what happens during a run, and when.
//! Pure, but for the file, which is read here.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use super::error::PlanError;
use super::number::{duration, instant};
use super::schedule::{Arrivals, End, Schedule};
use crate::cli::EventArgs;
use crate::expectation::unquoted;
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

/// Reads `kops`, `kops,gke1` (even shares) or `kops=70%,gke1=30%`. A name with a comma or an equals sign
/// is in quotes, as in an expectation.
fn shares(given: &str) -> Result<BTreeMap<String, f64>, PlanError> {
    let wrong = |wrong: String| PlanError::FailoverTo { given: given.to_owned(), wrong };
    let mut named: Vec<(Cow<'_, str>, Option<f64>)> = Vec::new();
    let mut rest = Some(given);
    while let Some(text) = rest {
        let text = text.trim_start();
        let (name, after) = if text.starts_with(['"', '\'']) {
            unquoted(text).map_err(wrong)?
        } else {
            let (name, after) = text.split_at(text.find([',', '=']).unwrap_or(text.len()));
            (name.trim_end().into(), after)
        };
        if name.is_empty() {
            return Err(wrong("a name is missing".into()));
        }
        if named.iter().any(|(known, _)| *known == name) {
            return Err(wrong(format!("'{name}' is named twice")));
        }
        let (part, next) = after.split_once(',').map_or((after, None), |(a, b)| (a, Some(b)));
        let share = match part.trim().split_once('=') {
            None if part.trim().is_empty() => None,
            Some(("", percent)) => Some(percentage(percent).map_err(wrong)?),
            _ => return Err(wrong(format!("a comma is missing before '{}'", part.trim()))),
        };
        named.push((name, share));
        rest = next;
    }
    let even = 1.0 / named.len() as f64;
    let shares: BTreeMap<_, _> =
        named.into_iter().map(|(name, share)| (name.into_owned(), share.unwrap_or(even))).collect();
    let sum: f64 = shares.values().sum();
    if (sum - 1.0).abs() > 0.005 {
        return Err(wrong(format!("the shares add up to {:.0}%", sum * 100.0)));
    }
    Ok(shares)
}

/// A share from 0 to 1, or what is wrong with it.
fn percentage(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let number = text.strip_suffix('%').unwrap_or(text).trim().parse().ok();
    let valid = number.filter(|percent: &f64| (0.0..=100.0).contains(percent));
    valid.map(|percent| percent / 100.0).ok_or_else(|| format!("'{text}' is not a share"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser as _;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

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

    #[test]
    fn a_name_may_be_in_quotes() {
        let read = |given| Vec::from_iter(shares(given).unwrap());
        let own = |name: &str, share| (name.to_owned(), share);
        assert_eq!(read("\"kops\""), [own("kops", 1.0)]);
        assert_eq!(
            read(" \"a,b=1\" = 70% , 'it is' = 30 "),
            [own("a,b=1", 0.7), own("it is", 0.3)]
        );
        assert_eq!(read("\"a\\\"\", my cluster"), [own("a\"", 0.5), own("my cluster", 0.5)]);
        for (given, part) in [
            ("\"kops", "is missing"),
            ("\"\"", "name"),
            ("\"a\"b=50%,c=50%", "a comma is missing before 'b=50%'"),
            ("\"a\" \"b\"", "a comma is missing before '\"b\"'"),
            ("\"a\",a", "'a' is named twice"),
            ("\"a\"=", "'' is not a share"),
            ("a,", "a name is missing"),
        ] {
            let said = shares(given).expect_err(part).to_string();
            assert!(said.contains(part) && said.lines().count() == 1, "{given}: {said}");
        }
    }

    proptest! {
        #[test]
        fn any_names_in_quotes_are_read(
            names in prop::collection::btree_set("[a-z,=\"' \\\\%é]{1,6}", 1..5),
        ) {
            let words: Vec<_> = names
                .iter()
                .map(|name| format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")))
                .collect();
            let read = shares(&words.join(",")).unwrap();
            prop_assert_eq!(BTreeSet::from_iter(read.into_keys()), names);
        }

        #[test]
        fn no_shares_panic(given in "[a=,\"'%0-9 \\\\é]{0,20}") {
            let _ = shares(&given);
        }
    }
}
