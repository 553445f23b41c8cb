//! Texts from outside, made safe to print. A clean text has no character that steers a terminal,
//! breaks a line, hides, or turns the text around, and no CI system reads a command in it. Pure.

use std::borrow::Cow;
use std::net::Ipv6Addr;

/// Cleans a text where it is.
pub fn clean_in_place(text: &mut String) {
    if let Cow::Owned(clean) = clean(text) {
        *text = clean;
    }
}

/// Cleans each line of a text where it is.
pub fn clean_lines_in_place(text: &mut String) {
    if let Cow::Owned(clean) = clean_lines(text) {
        *text = clean;
    }
}

/// The clean form of a text, which is one line: what must not be printed becomes `\u{1b}`.
///
/// Cleaning a clean text changes nothing, so that a report can be read and written any number of
/// times. Texts that differ can have the same clean form: names that are counted are refused
/// instead, unless they are [`is_clean`].
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    Scan::new(text, line_command(text)).done()
}

/// The clean form of a part of a line. It differs from [`clean`] only where a part begins with an
/// IPv6 address such as `::1` and has `::` again: that is a command of GitHub at the start of a line
/// only, so that whoever composes the line cleans the line.
#[must_use]
pub fn clean_part(text: &str) -> Cow<'_, str> {
    Scan::new(text, None).done()
}

/// Cleans a part of a line where it is.
pub fn clean_part_in_place(text: &mut String) {
    if let Cow::Owned(clean) = clean_part(text) {
        *text = clean;
    }
}

/// The clean form of a name that is counted. Names that differ have forms that differ: a backslash
/// that looks like the beginning of a code becomes a code itself.
#[must_use]
pub fn clean_name(name: &str) -> Cow<'_, str> {
    if name.contains("\\u{") {
        return Cow::Owned(clean(&name.replace("\\u{", "\\u{5c}u{")).into_owned());
    }
    clean(name)
}

/// The most bytes of a name that is counted; a DNS name has no more.
pub const MAX_NAME: usize = 253;

/// A clean name, cut if it has more than [`MAX_NAME`] bytes. A cut name ends with `~` and a hash of
/// the whole name, so that names that differ behind the cut stay different. No code such as
/// `\u{1b}` is cut in two, and cutting a cut name changes nothing.
#[must_use]
pub fn bounded_name(clean: &str) -> Cow<'_, str> {
    if clean.len() <= MAX_NAME {
        return Cow::Borrowed(clean);
    }
    let hash = format!("~{:016x}", fnv1a(clean.as_bytes()));
    let mut kept = &clean[..clean.floor_char_boundary(MAX_NAME - hash.len())];
    // The last code may lack its end.
    if let Some(code) = kept.rfind("\\u{").filter(|code| !kept[*code..].contains('}')) {
        kept = &kept[..code];
    }
    let partial = ["\\u", "\\"].into_iter().find_map(|part| kept.strip_suffix(part));
    kept = partial.unwrap_or(kept);
    // A joiner is safe only between two symbols.
    Cow::Owned(format!("{}{hash}", kept.trim_end_matches('\u{200d}')))
}

/// The 64-bit FNV-1a hash: the same in every version of the program, so that reports can be merged.
fn fnv1a(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// The clean form of a text of several lines: line feeds stay.
#[must_use]
pub fn clean_lines(text: &str) -> Cow<'_, str> {
    each_line(text, clean)
}

/// The same for lines that this program has coloured: its sequences for colours (SGR) stay. Only for
/// text whose parts from outside are clean.
#[must_use]
pub fn clean_painted_lines(text: &str) -> Cow<'_, str> {
    each_line(text, |line| Scan { painted: true, ..Scan::new(line, line_command(line)) }.done())
}

/// Makes the commands of CI systems in a text inert, and leaves all else. For documents whose parts
/// are clean, such as XML: parts that are harmless alone can form a command on one line.
#[must_use]
pub fn without_commands(text: &str) -> Cow<'_, str> {
    each_line(text, |line| {
        Scan { commands_only: true, ..Scan::new(line, line_command(line)) }.done()
    })
}

fn each_line<'a>(text: &'a str, clean: impl Fn(&'a str) -> Cow<'a, str>) -> Cow<'a, str> {
    if text.split('\n').all(|line| matches!(clean(line), Cow::Borrowed(_))) {
        return Cow::Borrowed(text);
    }
    let lines: Vec<_> = text.split('\n').map(clean).collect();
    Cow::Owned(lines.join("\n"))
}

/// Whether a text is its own clean form.
#[must_use]
pub fn is_clean(text: &str) -> bool {
    matches!(clean(text), Cow::Borrowed(_))
}

