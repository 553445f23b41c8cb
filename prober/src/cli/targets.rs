//! Targets: `--target URL`, and URLs without a flag, in the order of the command line. Words that
//! cannot be meant as URLs are refused here.

use clap::error::ErrorKind;
use clap::{
    Arg, ArgAction, ArgMatches, Args, Command, CommandFactory as _, FromArgMatches, ValueHint,
};

use super::Cli;
use super::watch::first_url;

/// URLs without a flag.
const BARE: &str = "urls";
/// URLs with `--target`.
const WITH_FLAG: &str = "targets";

const HELP: &str = "URL to probe; http:// if it has no scheme; repeatable";

/// First words that are commands of other tools, and what to write instead.
const OTHER_COMMANDS: [(&str, &str); 4] = [
    ("run", "a run needs no command: prober URL"),
    ("probe", "a run needs no command: prober URL"),
    ("version", "write prober --version"),
    ("completion", "write prober completions SHELL"),
];

/// The ends of files that a command reads, and the command.
const FILES: [(&str, &str); 4] =
    [(".yaml", "matrix"), (".yml", "matrix"), (".json", "report"), (".html", "report")];

#[derive(Clone, Debug, Default)]
pub struct TargetArgs {
    /// In the order given.
    pub urls: Vec<String>,
}

impl Args for TargetArgs {
    fn augment_args(command: Command) -> Command {
        let arg = |id| Arg::new(id).value_name("URL").action(ArgAction::Append);
        command
            .arg(arg(BARE).num_args(0..).value_hint(ValueHint::Url).help(HELP))
            .arg(arg(WITH_FLAG).short('t').long("target").value_hint(ValueHint::Url).help(HELP))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for TargetArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |id| {
            let values = matches.get_many::<String>(id).unwrap_or_default().cloned();
            matches.indices_of(id).unwrap_or_default().zip(values)
        };
        let bare: Vec<_> = first_url(matches).into_iter().chain(given(BARE)).collect();
        let meant = bare.first().and_then(|(_, word)| meant_as_command(word));
        let meant = meant.or_else(|| bare.iter().find_map(|(_, word)| meant_as_expectation(word)));
        let meant = meant.or_else(|| bare.iter().find_map(|(_, word)| meant_as_file(word)));
        let mut all: Vec<_> = bare.into_iter().chain(given(WITH_FLAG)).collect();
        all.sort_by_key(|(place, _)| *place);
        let urls: Vec<_> = all.into_iter().map(|(_, url)| url).collect();
        match meant.or_else(|| urls.iter().find_map(|url| meant_as_number(url))) {
            Some(line) => Err(clap::Error::raw(ErrorKind::InvalidValue, line)),
            None => Ok(Self { urls }),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// What to write instead of a first word that looks like a mistyped command.
fn meant_as_command(word: &str) -> Option<String> {
    let right = match OTHER_COMMANDS.iter().find(|(other, _)| *other == word) {
        Some((_, right)) => (*right).to_owned(),
        None => {
            let program = Cli::command();
            let names = program.get_subcommands().map(Command::get_name);
            let command = names.into_iter().find(|name| usage::is_typo(word, name))?;
            format!("did you mean 'prober {command}'?")
        }
    };
    Some(format!("'{word}' is not a command; {right} (a host of this name: --target {word})"))
}

/// What to write instead of the name of a file.
fn meant_as_file(word: &str) -> Option<String> {
    let (_, command) = FILES.iter().find(|(end, _)| word.ends_with(end))?;
    let is_path = !word.contains('/') || word.starts_with(['.', '/', '~']);
    (is_path && !word.contains(':'))
        .then(|| format!("'{word}' looks like a file; write prober {command} {word}"))
}

/// `-e errors = 0` without quotes leaves words behind that are not URLs.
fn meant_as_expectation(word: &str) -> Option<String> {
    let operator = word.starts_with(['=', '<', '>', '±', '+']);
    let names = word.contains(',') && !word.contains(['/', '?']);
    (operator || names).then(|| {
        format!("'{word}' is not a URL; quote an expectation, such as -e 'exactly kops,gke1'")
    })
}

/// `-t 4` is threads in wrk, and `-t 30s` is a duration in fortio.
fn meant_as_number(url: &str) -> Option<String> {
    let is_number = !url.contains('.') && usage::duration::parse(url).is_ok();
    is_number.then(|| {
        format!(
            "target '{url}' is not a URL; for requests write -n {url}, for threads --threads {url}, \
             for a duration -d {url}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use proptest::prelude::*;

    fn read(words: &[&str]) -> Result<Cli, String> {
        let words = ["prober"].iter().chain(words);
        Cli::try_parse_from(words).map_err(|error| usage::one_line(&error))
    }

    fn urls(words: &[&str]) -> Vec<String> {
        read(words).unwrap().run.targets.urls
    }

    #[test]
    fn urls_with_and_without_a_flag_count_in_their_order() {
        assert_eq!(urls(&["echo2:8080"]), ["echo2:8080"]);
        assert_eq!(
            urls(&["a", "-n", "5", "-t", "b", "c", "--target=d", "e"]),
            ["a", "b", "c", "d", "e"]
        );
        assert_eq!(urls(&["-t", "b", "a"]), ["b", "a"]);
        assert!(urls(&[]).is_empty());
        for host in [
            "echo",
            "web",
            "watcher",
            "reports",
            "localhost",
            "plan1",
            "planner.test",
            "a/x.json",
            "a/x?b=1,2",
            "1.2.3.4",
        ] {
            assert_eq!(urls(&[host]), [host]);
        }
        assert_eq!(urls(&["--target", "matirx", "--target", "m.yaml"]), ["matirx", "m.yaml"]);
        assert!(matches!(
            read(&["matrix", "m.yaml"]).unwrap().command,
            Some(super::super::Command::Matrix(_))
        ));
    }

    #[test]
    fn words_that_are_not_urls_are_refused_with_what_was_meant() {
        for (words, part) in [
            (&["matirx", "f.yaml"][..], "'matirx' is not a command; did you mean 'prober matrix'?"),
            (&["wacth", "f.yaml"], "did you mean 'prober watch'?"),
            (&["explian", "errors = 0"], "did you mean 'prober explain'?"),
            (&["judg"], "did you mean 'prober judge'?"),
            (&["completoins", "bash"], "did you mean 'prober completions'?"),
            (&["run", "echo2:8080"], "a run needs no command: prober URL"),
            (&["mesh.yaml"], "'mesh.yaml' looks like a file; write prober matrix mesh.yaml"),
            (&["./a/run.json"], "write prober report ./a/run.json"),
            (&["-e", "errors", "=", "0", "a"], "'=' is not a URL; quote an expectation"),
            (
                &["a", "-e", "exactly", "kops,gke1"],
                "'kops,gke1' is not a URL; quote an expectation",
            ),
            (&["a", "-e", "balanced", "±", "5%"], "'±' is not a URL; quote"),
            (&["-t", "4", "a"], "target '4' is not a URL"),
            (&["a", "-t", "30s"], "for a duration -d 30s"),
        ] {
            let line = read(words).map(|cli| panic!("{words:?}: {cli:?}")).unwrap_err();
            assert!(line.contains(part) && !line.contains('\n'), "{words:?}: {line}");
        }
    }

    proptest! {
        #[test]
        fn no_word_panics(word in "\\PC{0,20}") {
            let _ = (meant_as_command(&word), meant_as_expectation(&word), meant_as_file(&word), meant_as_number(&word));
        }
    }
}
