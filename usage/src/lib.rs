//! What the programs of this workspace share: usage errors (one line on stderr, exit code
//! 2, the nearest right word), durations, counts, and the system's refusals in words.
//! Holds no flags of any program.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

pub mod count;
pub mod duration;
mod exchange;
pub mod file;
#[cfg(feature = "json")]
pub mod json;
mod negative;
mod values;
pub mod whole;
#[cfg(feature = "yaml")]
pub mod yaml;

pub use exchange::why_no_answer;
pub use negative::try_parse_from;

/// The exit code for wrong usage, and if the program could not run.
pub const WRONG_USAGE: u8 = 2;

/// The error of `connect` and `socket` when this process has no file descriptor left.
const EMFILE: i32 = 24;
/// The same of the whole machine.
const ENFILE: i32 = 23;

/// What a program knows about words that people type by mistake. Each answer is one line.
pub trait Advice {
    /// What is wrong with words that would be misread, if anything.
    fn before(words: &[String]) -> Option<String>;

    /// A line that says more than the parser's own error.
    fn of(error: &clap::Error) -> Option<String>;
}

/// Parses the arguments of the process. `Err` holds the exit code if the program ends here:
/// 0 after it has printed `--help` or `--version`, 2 after it has printed a usage error as
/// one line.
pub fn parse<T: Parser>() -> Result<T, ExitCode> {
    parse_or(one_line)
}

/// The same for a program that has [`Advice`].
pub fn parse_with_advice<T: Parser + Advice>() -> Result<T, ExitCode> {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    if let Some(line) = T::before(&words) {
        return Err(refuse::<T>(&line));
    }
    parse_or(|error| T::of(error).unwrap_or_else(|| one_line(error)))
}

fn parse_or<T: Parser>(line: impl Fn(&clap::Error) -> String) -> Result<T, ExitCode> {
    try_parse_from::<T>(std::env::args_os()).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // A closed pipe (`--help | head -1`) is not an error.
            let _ = error.print();
            if error.use_stderr() { ExitCode::from(WRONG_USAGE) } else { ExitCode::SUCCESS }
        }
        _ => refuse::<T>(&line(&error)),
    })
}

/// Prints a usage error.
fn refuse<T: Parser>(line: &str) -> ExitCode {
    let program = T::command().get_name().to_owned();
    complain(&program, &format_args!("{line} (see {program} --help)"))
}

/// Why a program cannot listen on an address.
#[must_use]
pub fn why_not_listening(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "address in use".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        io::ErrorKind::PermissionDenied => "ports below 1024 need privileges".to_owned(),
        _ => system_error(error),
    }
}

/// The system's message without its error number: `No route to host`. Rust's own names for errors
/// (`entity not found`) are replaced by the system's.
#[must_use]
pub fn system_error(error: &io::Error) -> String {
    let mut text = error.to_string();
    if error.raw_os_error().is_some()
        && let Some(end) = text.rfind(" (os error ")
    {
        text.truncate(end);
    }
    if error.raw_os_error().is_some() || error.get_ref().is_some() {
        return text;
    }
    let words = match error.kind() {
        io::ErrorKind::NotFound => "No such file or directory",
        io::ErrorKind::PermissionDenied => "Permission denied",
        io::ErrorKind::InvalidData => "the data is not UTF-8 text",
        io::ErrorKind::UnexpectedEof => "the data ends too early",
        io::ErrorKind::WriteZero => "nothing more can be written",
        io::ErrorKind::InvalidInput => "the name or value cannot be used",
        _ => return text,
    };
    words.to_owned()
}

/// An error of the system in words. Says what to do if this process (EMFILE) or the machine
/// (ENFILE) has no file descriptor left.
#[must_use]
pub fn local_limit(error: &io::Error) -> String {
    if out_of_descriptors(error) {
        return "no file descriptor left on this machine; raise 'ulimit -n' or lower -c".to_owned();
    }
    system_error(error)
}

/// Whether this process (EMFILE) or the machine (ENFILE) has no file descriptor left.
#[must_use]
pub fn out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE))
}

/// Whether SIGHUP is ignored because `nohup` or a like started this process. Then it must stay so.
#[must_use]
pub fn ignores_hangup() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignored(&status) & 1 == 1)
}

/// The set of ignored signals, SIGHUP in the lowest bit, from the text of `/proc/PID/status`.
fn ignored(status: &str) -> u64 {
    let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0)
}

/// Prints `program: message` on stderr as exactly one line, and returns exit code 2.
pub fn complain(program: &str, message: &dyn Display) -> ExitCode {
    let (line, code) = complaint(program, message);
    let _ = std::io::stderr().write_all(line.as_bytes());
    code
}

