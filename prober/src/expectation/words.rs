//! The words of an expectation's text, and errors that point at them. Pure.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

/// Why a text is not an expectation. `Display` is one line; [`SyntaxError::pointer`] shows the
/// place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// The part of the text around the place, if it is long.
    text: String,
    /// The place of the error in the part, in bytes; its end if something is missing.
    at: Range<usize>,
    /// The place in the whole text, in characters from 1.
    column: usize,
    wrong: String,
    right: &'static str,
}

impl std::error::Error for SyntaxError {}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, column, wrong, right, .. } = self;
        write!(f, "expectation '{text}', column {column}: {wrong}; the nearest form is: {right}")
    }
}

impl SyntaxError {
    /// The text, and below it carets under the place.
    #[must_use]
    pub fn pointer(&self) -> String {
        let before = self.text[..self.at.start].chars().count();
        let carets = self.text[self.at.clone()].chars().count().max(1);
        format!("  {}\n  {}{}", self.text, " ".repeat(before), "^".repeat(carets))
    }
}

/// A longer text is not shown whole, but this many characters before and from the place of an error.
const MOST_SHOWN: usize = 200;

/// The part of a text around a place, and the place in it.
fn around(text: &str, at: Range<usize>) -> (String, Range<usize>) {
    if text.chars().nth(2 * MOST_SHOWN).is_none() {
        return (text.to_owned(), at);
    }
    let mut before = text[..at.start].char_indices().rev();
    let start = before.nth(MOST_SHOWN - 1).map_or(0, |(start, _)| start);
    let mut after = text[at.start..].char_indices();
    let end = after.nth(MOST_SHOWN).map_or(text.len(), |(end, _)| at.start + end);
    let [cut, cut_off] = [start > 0, end < text.len()].map(|cut| if cut { "…" } else { "" });
    let place = |whole: usize| whole.min(end) - start + cut.len();
    (format!("{cut}{}{cut_off}", &text[start..end]), place(at.start)..place(at.end))
}

/// A message that quotes a word of any length.
fn shortened(mut message: String) -> String {
    if let Some((end, _)) = message.char_indices().nth(2 * MOST_SHOWN) {
        message.truncate(end);
        message.push('…');
    }
    message
}

/// What an error says it found at a place.
pub(super) fn found(word: &str) -> String {
    if word.is_empty() { "the end".to_owned() } else { format!("'{word}'") }
}

/// The sign before a tolerance, and how it is typed without it.
const TOLERANCE_SIGNS: [&str; 3] = ["±", "+-", "+/-"];

/// What names are made of without quotes: clusters, pods, zones, `<unknown>` and `<none>`.
fn is_name(c: char) -> bool {
    (c.is_alphanumeric() && !printable::is_hidden(c)) || "-._/:<>@".contains(c)
}

/// A name as the grammar reads it: in double quotes if it has other characters than [`is_name`], or
/// could be taken for the word `by`.
#[must_use]
pub(crate) fn quoted(name: &str) -> Cow<'_, str> {
    if !name.is_empty() && name != "by" && name.chars().all(is_name) {
        return Cow::Borrowed(name);
    }
    let mut text = String::from("\"");
    for c in name.chars() {
        if matches!(c, '"' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
    Cow::Owned(text)
}

/// Takes a name in quotes from the start of a text. Returns what follows, too.
///
/// # Errors
/// What is wrong.
pub(crate) fn unquoted(text: &str) -> Result<(Cow<'_, str>, &str), String> {
    let (at, name) = Words::new(text, "").name().map_err(|error| error.wrong)?;
    Ok((name, &text[at.end..]))
}

/// The part of a line before its comment, which `#` starts outside of quotes.
#[must_use]
pub(crate) fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut characters = line.char_indices();
    while let Some((place, c)) = characters.next() {
        match (quote, c) {
            (None, '#') => return &line[..place],
            (None, '"' | '\'') => quote = Some(c),
            (Some('"'), '\\') => drop(characters.next()),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
    }
    line
}

/// The words of a text, taken one by one.
#[derive(Clone, Debug)]
pub(super) struct Words<'a> {
    text: &'a str,
    at: usize,
    /// The form that errors name.
    pub(super) right: &'static str,
}

