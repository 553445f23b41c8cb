//! How HTML pages show names, counts, instants and verdicts.

use std::time::SystemTime;

use maud::{Markup, html};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::units::plural;
use crate::verdict::Verdict;

/// Between groups of three digits: a narrow space that does not break.
const NARROW: char = '\u{202f}';

/// A remote text in an element that isolates its text direction.
pub(crate) fn name(text: &str) -> Markup {
    html! { bdi { (printable::clean(text)) } }
}

/// A count with its digits in groups: `1 234 567`.
pub(crate) fn count(n: u64) -> String {
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

/// `1 pod`, `12 345 pods`.
pub(crate) fn counted(n: u64, noun: &str) -> String {
    format!("{} {}", count(n), plural(n, noun))
}

/// An instant to the second: `2026-11-18 10:26:40 UTC`.
pub(crate) fn instant(at: SystemTime) -> Markup {
    let at = OffsetDateTime::from(at);
    let at = at.replace_nanosecond(0).unwrap_or(at);
    let form = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    html! {
        time datetime=(at.format(&Rfc3339).unwrap_or_default()) {
            (at.format(form).unwrap_or_default())
        }
    }
}

/// A verdict as a sign, a word and a colour.
pub(crate) fn badge(verdict: Verdict) -> Markup {
    html! {
        span class={ "badge " (class(verdict)) } {
            span aria-hidden="true" { (sign(verdict)) }
            " " (verdict.word())
        }
    }
}

/// The sign of a verdict. It never stands without the word.
pub(super) fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "✓",
        Verdict::Inconclusive => "?",
        Verdict::Fail => "✕",
    }
}

/// The class of a verdict's colour in the palette.
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
    fn an_instant_is_shown_to_the_second() {
        let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(1_795_000_000_750);
        let shown = "<time datetime=\"2026-11-18T11:06:40Z\">2026-11-18 11:06:40 UTC</time>";
        assert_eq!(instant(at).into_string(), shown);
    }

    #[test]
    fn invisible_characters_are_shown_as_codes() {
        let shown = name("<b>\u{202e}x\n").into_string();
        assert_eq!(shown, "<bdi>&lt;b&gt;\\u{202e}x\\u{a}</bdi>");
    }

    proptest! {
        #[test]
        fn no_name_contains_markup_or_control_characters(text in any::<String>()) {
            let shown = name(&text).into_string();
            let inner = &shown["<bdi>".len()..shown.len() - "</bdi>".len()];
            prop_assert!(!inner.contains(['<', '>', '"']) && printable::is_clean(inner), "{}", inner);
        }
    }
}