/// Whether a character steers a terminal, breaks a line, is invisible, or turns text around.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    let code = u32::from(c);
    c.is_control()
        // Noncharacters, which XML does not allow.
        || code & 0xfffe == 0xfffe
        || matches!(code,
            0xad | 0x34f | 0x61c | 0x115f | 0x1160 | 0x17b4 | 0x17b5 | 0x180b..=0x180f
            | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0x2800 | 0x3164
            | 0xfdd0..=0xfdef | 0xfe00..=0xfe0f | 0xfeff | 0xffa0 | 0xfff0..=0xfffb
            | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff)
}

/// Whether a character that is invisible elsewhere is a part of an emoji here: U+200D between two
/// symbols, U+FE0F after one.
fn joins(before: Option<char>, c: char, after: Option<char>) -> bool {
    let symbol = |c: char| matches!(u32::from(c), 0x203c..=0x205e | 0x2100..=0x27ff | 0x2900..=0x2bff | 0x1f000..=0x1faff);
    match c {
        '\u{fe0f}' => before.is_some_and(|c| symbol(c) && !is_hidden(c)),
        '\u{200d}' => {
            before.is_some_and(|c| symbol(c) || c == '\u{fe0f}') && after.is_some_and(symbol)
        }
        _ => false,
    }
}

/// Whether a text is ASCII that needs no further look. Nearly all texts are.
fn is_plain(text: &str) -> bool {
    let mut before = b' ';
    text.bytes().all(|byte| {
        let pair = byte == before && matches!(byte, b':' | b'#');
        before = byte;
        matches!(byte, b' '..=b'~') && !pair
    })
}

/// Where a command of GitHub begins in a line: `::error::` at its start.
fn line_command(line: &str) -> Option<usize> {
    let mut rest = line.trim_start();
    // Colours are not always kept in a log.
    while let Some(length) = colour(rest) {
        rest = rest[length..].trim_start();
    }
    let command = rest.strip_prefix("::").is_some_and(|rest| rest.contains("::"));
    command.then_some(line.len() - rest.len())
}

/// The length of the sequence for a colour (SGR) with which a text begins.
fn colour(text: &str) -> Option<usize> {
    let codes = text.strip_prefix("\u{1b}[")?;
    let end = codes.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    codes[end..].starts_with('m').then_some("\u{1b}[".len() + end + 1)
}

/// Whether a text begins with `::` that could begin a command somewhere: wrapping moves words to the
/// starts of lines. IPv6 addresses such as `::1` are not commands.
fn begins_command(text: &str) -> bool {
    if !text.starts_with("::") {
        return false;
    }
    let end = text.find(|c: char| !c.is_ascii_hexdigit() && !":.".contains(c));
    let (mut address, after) = text.split_at(end.unwrap_or(text.len()));
    let ends = !after.starts_with(|c: char| c.is_alphanumeric() || "-_".contains(c));
    // The end of a sentence, or a colon behind the address.
    for sign in [':', '.'] {
        address = address.strip_suffix(sign).filter(|rest| rest.len() > 2).unwrap_or(address);
    }
    !ends || address.parse::<Ipv6Addr>().is_err()
}

/// One pass over a line.
struct Scan<'a> {
    text: &'a str,
    /// Where a command begins that is one at the start of the line only.
    first: Option<usize>,
    /// Whether sequences for colours stay.
    painted: bool,
    /// Whether only what is a command in this line is replaced.
    commands_only: bool,
    /// The hash signs before this character: `##[error]`, `##vso[`, `##teamcity[`.
    hashes: usize,
    named: bool,
}

impl<'a> Scan<'a> {
    fn new(text: &'a str, first: Option<usize>) -> Self {
        Self { text, first, painted: false, commands_only: false, hashes: 0, named: false }
    }

    fn done(mut self) -> Cow<'a, str> {
        let text = self.text;
        if is_plain(text) {
            return Cow::Borrowed(text);
        }
        let mut out: Option<String> = None;
        let (mut before, mut at) = (None, 0);
        while let Some(c) = text[at..].chars().next() {
            let rest = &text[at..];
            if let Some(length) = colour(rest).filter(|_| self.painted) {
                out.iter_mut().for_each(|out| out.push_str(&rest[..length]));
                at += length;
                continue;
            }
            let escape = self.is_command(at, c) || (!self.commands_only && unfit(before, c, rest));
            // Behind a code stands its brace, not the character.
            before = Some(if escape { '}' } else { c });
            if escape {
                out.get_or_insert_with(|| text[..at].to_owned()).extend(c.escape_unicode());
            } else if let Some(out) = &mut out {
                out.push(c);
            }
            at += c.len_utf8();
        }
        out.map_or(Cow::Borrowed(text), Cow::Owned)
    }

    /// Whether the character at this place makes the text a command. Called for each in turn.
    fn is_command(&mut self, at: usize, c: char) -> bool {
        match c {
            '#' if !self.named => self.hashes += 1,
            '#' => (self.hashes, self.named) = (1, false),
            '[' if self.hashes > 1 => {
                (self.hashes, self.named) = (0, false);
                return true;
            }
            c if self.hashes > 1 && (c.is_ascii_alphanumeric() || "-_.".contains(c)) => {
                self.named = true;
            }
            _ => (self.hashes, self.named) = (0, false),
        }
        self.first == Some(at)
    }
}

