//! The formats of a report, chosen by `--output` or by a file's ending. A new format needs a
//! variant, an ending, an arm of [`Format::render`] and a module.

use std::borrow::Cow;
use std::path::Path;

use super::text::Style;
use super::{Report, csv, html, json, junit, markdown, prometheus, text};
use crate::cli::OutputForm;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// Schema `prober/1`, indented.
    Json,
    /// The same JSON on one line.
    Ndjson,
    /// One line per row and backend.
    Csv,
    Html,
    /// One test case per expectation.
    Junit,
    /// For pull requests.
    Markdown,
    /// The text format of Prometheus.
    Prometheus,
}

const ENDINGS: &[(&str, Format)] = &[
    ("csv", Format::Csv),
    ("html", Format::Html),
    ("json", Format::Json),
    ("md", Format::Markdown),
    ("prom", Format::Prometheus),
    ("xml", Format::Junit),
];

impl Format {
    /// The format of a file's ending, in upper or lower case; `None` if the ending is unknown.
    #[must_use]
    pub(crate) fn of_path(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        ENDINGS.iter().find(|(known, _)| *known == ending).map(|(_, format)| *format)
    }

    /// All endings: `.csv, .html, .json`.
    #[must_use]
    pub(crate) fn endings() -> String {
        let endings: Vec<_> = ENDINGS.iter().map(|(ending, _)| format!(".{ending}")).collect();
        endings.join(", ")
    }

    /// The report in this format. Only text uses `style`.
    #[must_use]
    pub(crate) fn render(self, report: &Report, style: Style) -> Vec<u8> {
        match self {
            Self::Text => text::render(report, style),
            // Quotes and commas separate texts, and each is clean.
            Self::Json => json::render(report),
            Self::Ndjson => json::render_line(report),
            Self::Csv => inert(csv::render(report)),
            Self::Junit => inert(junit::render(report)),
            Self::Markdown => inert(markdown::render(report)),
            Self::Html => inert(html::render(report)),
            Self::Prometheus => inert(prometheus::render(report)),
        }
    }
}

/// The same document without commands for CI systems, which texts that are harmless alone can form on
/// one line.
fn inert(document: Vec<u8>) -> Vec<u8> {
    match std::str::from_utf8(&document).map(printable::without_commands) {
        Ok(Cow::Owned(inert)) => inert.into_bytes(),
        _ => document,
    }
}

impl From<OutputForm> for Format {
    fn from(form: OutputForm) -> Self {
        match form {
            OutputForm::Text => Self::Text,
            OutputForm::Json => Self::Json,
            OutputForm::Ndjson => Self::Ndjson,
            OutputForm::Csv => Self::Csv,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_decides() {
        let of = |name: &str| Format::of_path(Path::new(name));
        assert_eq!(of("a/run.json"), Some(Format::Json));
        assert_eq!(of("run.old.CSV"), Some(Format::Csv));
        assert_eq!(of("run.html"), Some(Format::Html));
        for none in ["run", "json", ".json", "run.json.gz", "run.", "", "run.jsonx"] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn the_help_names_every_ending() {
        use clap::CommandFactory as _;
        let help = crate::cli::Cli::command().render_help().to_string();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        let said = format!("selects the format: {} (JUnit);", Format::endings());
        assert!(help.contains(&said), "{said:?} is missing: {help}");
    }
}