/// A word and where it stands.
pub(super) type Word<'a> = (Range<usize>, &'a str);

impl<'a> Words<'a> {
    pub(super) fn new(text: &'a str, right: &'static str) -> Self {
        Self { text, at: 0, right }
    }

    fn rest(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        &self.text[self.at..]
    }

    fn take(&mut self, length: usize) -> Word<'a> {
        let at = self.at;
        self.at += length;
        (at..self.at, &self.text[at..self.at])
    }

    /// The first word: characters that keywords are made of, or anything up to a space.
    pub(super) fn keyword(&mut self) -> Word<'a> {
        let rest = self.rest();
        let keyword = |c: char| c.is_alphanumeric() || "-._".contains(c);
        match rest.find(|c| !keyword(c)).unwrap_or(rest.len()) {
            0 => self.take(rest.find(char::is_whitespace).unwrap_or(rest.len())),
            length => self.take(length),
        }
    }

    /// A name, or one other character.
    fn token(&mut self) -> Word<'a> {
        let rest = self.rest();
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let length = rest.find(|c| !is_name(c)).unwrap_or(rest.len()).max(first);
        self.take(length)
    }

    /// Takes `wanted` if it is next, and says whether it was.
    pub(super) fn skip(&mut self, wanted: &str) -> bool {
        let there = self.rest().starts_with(wanted);
        self.at += if there { wanted.len() } else { 0 };
        there
    }

    /// Takes the sign of a tolerance if it is next, and says whether it was.
    pub(super) fn skip_tolerance_sign(&mut self) -> bool {
        TOLERANCE_SIGNS.iter().any(|sign| self.skip(sign))
    }

    pub(super) fn ended(&mut self) -> bool {
        self.rest().is_empty()
    }

    /// Takes `wanted`, an operator or a mark.
    pub(super) fn expect(&mut self, wanted: &str) -> Result<(), SyntaxError> {
        if self.skip(wanted) {
            return Ok(());
        }
        let operator = |c: char| "<>=".contains(c);
        let rest = self.rest();
        let length = rest.find(|c| !operator(c)).unwrap_or(rest.len());
        let (at, word) = if length > 0 { self.take(length) } else { self.token() };
        Err(self.error(at, format!("expected '{wanted}', found {}", found(word))))
    }

    /// A name, in quotes if it has other characters than [`is_name`]. It is cleaned, as names of
    /// backends are.
    pub(super) fn name(&mut self) -> Result<(Range<usize>, Cow<'a, str>), SyntaxError> {
        if let Some(quote) = self.rest().chars().next().filter(|c| matches!(c, '"' | '\'')) {
            return self.quoted_name(quote);
        }
        let (at, name) = self.token();
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(self.error(at, format!("expected a name, found {}", found(name))));
        }
        Ok((at, printable::clean(name)))
    }

    /// A name in quotes. As in a shell, a backslash within double quotes takes the next character
    /// as it is, and single quotes have no such escape.
    fn quoted_name(&mut self, quote: char) -> Result<(Range<usize>, Cow<'a, str>), SyntaxError> {
        let start = self.at;
        let mut name = String::new();
        let mut characters = self.text[start..].char_indices().skip(1);
        while let Some((place, c)) = characters.next() {
            match c {
                '\\' if quote == '"' => name.extend(characters.next().map(|(_, c)| c)),
                c if c == quote => {
                    self.at = start + place + c.len_utf8();
                    let at = start..self.at;
                    if name.is_empty() {
                        return Err(self.error(at, "the name is empty".to_owned()));
                    }
                    printable::clean_in_place(&mut name);
                    return Ok((at, Cow::Owned(name)));
                }
                c => name.push(c),
            }
        }
        let wrong = format!("the closing {quote} of this name is missing");
        Err(self.error(start..self.text.len(), wrong))
    }

    /// Takes the next word if it is `wanted`, and says whether it was.
    pub(super) fn skip_word(&mut self, wanted: &str) -> bool {
        let before = self.at;
        if self.token().1 == wanted {
            return true;
        }
        self.at = before;
        false
    }

    /// Where a word stands within a part of the text.
    pub(super) fn place_of(&self, word: &str, part: Range<usize>) -> Range<usize> {
        let found = self.text[part.clone()].find(word).map(|n| part.start + n);
        found.map_or(part, |start| start..start + word.len())
    }

    /// The next name or character, which is not taken.
    pub(super) fn peek(&self) -> Word<'a> {
        self.clone().token()
    }

    /// A duration. A unit is required.
    pub(super) fn duration(
        &mut self,
        allowed: RangeInclusive<Duration>,
    ) -> Result<Duration, SyntaxError> {
        let rest = self.rest();
        let part = |c: char| c.is_alphanumeric() || ".-".contains(c);
        let (at, text) = self.take(rest.find(|c| !part(c)).unwrap_or(rest.len()));
        let is_digit = |c: char| c.is_ascii_digit() || c == '.';
        let wrong = if text.starts_with('-') {
            "a duration cannot be negative".to_owned()
        } else if !text.starts_with(is_digit) {
            let (at, word) = if text.is_empty() { self.token() } else { (at, text) };
            let wrong = format!("expected a duration such as 80ms, found {}", found(word));
            return Err(self.error(at, wrong));
        } else if text.chars().all(is_digit) {
            format!("'{text}' needs a unit: us, ms, s, m, h or d, as in {text}ms")
        } else {
            match usage::duration::parse_within(&text.replace('µ', "u"), allowed) {
                Ok(duration) => return Ok(duration),
                Err(error) => error.to_string(),
            }
        };
        Err(self.error(at, wrong))
    }

    /// A number that is not negative, and its unit: letters, `%`, `/s`, or nothing.
    pub(super) fn quantity(&mut self) -> Result<(Range<usize>, f64, &'a str), SyntaxError> {
        let rest = self.rest();
        let start = self.at;
        let sign = rest.len() - rest.trim_start_matches('-').len();
        let part = |c: char| c.is_ascii_digit() || c == '.';
        let length = rest[sign..].find(|c| !part(c)).unwrap_or(rest.len() - sign);
        let digits = &rest[..sign + length];
        let value = digits.parse::<f64>().ok().filter(|value| value.is_finite());
        let Some(value) = value else {
            let (at, word) = self.token();
            return Err(self.error(at, format!("expected a number, found {}", found(word))));
        };
        self.at += digits.len();
        let rest = &self.text[self.at..];
        let unit = |c: char| c.is_alphabetic() || "%/".contains(c);
        let (at, unit) = self.take(rest.find(|c| !unit(c)).unwrap_or(rest.len()));
        if value < 0.0 {
            return Err(self.error(start..at.end, "the number is negative".to_owned()));
        }
        Ok((start..at.end, value, unit))
    }

    pub(super) fn end(&mut self) -> Result<(), SyntaxError> {
        let rest = self.rest().trim_end();
        if rest.is_empty() {
            return Ok(());
        }
        let is_tolerance = TOLERANCE_SIGNS.iter().any(|sign| rest.starts_with(sign));
        let wrong = if is_tolerance {
            format!("this form has no tolerance; remove '{rest}'")
        } else {
            format!("expected the end, found '{rest}'")
        };
        Err(self.error(self.at..self.at + rest.len(), wrong))
    }

    pub(super) fn error(&self, at: Range<usize>, wrong: String) -> SyntaxError {
        let column = self.text[..at.start].chars().count() + 1;
        let (text, at) = around(self.text, at);
        let wrong = shortened(wrong);
        SyntaxError { text, at, column, wrong, right: self.right }
    }
}
