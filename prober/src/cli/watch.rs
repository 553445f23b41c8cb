//! The flags of `prober watch`; the doc comments are the help text.

use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, ValueHint, value_parser};

use super::RunArgs;

/// The first word without a flag: a matrix file, or a URL.
const FIRST: &str = "watched";

/// Flags and groups of flags that describe requests and load, which the rows of a matrix file do
/// themselves.
const OF_ROWS: [&str; 25] = [
    "RequestArgs",
    "NetworkArgs",
    "ConnectionArgs",
    "TlsArgs",
    "EventArgs",
    "JudgeArgs",
    "EnvoyArgs",
    "targets",
    "urls",
    "data",
    "data_binary",
    "wait",
    "identify",
    "concurrency",
    "duration",
    "rate",
    "arrivals",
    "seed",
    "warmup",
    "start_at",
    "reuse",
    "streams",
    "connection_lifetime",
    "timeline",
    "threads",
];

/// The matrix file to watch, if the first word is one.
#[derive(Clone, Debug, Default)]
pub struct WatchedFile(pub Option<PathBuf>);

impl Args for WatchedFile {
    fn augment_args(command: Command) -> Command {
        let help = "URL to watch, or a matrix file; of the flags about load, only -n can be given with \
                    a file";
        let first = Arg::new(FIRST).value_name("URL|FILE").value_parser(value_parser!(PathBuf));
        command.arg(first.value_hint(ValueHint::AnyPath).help(help))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for WatchedFile {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let first = matches.get_one::<PathBuf>(FIRST);
        let Some(file) = first.filter(|first| is_matrix(first)) else { return Ok(Self(None)) };
        match OF_ROWS.iter().find_map(|id| given(matches, id)) {
            None => Ok(Self(Some(file.clone()))),
            Some(flag) => {
                let file = file.display();
                let line = format!(
                    "the matrix file {file} cannot be used with {flag}; remove one of them"
                );
                Err(clap::Error::raw(ErrorKind::ArgumentConflict, line))
            }
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The first word of `prober watch`, if it is a URL, with its place.
pub(super) fn first_url(matches: &ArgMatches) -> Option<(usize, String)> {
    let first = matches.try_get_one::<PathBuf>(FIRST).ok()??;
    (!is_matrix(first)).then_some(())?;
    Some((matches.index_of(FIRST)?, first.to_string_lossy().into_owned()))
}

/// Whether a word names a matrix file: stdin, a name of YAML, or a file that exists.
fn is_matrix(word: &Path) -> bool {
    let yaml = word.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
    let url = word.to_string_lossy().contains("://");
    !url && (word == Path::new("-") || yaml || word.exists())
}

/// A flag that was given: this one, or the first of this group.
fn given(matches: &ArgMatches, id: &str) -> Option<String> {
    if matches.value_source(id) != Some(ValueSource::CommandLine) {
        return None;
    }
    let command = WatchArgs::augment_args(Command::new("watch"));
    let members = command.get_groups().find(|group| group.get_id() == id);
    let members: Vec<_> =
        members.map_or(vec![id], |group| group.get_args().map(clap::Id::as_str).collect());
    let is_given = |arg: &&Arg| {
        let id = arg.get_id();
        members.contains(&id.as_str())
            && matches.value_source(id.as_str()) == Some(ValueSource::CommandLine)
    };
    let flag = command.get_arguments().find(is_given)?;
    Some(flag.get_long().map_or("a URL".to_owned(), |long| format!("--{long}")))
}

#[derive(Debug, Args)]
pub struct WatchArgs {
    #[command(flatten)]
    pub matrix: WatchedFile,
    /// Time between the starts of two rounds; a round sends -n requests to each target
    #[arg(long, value_name = "DURATION", default_value = "10s", help_heading = "Watch")]
    pub interval: String,
    /// Judge the rounds of this time until now
    #[arg(long, value_name = "DURATION", default_value = "5m", help_heading = "Watch")]
    pub window: String,
    /// Address of /metrics, /healthz, /readyz and the live page
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:9464",
        help_heading = "Watch"
    )]
    pub listen: String,
    /// Name by which browsers and Prometheus may ask for them, such as watch.example.com;
    /// repeatable. IP addresses, localhost, the name of this machine and names that cannot be
    /// public, such as those of Kubernetes Services, need no flag
    #[arg(long, value_name = "NAME", help_heading = "Watch")]
    pub allow_host: Vec<String>,
    #[command(flatten)]
    pub run: RunArgs,
}
