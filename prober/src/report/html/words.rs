//! How the page writes names, numbers, times and verdicts. Names come from others: what is in
//! them that could not be seen, or could turn the text around, is written out.

use std::borrow::Cow;
use std::time::Duration;

use maud::{Markup, html};

use crate::units::shown_time;
use crate::verdict::Verdict;

/// Between groups of three digits: a narrow space that does not break.
const NARROW: char = '\u{202f}';

/// A text from elsewhere, safe to look at: `⟨U+202E⟩` for what cannot be seen. For attributes
/// and titles; elsewhere [`name`] does it.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if hidden(c) {
            shown.push_str(&format!("⟨{}⟩", code(c)));
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// A text from elsewhere as an element of its own direction.
pub(super) fn name(text: &str) -> Markup {
    let pieces = text.split_inclusive(hidden);
    html! {
        bdi {
            @for piece in pieces {
                @match piece.chars().next_back().filter(|c| hidden(*c)) {
                    Some(c) => {
                        (piece.strip_suffix(c).unwrap_or_default())
                        span.control { (code(c)) }
                    }
                    None => (piece),
                }
            }
        }
    }
}

/// Whether a character steers the text around it, or is not seen at all.
fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

fn code(c: char) -> String {
    format!("U+{:04X}", u32::from(c))
}

/// A count with its digits in groups: `1 234 567`.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) && digits.len() > 4 {
            grouped.push(NARROW);
        }
        grouped.push(digit);
    }
    grouped
}

/// A count and what is counted: `1 pod`, `12 345 pods`.
pub(super) fn counted(n: u64, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{} {noun}s", count(n)) }
}

/// A time in µs, three digits and a unit; a dash for none.
pub(super) fn micros(us: Option<u64>) -> String {
    shown_time(us.map(Duration::from_micros))
}

/// A round time in µs as short as it can be: `2 s`, `500 ms`, `0`.
pub(super) fn round(us: f64) -> String {
    match us {
        us if us <= 0.0 => "0".to_owned(),
        us if us < 1e3 => format!("{} µs", super::plot::number(us)),
        us if us < 1e6 => format!("{} ms", super::plot::number(us / 1e3)),
        us => format!("{} s", super::plot::number(us / 1e6)),
    }
}

/// A verdict as a sign, a word and a colour.
pub(super) fn badge(verdict: Verdict) -> Markup {
    html! {
        span class={ "badge " (class(verdict)) } {
            span aria-hidden="true" { (sign(verdict)) }
            " " (verdict.word())
        }
    }
}

/// The sign of a verdict; it never stands without the word.
pub(super) fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "✓",
        Verdict::Inconclusive => "?",
        Verdict::Fail => "✕",
    }
}

/// The class of a verdict's colour.
pub(super) fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Inconclusive => "open",
        Verdict::Fail => "fail",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn counts_are_grouped_from_five_digits_on() {
        let shown = [0, 999, 1000, 12_345, 1_234_567].map(|n| count(n).replace(NARROW, "_"));
        assert_eq!(shown, ["0", "999", "1000", "12_345", "1_234_567"]);
        assert_eq!(counted(1, "pod"), "1 pod");
    }

    #[test]
    fn round_times_have_no_zeros_behind_the_point() {
        assert_eq!([0.0, 500.0, 20_000.0, 1.5e6].map(round), ["0", "500 µs", "20 ms", "1.5 s"]);
    }

    #[test]
    fn what_cannot_be_seen_is_written_out() {
        assert_eq!(visible("a\u{202e}b\0"), "a⟨U+202E⟩b⟨U+0000⟩");
        assert_eq!(
            name("<b>\u{202e}x\n").into_string(),
            "<bdi>&lt;b&gt;<span class=\"control\">U+202E</span>x\
             <span class=\"control\">U+000A</span></bdi>"
        );
        assert_eq!(visible("pod-1 ä 好"), "pod-1 ä 好");
    }

    proptest! {
        #[test]
        fn no_name_brings_markup_or_steering(text in any::<String>()) {
            let shown = name(&text).into_string();
            let inner = shown.replace("<span class=\"control\">", "").replace("</span>", "");
            let inner = &inner["<bdi>".len()..inner.len() - "</bdi>".len()];
            prop_assert!(!inner.contains(['<', '>', '"']) && !inner.contains(hidden), "{}", inner);
            prop_assert!(!visible(&text).contains(hidden));
        }
    }
}
