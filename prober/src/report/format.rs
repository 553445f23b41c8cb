//! The forms of a report, by the word of `--output` or by a file's ending. A new one is a
//! variant, an ending and an arm of [`Format::render`]; what is in it has a module of its own.

use std::path::Path;

use super::text::Style;
use super::{Report, csv, html, json, junit, markdown, prometheus, text};
use crate::cli::OutputForm;

/// A form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// For eyes.
    Text,
    /// Schema `prober/1`, indented.
    Json,
    /// The same on one line.
    Ndjson,
    /// A line for each backend.
    Csv,
    /// A page for a browser.
    Html,
    /// A case for each expectation.
    Junit,
    /// For a pull request.
    Markdown,
    /// Prometheus' text exposition.
    Prometheus,
}

/// What a file's ending says.
const ENDINGS: &[(&str, Format)] = &[
    ("csv", Format::Csv),
    ("html", Format::Html),
    ("json", Format::Json),
    ("md", Format::Markdown),
    ("prom", Format::Prometheus),
    ("xml", Format::Junit),
];

impl Format {
    /// The form that a file's ending asks for, in upper or lower case; `None` if no form has
    /// this ending.
    #[must_use]
    pub(crate) fn of_path(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        ENDINGS.iter().find(|(known, _)| *known == ending).map(|(_, format)| *format)
    }

    /// All endings that files may have, for people: `.csv, .html, .json`.
    #[must_use]
    pub(crate) fn endings() -> String {
        let endings: Vec<_> = ENDINGS.iter().map(|(ending, _)| format!(".{ending}")).collect();
        endings.join(", ")
    }

    /// The report in this form; `style` dresses text.
    #[must_use]
    pub(crate) fn render(self, report: &Report, style: Style) -> Vec<u8> {
        match self {
            Self::Text => text::render(report, style),
            Self::Json => json::render(report),
            Self::Ndjson => json::render_line(report),
            Self::Csv => csv::render(report),
            Self::Junit => junit::render(report),
            Self::Markdown => markdown::render(report),
            Self::Html => html::render(report),
            Self::Prometheus => prometheus::render(report),
        }
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
        let said = format!("in which form: {};", Format::endings());
        assert!(help.contains(&said), "{said:?} is missing: {help}");
    }
}
