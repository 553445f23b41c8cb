//! The parts of a request that may be in files: headers and the body, as curl reads them.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, ValueHint};

/// A value of `-H`, or a line of a file that `-H` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderArg {
    /// A header may have any bytes.
    pub text: Vec<u8>,
    /// The file and its line, such as `headers.txt:3`.
    pub place: Option<String>,
}

impl HeaderArg {
    /// The file that the value names: `@FILE`. A line of a file names no other file.
    #[must_use]
    pub fn file(&self) -> Option<String> {
        let name = self.text.strip_prefix(b"@").filter(|_| self.place.is_none())?;
        Some(String::from_utf8_lossy(name).into_owned())
    }
}

impl From<&str> for HeaderArg {
    fn from(text: &str) -> Self {
        Self { text: text.as_bytes().to_vec(), place: None }
    }
}

/// Where it is and what it says, for messages.
impl std::fmt::Display for HeaderArg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "@{place} ")?;
        }
        write!(f, "'{}'", String::from_utf8_lossy(&self.text).escape_debug())
    }
}

/// A flag that adds to the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataFlag {
    /// Removes the line ends of files.
    Data,
    /// Sends files as they are.
    Binary,
}

impl DataFlag {
    const ALL: [Self; 2] = [Self::Data, Self::Binary];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Data => "--data",
            Self::Binary => "--data-binary",
        }
    }

    fn id(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Binary => "data_binary",
        }
    }

    fn help(self) -> &'static str {
        match self {
            Self::Data => {
                "Body to send, with POST unless -X is given. @FILE reads a file without its line \
                 ends, @- reads stdin; several are joined with '&'. (-d is --duration)"
            }
            Self::Binary => "The same, but @FILE is sent as it is",
        }
    }
}

/// A part of the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyPart {
    Bytes(Vec<u8>),
    /// A file that has not been read; `-` is stdin.
    File(DataFlag, String),
}

/// `--data` and `--data-binary`, in the order of the command line.
#[derive(Clone, Debug, Default)]
pub struct BodyArgs {
    pub parts: Vec<BodyPart>,
}

impl Args for BodyArgs {
    fn augment_args(command: Command) -> Command {
        command.args(DataFlag::ALL.map(|flag| {
            Arg::new(flag.id())
                .long(flag.name().trim_start_matches('-'))
                .value_name("DATA")
                .action(ArgAction::Append)
                .allow_hyphen_values(true)
                .help_heading("Request")
                .value_hint(ValueHint::Other)
                .help(flag.help())
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for BodyArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |flag: DataFlag| {
            let values = matches.get_many::<String>(flag.id()).unwrap_or_default();
            let places = matches.indices_of(flag.id()).unwrap_or_default();
            places.zip(values.map(move |value| match value.strip_prefix('@') {
                Some(file) => BodyPart::File(flag, file.to_owned()),
                None => BodyPart::Bytes(value.clone().into_bytes()),
            }))
        };
        let mut parts: Vec<_> = DataFlag::ALL.into_iter().flat_map(given).collect();
        parts.sort_by_key(|(place, _)| *place);
        Ok(Self { parts: parts.into_iter().map(|(_, part)| part).collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser as _;

    #[test]
    fn parts_of_a_body_keep_the_order_of_the_command_line() {
        let words = ["prober", "a", "--data-binary", "@f", "--data", "x", "--data-binary=-y"];
        let read = Cli::try_parse_from(words).unwrap().run.body.parts;
        let bytes = |text: &str| BodyPart::Bytes(text.as_bytes().to_vec());
        let file = BodyPart::File(DataFlag::Binary, "f".to_owned());
        assert_eq!(read, [file, bytes("x"), bytes("-y")]);
    }

    #[test]
    fn only_a_value_of_the_command_line_names_a_file() {
        assert_eq!(HeaderArg::from("@f").file().as_deref(), Some("f"));
        let line = HeaderArg { place: Some("f:1".to_owned()), ..HeaderArg::from("@g") };
        assert_eq!(line.file(), None);
        assert_eq!(line.to_string(), "@f:1 '@g'");
    }
}
