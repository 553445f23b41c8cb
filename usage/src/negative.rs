//! Negative values: `-n -1` and `scale gke1/echo2 -1` are wrong values, not unknown flags.

use std::ffi::{OsStr, OsString};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Command, CommandFactory, Parser};

/// Parses words, the first of which is the program unless the parser has none. A word such as `-1`
/// or `-5s` is the value of the argument before it where it is not a flag, so that an error speaks
/// of this value and not of a flag `-1`.
///
/// # Errors
/// As [`Parser::try_parse_from`].
pub fn try_parse_from<T: Parser>(
    words: impl IntoIterator<Item = impl Into<OsString>>,
) -> Result<T, clap::Error> {
    let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
    let error = match T::try_parse_from(&words) {
        Ok(read) => return Ok(read),
        Err(error) => error,
    };
    if !can_be_of_a_value(&error) || !words.iter().any(|word| is_negative(word)) {
        return Err(error);
    }
    let command = <T as CommandFactory>::command();
    let read = with_negative_values(command).try_get_matches_from(joined(&words));
    match read.and_then(|matches| T::from_arg_matches(&matches)) {
        Ok(read) => Ok(read),
        Err(better) if better.kind() == ErrorKind::ValueValidation => Err(better),
        Err(_) => Err(error),
    }
}

/// Whether a negative value can be the reason: it was taken for a flag, or a flag has no value.
fn can_be_of_a_value(error: &clap::Error) -> bool {
    match (error.kind(), error.get(ContextKind::InvalidArg)) {
        // Clap names only the first letter of short flags: '-1' of '-1s', '-.' of '-.5'.
        (ErrorKind::UnknownArgument, Some(ContextValue::String(word))) => {
            word == "-." || is_negative(OsStr::new(word))
        }
        (ErrorKind::InvalidValue, _) => true,
        _ => false,
    }
}

/// Whether a word begins as a negative number does.
fn is_negative(word: &OsStr) -> bool {
    let bytes = word.as_encoded_bytes();
    let begins = |rest: &[u8]| rest.first().is_some_and(u8::is_ascii_digit);
    bytes.strip_prefix(b"-").is_some_and(|rest| begins(rest.strip_prefix(b".").unwrap_or(rest)))
}

/// Joins each flag to the negative value after it, with `=`.
fn joined(words: &[OsString]) -> Vec<OsString> {
    let mut all: Vec<OsString> = Vec::with_capacity(words.len());
    for word in words {
        let is_flag = |last: &&mut OsString| {
            let bytes = last.as_encoded_bytes();
            bytes.len() > 1 && bytes[0] == b'-' && bytes != b"--" && !bytes.contains(&b'=')
        };
        match all.last_mut().filter(is_flag).filter(|last| !is_negative(last)) {
            Some(flag) if is_negative(word) => {
                flag.push("=");
                flag.push(word);
            }
            _ => all.push(word.clone()),
        }
    }
    all
}

/// The same command, whose single positional arguments take what begins with a hyphen.
fn with_negative_values(command: Command) -> Command {
    command
        .mut_args(|arg| {
            let single = arg.is_positional() && matches!(arg.get_action(), ArgAction::Set);
            if single { arg.allow_hyphen_values(true) } else { arg }
        })
        .mut_subcommands(with_negative_values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::one_line;
    use proptest::prelude::*;

    #[derive(Debug, Parser)]
    #[command(name = "sample", args_conflicts_with_subcommands = true)]
    struct Sample {
        urls: Vec<String>,
        #[arg(short = 'n', long, value_parser = crate::count::parse)]
        requests: Option<u64>,
        #[arg(short, long)]
        duration: Option<String>,
        #[arg(short, long)]
        quiet: bool,
        #[arg(short = '4')]
        four: bool,
        #[command(subcommand)]
        command: Option<Sub>,
    }

    #[derive(Debug, clap::Subcommand)]
    enum Sub {
        Scale {
            of: String,
            #[arg(value_parser = crate::whole::within(0_u8..=5))]
            to: u8,
            #[arg(long, value_parser = crate::whole::within(1_u8..=100))]
            percent: Option<u8>,
        },
    }

    fn read(line: &str) -> Result<Sample, String> {
        let words = std::iter::once("sample").chain(line.split_whitespace());
        try_parse_from(words).map_err(|error| one_line(&error))
    }

    #[test]
    fn a_negative_value_is_a_wrong_value() {
        for (line, part) in [
            ("-n -1", "invalid value '-1' for '--requests <REQUESTS>': a count cannot be negative"),
            ("--requests -1k a", "invalid value '-1k' for '--requests <REQUESTS>'"),
            ("-q -n -.5", "a count cannot be negative"),
            ("-n -4", "invalid value '-4' for '--requests <REQUESTS>'"),
            (
                "scale a -1",
                "invalid value '-1' for '<TO>': the number is out of range; write a number from 0 to 5",
            ),
            ("scale a -1s", "invalid value '-1s' for '<TO>': not a whole number"),
            ("scale a 1 --percent -1", "from 1 to 100"),
            ("scale a --percent -1 1", "from 1 to 100"),
            // These are still what they were.
            ("-5", "unexpected argument '-5'"),
            ("a -5", "unexpected argument '-5'"),
            ("--quiet -5", "unexpected argument '-5'"),
            ("-n", "a value is required for '--requests <REQUESTS>'"),
            ("-n -4 --bogus", "a count cannot be negative"),
            ("--bogus -n -1", "'--bogus'"),
            ("scale a --prcent 5 -1", "'--prcent'"),
        ] {
            let said = read(line).map(|read| panic!("{line}: {read:?}")).unwrap_err();
            assert!(said.contains(part), "{line}: {said}");
        }
        // Texts are judged later.
        assert_eq!(read("-d -1s a").unwrap().duration.as_deref(), Some("-1s"));
        assert_eq!(read("--duration -4 a").unwrap().duration.as_deref(), Some("-4"));
        let flag = read("-4 -n 5").unwrap();
        assert!(flag.four && flag.requests == Some(5));
    }

    proptest! {
        /// What is accepted without this module is read as before.
        #[test]
        fn what_is_right_stays_so(words in proptest::collection::vec("-n|-d|-4|-q|scale|--|[a1]|-?[0-9]{1,2}s?|--percent", 0..6)) {
            let words: Vec<_> = std::iter::once("sample".to_owned()).chain(words).collect();
            let plain = Sample::try_parse_from(&words).map(|read| format!("{read:?}"));
            let read = try_parse_from::<Sample>(&words).map(|read| format!("{read:?}"));
            prop_assert!(plain.is_err() || read.ok() == plain.ok());
        }
    }
}