/// What [`complain`] prints, with its end, and exit code 2.
pub fn complaint(program: &str, message: &dyn Display) -> (String, ExitCode) {
    let line = message.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" ");
    (format!("{program}: {}\n", printable::clean(&line)), ExitCode::from(WRONG_USAGE))
}

/// Clap's error and tip as one line, without the usage.
#[must_use]
pub fn one_line(error: &clap::Error) -> String {
    let mut text = error.render().to_string();
    if let Some(source) = std::error::Error::source(error)
        && let Some(words) = values::refusal(source)
    {
        text = text.replacen(&format!(": {source}"), &format!(": {words}"), 1);
    }
    let mut line = String::new();
    let said = text
        .lines()
        .map(str::trim)
        .take_while(|l| !l.starts_with("Usage:") && !l.starts_with("For more information"))
        // Where any word is a positional argument, '--' is seldom what was meant.
        .filter(|l| !l.is_empty() && !l.contains("to pass '"));
    for part in said {
        let part = part.strip_prefix("error: ").or(part.strip_prefix("tip: ")).unwrap_or(part);
        let values = part.strip_prefix("[possible values: ").and_then(|p| p.strip_suffix(']'));
        if !line.is_empty() {
            line.push_str(if line.ends_with(':') { " " } else { "; " });
        }
        match values {
            Some(values) => line.push_str(&format!("write one of {values}")),
            None => line.push_str(part),
        }
    }
    line
}

/// Whether a word of small letters was probably meant as `right`: it is one edit away, or two if it
/// is long. The exchange of two neighbours is one edit. A plural is another word.
#[must_use]
pub fn is_typo(word: &str, right: &str) -> bool {
    let letters = word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let plural = word.strip_suffix('s') == Some(right);
    let edits = if right.len() < 8 { 1 } else { 2 };
    letters && right.len() > 3 && !plural && strsim::osa_distance(word, right) <= edits
}

/// The candidate most similar to `word`, if it is similar enough for a typo (Jaro-Winkler
/// similarity of at least 0.75).
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(similarity, _)| *similarity >= 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[derive(Parser)]
    #[command(name = "sample")]
    struct Sample {
        /// How many.
        #[arg(long)]
        count: u8,
        /// Which form.
        #[arg(long, value_parser = ["text", "json"])]
        output: Option<String>,
    }

    fn line_for(args: &[&str]) -> String {
        one_line(&Sample::command().try_get_matches_from(args).unwrap_err())
    }

    #[test]
    fn the_ignored_signals_are_read() {
        assert_eq!(ignored("SigBlk:\t01\nSigIgn:\t0000000000001001\n"), 0x1001);
        assert_eq!((ignored(""), ignored("SigIgn:\tx")), (0, 0));
    }

    #[test]
    fn error_numbers_are_left_out() {
        assert_eq!(system_error(&io::Error::from_raw_os_error(113)), "No route to host");
        assert_eq!(system_error(&io::Error::other("odd (os error 1)")), "odd (os error 1)");
    }

    #[test]
    fn names_of_error_kinds_are_replaced() {
        for kind in [io::ErrorKind::NotFound, io::ErrorKind::InvalidData] {
            let error = io::Error::from(kind);
            assert_ne!(system_error(&error), error.to_string());
        }
        let text = std::io::read_to_string(&b"\xff"[..]).unwrap_err();
        assert_eq!(system_error(&text), "the data is not UTF-8 text");
    }

    #[test]
    fn every_usage_error_is_one_line_with_its_tip() {
        assert_eq!(
            line_for(&["sample", "--cuont", "3"]),
            "unexpected argument '--cuont' found; a similar argument exists: '--count'"
        );
        assert_eq!(
            line_for(&["sample"]),
            "the following required arguments were not provided: --count <COUNT>"
        );
        assert_eq!(
            line_for(&["sample", "--count", "1", "--output", "xml"]),
            "invalid value 'xml' for '--output <OUTPUT>'; write one of text, json"
        );
        for (count, said) in [
            ("900", "the number is out of range; write a number from 0 to 255"),
            (
                "99999999999999999999",
                "the number is out of range; write a whole number nearer to 0",
            ),
            ("1k", "not a whole number; write one such as 10"),
            ("x", "not a whole number; write one such as 10"),
        ] {
            assert_eq!(
                line_for(&["sample", "--count", count]),
                format!("invalid value '{count}' for '--count <COUNT>': {said}")
            );
        }
    }

    #[test]
    fn nearest_finds_a_typo_and_ignores_other_words() {
        let keys = ["targets", "sources", "clusters"];
        assert_eq!(nearest("target", keys), Some("targets"));
        assert_eq!(nearest("souces", keys), Some("sources"));
        assert_eq!(nearest("xyz", keys), None);
    }
}