/// Whether the first character of `rest` must not be printed behind this one.
fn unfit(before: Option<char>, c: char, rest: &str) -> bool {
    let word = before.is_none_or(|c| c.is_whitespace() || "\"'(|".contains(c));
    let after = rest[c.len_utf8()..].chars().next();
    (is_hidden(c) && !joins(before, c, after)) || (word && begins_command(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_would_deceive_is_shown_as_its_code() {
        for (text, shown) in [
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
            ("a\r\n  PASS  x\t", "a\\u{d}\\u{a}  PASS  x\\u{9}"),
            ("\u{7f}\u{85}\u{9b}", "\\u{7f}\\u{85}\\u{9b}"),
            ("a\u{202e}b\u{2066}c\u{61c}", "a\\u{202e}b\\u{2066}c\\u{61c}"),
            ("a\u{200b}\u{feff}\u{2060}\u{ad}", "a\\u{200b}\\u{feff}\\u{2060}\\u{ad}"),
            ("\u{2028}\u{2029}\u{e0041}\u{fe0f}", "\\u{2028}\\u{2029}\\u{e0041}\\u{fe0f}"),
            ("a\u{200d}b", "a\\u{200d}b"),
            ("\u{fe0f}\u{200d}❤", "\\u{fe0f}\\u{200d}❤"),
            ("::error::x", "\\u{3a}:error::x"),
            ("  ::stop-commands::x", "  \\u{3a}:stop-commands::x"),
            ("::error", "\\u{3a}:error"),
            (":::error", "\\u{3a}::error"),
            ("::add-mask", "\\u{3a}:add-mask"),
            ("::dead::x", "\\u{3a}:dead::x"),
            ("a ::error::b", "a \\u{3a}:error::b"),
            ("a \"::error\"", "a \"\\u{3a}:error\""),
            ("::1 a ::2", "\\u{3a}:1 a ::2"),
            ("##[error]x ###vso[y", "##\\u{5b}error]x ###vso\\u{5b}y"),
            ("section_start:1:a\r\u{1b}[0K", "section_start:1:a\\u{d}\\u{1b}[0K"),
        ] {
            assert_eq!(clean(text), shown, "{text:?}");
            assert!(!is_clean(text));
        }
    }

    #[test]
    fn what_people_write_stays() {
        for text in [
            "",
            "pod-1",
            "a: b::c",
            "::1",
            "::ffff:1.2.3.4",
            "asked ::1: refused, then ::2.",
            "[::]:80",
            "shares ::=50%, ::1/128",
            "#1 [a]",
            "# [b]",
            "ü",
            "漢字",
            "🚀",
            "❤\u{fe0f}",
            "👩\u{200d}🚀",
            "مرحبا",
            "a\\u{1b}",
            "http://[::1]:80/",
            "ré",
        ] {
            assert!(matches!(clean(text), Cow::Borrowed(same) if same == text), "{text:?}");
        }
    }

    #[test]
    fn lines_stay_lines() {
        assert_eq!(clean_lines("a\n::add-mask::b\r\n"), "a\n\\u{3a}:add-mask::b\\u{d}\n");
        assert!(matches!(clean_lines("a\nb\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn parts_of_a_line_spell_addresses_alike() {
        assert!(matches!(clean_part("::1, ::2"), Cow::Borrowed(_)));
        assert_eq!(clean_part("::error::x \u{1b}"), "\\u{3a}:error::x \\u{1b}");
    }

    #[test]
    fn only_own_colours_stay_in_painted_lines() {
        let painted = "\u{1b}[1;31mFAIL\u{1b}[0m  a";
        assert!(matches!(clean_painted_lines(painted), Cow::Borrowed(_)));
        assert_eq!(
            clean_painted_lines(" \u{1b}[1m::error\u{1b}[0m a::b\n\u{1b}[2J\u{1b}[31"),
            " \u{1b}[1m\\u{3a}:error\u{1b}[0m a::b\n\\u{1b}[2J\\u{1b}[31"
        );
        assert_eq!(clean_painted_lines("##\u{1b}[1m[x"), "##\u{1b}[1m\\u{5b}x");
    }

    #[test]
    fn commands_that_clean_parts_form_are_inert_in_documents() {
        assert_eq!(
            without_commands("a\r\n\t::1 b::c\r\n##vso[d]\u{1b}"),
            "a\r\n\t\\u{3a}:1 b::c\r\n##vso\\u{5b}d]\u{1b}"
        );
        assert!(matches!(without_commands("a { b } c::d { }\n::e { }\n"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn no_line_of_clean_parts_is_a_command(
            parts in prop::collection::vec("( |\\PC|::|#|\\[|error|1|\\.|\"){0,6}", 1..5),
            gap in "( {0,2}|\u{1b}\\[31m)",
            width in 1usize..9,
        ) {
            let parts: Vec<_> = parts.iter().map(|part| clean(part)).collect();
            let line = parts.join(&gap);
            let mut wrapped: Vec<char> = line.chars().collect();
            (width..wrapped.len()).step_by(width).for_each(|place| wrapped.insert(place, '\n'));
            let wrapped: String = wrapped.into_iter().collect();
            let painted = clean_painted_lines(&wrapped);
            prop_assert_eq!(&*clean_painted_lines(&painted), &painted);
            // Documents have no colours.
            for text in [painted.replace("\u{1b}[31m", ""), without_commands(&wrapped).into_owned()] {
                for line in text.lines() {
                    let command = line.trim_start().strip_prefix("::");
                    prop_assert!(!command.is_some_and(|rest| rest.contains("::")), "{}", line);
                    prop_assert!(!line.contains("##["), "{}", line);
                }
            }
        }

        #[test]
        fn a_clean_text_hides_nothing_and_stays_the_same(
            text in "(\\PC|\\p{Cc}|\\p{Cf}|::|##|error|\\[|[\u{fe0f}\u{200d}🚀❤\u{e0041}]){0,20}",
        ) {
            let shown = clean(&text).into_owned();
            prop_assert_eq!(&*clean(&shown), &shown);
            let hides = |c| is_hidden(c) && !['\u{fe0f}', '\u{200d}'].contains(&c);
            prop_assert!(!shown.contains(hides), "{}", shown);
            let command = shown.trim_start().strip_prefix("::");
            prop_assert!(!command.is_some_and(|rest| rest.contains("::")), "{}", shown);
            prop_assert!(!shown.contains("##["));
            prop_assert_eq!(is_clean(&text), shown == text);
        }

        #[test]
        fn names_that_differ_stay_different(
            one in "(\u{202e}|\\\\|u\\{202e\\}|u\\{5c\\}|##|\\[|::|a){0,6}",
            other in "(\u{202e}|\\\\|u\\{202e\\}|u\\{5c\\}|##|\\[|::|a){0,6}",
        ) {
            prop_assert_eq!(clean_name(&one) == clean_name(&other), one == other);
            prop_assert!(is_clean(&clean_name(&one)));
        }

        #[test]
        fn long_names_are_cut_and_stay_different_and_clean(
            name in "(\u{202e}|\\\\|u\\{202e\\}|é|🚀|\u{200d}|##|\\[|::|a){50,300}",
            more in "[ab]{1,9}",
        ) {
            let (one, other) = (clean_name(&name), clean_name(&name).into_owned() + &more);
            let (cut, other_cut) = (bounded_name(&one), bounded_name(&other));
            prop_assert!(cut.len() <= MAX_NAME && is_clean(&cut), "{}", cut);
            prop_assert_ne!(&cut, &other_cut);
            prop_assert_eq!(&*bounded_name(&cut), &*cut);
            if one.len() <= MAX_NAME {
                prop_assert_eq!(&cut, &one);
            } else {
                let (kept, _) = cut.rsplit_once('~').unwrap();
                prop_assert!(one.starts_with(kept));
                let is_whole = |rest: &str| {
                    rest.split_once('}').is_some_and(|(code, _)| u32::from_str_radix(code, 16).is_ok())
                };
                prop_assert!(kept.split("\\u{").skip(1).all(is_whole), "{}", kept);
            }
        }
    }

    #[test]
    fn a_name_is_cut_after_253_bytes() {
        let longest = "x".repeat(MAX_NAME);
        assert_eq!(bounded_name(&longest), longest.as_str());
        let cut = bounded_name(&(longest.clone() + "y")).into_owned();
        assert_eq!((cut.len(), &cut[..236]), (MAX_NAME, &longest[..236]));
        assert_ne!(cut, bounded_name(&(longest + "z")));
        // The code begins two bytes before the cut.
        let code = "x".repeat(234) + "\\u{202e}" + &"y".repeat(60);
        assert_eq!(bounded_name(&code).split_once('~').unwrap().0, "x".repeat(234));
    }
}
