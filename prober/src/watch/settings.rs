//! The flags of `prober watch` → validated settings. Flags that only make sense for a single run are
//! rejected here. Pure.

use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;
use usage::duration::format;

use crate::cli::{RunArgs, SelectForm, WatchArgs};
use crate::plan::schedule::End;
use crate::plan::{self, PlanError, ProbePlan};
use crate::report::rounds::Rhythm;
use crate::watch::server::hosts::{self, Hosts};

/// Why the flags are rejected, in one line.
#[derive(Debug, Error)]
pub enum SettingsError {
    #[error(transparent)]
    Time(#[from] PlanError),
    #[error(
        "--window {} is shorter than --interval {}; write a window of several intervals",
        format(*window), format(*interval)
    )]
    ShortWindow { window: Duration, interval: Duration },
    #[error(
        "a round takes {}, longer than --interval {}; write a longer interval or a shorter -d and \
         --warmup",
        format(*round), format(*interval)
    )]
    LongRound {
        /// The warm-up and the duration of a round.
        round: Duration,
        interval: Duration,
    },
    #[error(
        "--listen '{0}': write ADDRESS:PORT, such as 127.0.0.1:9464, 0.0.0.0:9464 or [::]:9464"
    )]
    Listen(String),
    #[error("--allow-host '{0}': write a host name without a port, such as watch.example.com")]
    Host(String),
    #[error("nothing to watch; write a target, as for a single run, or a matrix file")]
    Nothing,
    #[error("{flag} works only in a single run; {right}")]
    OfARun {
        flag: &'static str,
        /// What to do instead.
        right: &'static str,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub rhythm: Rhythm,
    /// The address of the metrics and the page.
    pub listen: SocketAddr,
    /// By which names they may be asked for.
    pub hosts: Hosts,
}

/// Reads the flags of `watch`.
///
/// # Errors
/// If a flag is wrong, or if two flags contradict each other.
pub(crate) fn read(args: &WatchArgs) -> Result<Settings, SettingsError> {
    let interval = plan::duration("--interval", &args.interval)?;
    let window = plan::duration("--window", &args.window)?;
    if window < interval {
        return Err(SettingsError::ShortWindow { window, interval });
    }
    let listen = args.listen.parse();
    let listen =
        listen.map_err(|_| SettingsError::Listen(args.listen.escape_debug().to_string()))?;
    if let Some(host) = args.allow_host.iter().find(|host| !hosts::is_host_name(host)) {
        return Err(SettingsError::Host(host.escape_debug().to_string()));
    }
    let hosts = Hosts::new(args.allow_host.clone());
    if args.matrix.0.is_none() && args.run.targets.urls.is_empty() {
        return Err(SettingsError::Nothing);
    }
    of_a_run(&args.run)?;
    Ok(Settings { rhythm: Rhythm { interval, window }, listen, hosts })
}

fn of_a_run(run: &RunArgs) -> Result<(), SettingsError> {
    let refused = [
        (run.events.any(), "--at", "watch has no end, so events have no time"),
        (run.envoys.explain, "--explain", "run prober once with --explain when watch shows a skew"),
        (run.load.wait.is_some(), "--wait", "remove it; watch probes until a target answers"),
        (run.load.start_at.is_some(), "--start-at", "remove it; the rounds of watch never end"),
        (
            run.load.timeline.is_some(),
            "--timeline",
            "remove it; watch has a live page, and metrics for Prometheus",
        ),
        (
            run.judge.max_requests.is_some(),
            "--max-requests",
            "write -n, the number of requests in each round",
        ),
        (
            run.network.select == Some(SelectForm::Each),
            "--select each",
            "write --select round-robin, or each address as a target",
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
/// For the first round that does not fit.
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
    fn the_default_window_is_five_minutes() {
        let Settings { rhythm, listen, .. } = read(&args(&["-t", "a"]).unwrap()).unwrap();
        assert_eq!(rhythm.interval, Duration::from_secs(10));
        assert_eq!(rhythm.window, Duration::from_secs(300));
        assert_eq!(listen.to_string(), "127.0.0.1:9464");
        assert!(read(&args(&["m.yaml", "-n", "50", "--quiet", "--show", "0"]).unwrap()).is_ok());
    }

    #[test]
    fn wrong_flags_are_rejected() {
        for (words, part) in [
            (&[][..], "nothing to watch"),
            (&["-t", "a", "--interval", "0"], "--interval '0': out of range"),
            (&["-t", "a", "--interval", "soon"], "--interval 'soon'"),
            (&["-t", "a", "--window", "-1"], "'-1"),
            (&["-t", "a", "--window", "9s"], "--window 9s is shorter than --interval 10s"),
            (&["-t", "a", "--listen", "9464"], "--listen '9464': write ADDRESS:PORT"),
            (&["-t", "a", "--listen", "here:9464"], "--listen 'here:9464'"),
            (&["-t", "a", "--listen", "127.0.0.1:99999"], "--listen"),
            (&["-t", "a", "--allow-host", "a.b:80"], "--allow-host 'a.b:80': write a host name"),
            (&["-t", "a", "--allow-host", ""], "--allow-host '': write a host name"),
            (&["-t", "a", "--allow-host", "http://a"], "--allow-host 'http://a'"),
            (&["-t", "a", "--at", "1s", "true"], "--at works only in a single run"),
            (&["-t", "a", "--explain"], "--explain works only in a single run"),
            (&["-t", "a", "--timeline", "1s"], "--timeline works only in a single run"),
            (&["-t", "a", "--wait", "9s"], "--wait works only in a single run"),
            (&["-t", "a", "--start-at", "x"], "--start-at works only in a single run"),
            (&["m.yaml", "--start-at", "x"], "cannot be used with"),
            (&["-t", "a", "--max-requests", "9"], "--max-requests works only in a single run"),
            (&["-t", "a", "--select", "each"], "--select each works only in a single run"),
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
        assert!(line.starts_with("a round takes 10s, longer than --interval 10s"), "{line}");
    }
}
