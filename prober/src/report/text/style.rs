//! The style of text reports: colours, width, characters.

use super::width;
use crate::report::groups::{COLOURS, Clusters};
use crate::verdict::Verdict;

const GREEN: &str = "32";
pub(super) const RED: &str = "31";
pub(super) const YELLOW: &str = "33";
/// The colours of clusters, in the order of those in HTML. They can be read on black and on white.
const CLUSTERS: [&str; COLOURS] =
    ["38;5;33", "38;5;172", "38;5;37", "38;5;134", "38;5;169", "38;5;106", "38;5;137", "38;5;67"];
const OTHERS: &str = "38;5;244";

/// The colour of the cluster at a place.
pub(super) fn of_cluster(place: usize, clusters: &Clusters<'_>) -> &'static str {
    if place < clusters.names().len() { CLUSTERS[place] } else { OTHERS }
}

/// The narrowest layout, in columns.
pub(crate) const NARROWEST: usize = 60;
/// The widest layout, in columns.
pub(crate) const WIDEST: usize = 200;

/// The style of text reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    /// Whether words also have a colour.
    pub color: bool,
    /// Whether a single address is shown, too.
    pub verbose: bool,
    /// The columns of the terminal.
    pub width: usize,
    /// Whether prose is wrapped to this width. Without a terminal it is not, so that logs stay
    /// searchable.
    pub wrap: bool,
    /// Whether Unicode is used; otherwise ASCII.
    pub unicode: bool,
}

impl Style {
    /// The style of files.
    pub(crate) const PLAIN: Self =
        Self { color: false, verbose: false, width: 100, wrap: false, unicode: true };

    /// `text` in a colour, given as the number of its escape sequence (SGR).
    pub(crate) fn paint(self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(super) fn verdict(self, verdict: Verdict) -> String {
        self.paint(of_verdict(verdict), verdict.word())
    }

    /// The finished lines, through which every text report goes: no line is a command for a CI
    /// system, which two cells, or a word that was wrapped, can form. In ASCII if the style asks for
    /// it.
    pub(super) fn finish(self, text: String) -> Vec<u8> {
        let clean = match self.color {
            true => printable::clean_painted_lines(&text),
            false => printable::clean_lines(&text),
        }
        .into_owned();
        if self.unicode { clean.into_bytes() } else { width::ascii(clean).into_bytes() }
    }
}

/// The escape sequence (SGR) of a verdict's colour.
pub(super) fn of_verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => GREEN,
        Verdict::Fail => RED,
        Verdict::Inconclusive => YELLOW,
    }
}
