//! The flags of `prober watch` → how rows are asked again and again. What belongs to a run that
//! ends is refused here. Pure.

use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;

use crate::cli::{RunArgs, SelectForm, WatchArgs};
use crate::plan::schedule::End;
use crate::plan::{self, PlanError, ProbePlan};
use crate::report::rounds::Rhythm;

/// Why nothing can be watched so. `Display` is one line.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// A time is none.
    #[error(transparent)]
    Time(#[from] PlanError),
    /// The window holds no round.
    #[error("--window {window:?} is shorter than --interval {interval:?}; let it hold some rounds")]
    ShortWindow {
        /// The window.
        window: Duration,
        /// The interval.
        interval: Duration,
    },
    /// A round takes longer than its interval.
    #[error(
        "a round of {round:?} does not fit into --interval {interval:?}; lengthen the interval, or \
         shorten the round (-d, and --warmup)"
    )]
    LongRound {
        /// What is sent for so long.
        round: Duration,
        /// The interval.
        interval: Duration,
    },
    /// An address is none.
    #[error(
        "--listen '{0}': write ADDRESS:PORT, such as 127.0.0.1:9464, 0.0.0.0:9464 or [::]:9464"
    )]
    Listen(String),
    /// Nothing to ask.
    #[error("nothing to watch; name a target, as in a plain run, or a matrix file")]
    Nothing,
    /// A flag is about a run that ends.
    #[error("{flag} is of a run that ends; {right}")]
    OfARun {
        /// The flag.
        flag: &'static str,
        /// What would be right.
        right: &'static str,
    },
}

/// How rows are asked, and where that is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// When they are asked.
    pub rhythm: Rhythm,
    /// Where metrics and the page are served.
    pub listen: SocketAddr,
}

/// Reads the flags that are of `watch` alone, and refuses those that cannot be.
///
/// # Errors
/// A flag that cannot be, or two that contradict each other.
pub(crate) fn read(args: &WatchArgs) -> Result<Settings, SettingsError> {
    let interval = plan::seconds("--interval", &args.interval)?;
    let window = plan::seconds("--window", &args.window)?;
    if window < interval {
        return Err(SettingsError::ShortWindow { window, interval });
    }
    let listen = args.listen.parse();
    let listen =
        listen.map_err(|_| SettingsError::Listen(args.listen.escape_debug().to_string()))?;
    if args.file.is_none() && args.run.targets.is_empty() {
        return Err(SettingsError::Nothing);
    }
    of_a_run(&args.run)?;
    Ok(Settings { rhythm: Rhythm { interval, window }, listen })
}

fn of_a_run(run: &RunArgs) -> Result<(), SettingsError> {
    let refused = [
        (run.events.any(), "--at", "watch goes on, and has no instants"),
        (run.envoys.explain, "--explain", "run it once where watch shows a skew"),
        (run.load.timeline.is_some(), "--timeline", "watch shows its window, and Prometheus more"),
        (
            run.judge.max_requests.is_some(),
            "--max-requests",
            "watch sends -n requests in each round",
        ),
        (
            run.network.select == Some(SelectForm::Each),
            "--select each",
            "let watch go round them (--select round-robin), or name each address as a target",
        ),
    ];
    match refused.into_iter().find(|(given, _, _)| *given) {
        Some((_, flag, right)) => Err(SettingsError::OfARun { flag, right }),
        None => Ok(()),
    }
}

/// Checks that the rounds of these plans fit into the interval.
///
/// # Errors
/// The first that does not.
pub(crate) fn check_rounds<'a>(
    plans: impl IntoIterator<Item = &'a ProbePlan>,
    Rhythm { interval, .. }: Rhythm,
) -> Result<(), SettingsError> {
    for plan in plans {
        let sending = match plan.schedule.end {
            End::After(duration) => duration,
            End::Requests(_) => Duration::ZERO,
        };
        let round = plan.schedule.warmup.saturating_add(sending);
        if round >= interval {
            return Err(SettingsError::LongRound { round, interval });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn args(words: &[&str]) -> Result<WatchArgs, String> {
        let words = ["prober", "watch"].iter().chain(words);
        let cli = Cli::try_parse_from(words).map_err(|error| usage::one_line(&error))?;
        match cli.command {
            Some(Command::Watch(args)) => Ok(*args),
            other => panic!("{other:?}"),
        }
    }

    fn refusal(words: &[&str]) -> String {
        match args(words).map(|args| read(&args).map_err(|error| error.to_string())) {
            Err(line) | Ok(Err(line)) => line,
            Ok(Ok(settings)) => panic!("{words:?} is {settings:?}"),
        }
    }

    #[test]
    fn unless_told_otherwise_it_looks_back_five_minutes() {
        let Settings { rhythm, listen } = read(&args(&["-t", "a"]).unwrap()).unwrap();
        assert_eq!(rhythm.interval, Duration::from_secs(10));
        assert_eq!(rhythm.window, Duration::from_secs(300));
        assert_eq!(listen.to_string(), "127.0.0.1:9464");
        assert!(read(&args(&["m.yaml", "-n", "50", "--quiet", "--show", "0"]).unwrap()).is_ok());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (words, part) in [
            (&[][..], "nothing to watch"),
            (&["-t", "a", "--interval", "0"], "--interval '0': write seconds"),
            (&["-t", "a", "--interval", "soon"], "--interval 'soon'"),
            (&["-t", "a", "--window", "-1"], "'-1"),
            (&["-t", "a", "--window", "9s"], "--window 9s is shorter than --interval 10s"),
            (&["-t", "a", "--listen", "9464"], "--listen '9464': write ADDRESS:PORT"),
            (&["-t", "a", "--listen", "here:9464"], "--listen 'here:9464'"),
            (&["-t", "a", "--listen", "127.0.0.1:99999"], "--listen"),
            (&["-t", "a", "--at", "1s", "true"], "--at is of a run that ends"),
            (&["-t", "a", "--explain"], "--explain is of a run that ends"),
            (&["-t", "a", "--timeline", "1s"], "--timeline is of a run that ends"),
            (&["-t", "a", "--max-requests", "9"], "--max-requests is of a run that ends"),
            (&["-t", "a", "--select", "each"], "--select each is of a run that ends"),
            (&["m.yaml", "-t", "a"], "cannot be used with"),
            (&["m.yaml", "--expect", "errors = 0"], "cannot be used with"),
            (&["m.yaml", "-H", "a: b"], "cannot be used with"),
            (&["m.yaml", "--resolve", "a:80:1.2.3.4"], "cannot be used with"),
            (&["m.yaml", "-k"], "cannot be used with"),
            (&["m.yaml", "-d", "1s"], "cannot be used with"),
            (&["m.yaml", "--reuse", "always"], "cannot be used with"),
        ] {
            let line = refusal(words);
            assert!(line.contains(part) && !line.contains('\n'), "{words:?}: {line}");
        }
    }

    #[test]
    fn a_round_must_fit_into_its_interval() {
        let check = |words: &[&str]| {
            let args = args(words).unwrap();
            let plans = plan::run(&args.run).unwrap();
            let rhythm = read(&args).unwrap().rhythm;
            check_rounds(&plans, rhythm).map_err(|error| error.to_string())
        };
        assert_eq!(check(&["-t", "a", "-d", "9"]), Ok(()));
        let line = check(&["-t", "a", "-d", "9", "--warmup", "1s"]).unwrap_err();
        assert!(line.starts_with("a round of 10s does not fit into --interval 10s"), "{line}");
    }
}
