//! Fits text into a width: cut in the middle, or wrapped.

use textwrap::{Options, WordSplitter};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::Style;

/// Text in at most `width` terminal columns. Longer text gets an ellipsis in the middle, because
/// names differ at their ends.
pub(super) fn shortened(text: &str, width: usize, unicode: bool) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let dots = if unicode { "…" } else { ".." };
    let room = width.saturating_sub(dots.width());
    let head: String = fitting(text.chars(), room / 2).collect();
    let tail: Vec<char> = fitting(text.chars().rev(), room - head.width()).collect();
    let tail: String = tail.into_iter().rev().collect();
    format!("{head}{dots}{tail}")
}

/// The characters that fit.
fn fitting(chars: impl Iterator<Item = char>, width: usize) -> impl Iterator<Item = char> {
    let mut used = 0;
    chars.take_while(move |c| {
        used += c.width().unwrap_or(0);
        used <= width
    })
}

/// Wraps lines to the width of the style. Continuation lines are indented further.
pub(crate) fn wrapped(lines: &str, style: Style) -> String {
    if !style.wrap {
        return lines.to_owned();
    }
    let mut out = String::new();
    for line in lines.lines() {
        let indent = line.len() - line.trim_start().len();
        let further = " ".repeat(indent + 4);
        let options = Options::new(style.width)
            .initial_indent(&line[..indent])
            .subsequent_indent(&further)
            .word_splitter(WordSplitter::NoHyphenation);
        for part in textwrap::wrap(line[indent..].trim_end(), options) {
            out.push_str(part.trim_end());
            out.push('\n');
        }
    }
    out
}

/// Converts prober's own characters to ASCII; names keep theirs.
pub(super) fn ascii(text: String) -> String {
    let signs = [("µs", "us"), ("–", "-"), ("±", "+-"), ("…", "..."), ("×", "x")];
    signs.into_iter().fold(text, |text, (sign, instead)| text.replace(sign, instead))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_too_wide_is_cut_in_the_middle() {
        assert_eq!(shortened("echo2-64ddccc94f-xdfqr", 22, true), "echo2-64ddccc94f-xdfqr");
        assert_eq!(shortened("echo2-64ddccc94f-xdfqr", 13, true), "echo2-…-xdfqr");
        assert_eq!(shortened("echo2-64ddccc94f-xdfqr", 12, false), "echo2..xdfqr");
        assert_eq!(shortened("日本語のなまえ", 8, true).width(), 7, "two columns each");
        assert_eq!(shortened("abc", 1, true), "…");
    }

    #[test]
    fn continuation_lines_are_indented() {
        let style = Style { width: 20, wrap: true, ..Style::PLAIN };
        let wrap = |text: &str| wrapped(text, style);
        assert_eq!(wrap("  one two three four five\n"), "  one two three four\n      five\n");
        assert_eq!(wrap("short\n\nlines\n"), "short\n\nlines\n");
        assert!(wrap(&"x".repeat(90)).lines().all(|line| line.width() <= 20));
        let painted = wrap("  \u{1b}[31mFAIL\u{1b}[0m  ab cd ef gh\n");
        assert_eq!(painted, "  \u{1b}[31mFAIL\u{1b}[0m  ab cd ef gh\n", "codes have no width");
        assert_eq!(wrapped("a b\n", Style { wrap: false, ..style }), "a b\n");
    }
}
