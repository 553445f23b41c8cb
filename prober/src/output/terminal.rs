//! The terminal: its width, whether it supports colour and Unicode, and lines on stderr.

use std::env;
use std::io::{self, Write as _};

use crate::cli::When;
use crate::report::text::{NARROWEST, Style, WIDEST};

/// Prints a line, which may be wrapped, to stderr. A closed stderr is not an error.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr(), "prober: {}", printable::clean_lines(line));
}

/// The style of a stream; `terminal` is its width if it is a terminal.
pub(crate) fn style(color: When, verbose: bool, ascii: bool, terminal: Option<usize>) -> Style {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    let color = match color {
        When::Always => true,
        When::Never => false,
        When::Auto => {
            let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
            terminal.is_some() && set("NO_COLOR").is_none() && !dumb
        }
    };
    let said = set("COLUMNS").and_then(|columns| columns.to_str()?.parse::<usize>().ok());
    let columns = said.or(terminal);
    let width = columns.unwrap_or(Style::PLAIN.width);
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
    Style {
        color,
        verbose,
        width: width.clamp(NARROWEST, WIDEST),
        wrap: columns.is_some(),
        unicode: !ascii && locale.is_none_or(|locale| is_utf8(&locale.to_string_lossy())),
    }
}

/// Whether a locale, such as `en_US.UTF-8`, uses UTF-8.
fn is_utf8(locale: &str) -> bool {
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// The columns of a terminal; `None` if the stream is something else.
pub(crate) fn columns(stream: &(impl io::IsTerminal + std::os::fd::AsFd)) -> Option<usize> {
    if !stream.is_terminal() {
        return None;
    }
    // A terminal that does not report its width gets the usual 80 columns.
    let size = rustix::termios::tcgetwinsize(stream).ok().filter(|size| size.ws_col > 0);
    Some(size.map_or(80, |size| size.ws_col.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locale_decides_about_unicode() {
        for utf8 in ["C.UTF-8", "de_DE.utf8", "en_US.UTF-8@x"] {
            assert!(is_utf8(utf8), "{utf8}");
        }
        for other in ["C", "POSIX", "en_US", "ru_RU.KOI8-R", "de_DE.ISO-8859-1"] {
            assert!(!is_utf8(other), "{other}");
        }
    }
}
