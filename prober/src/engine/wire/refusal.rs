//! What is wrong with a head that [`httparse`] refuses, and in which line. Pure, and slow: it runs for
//! bad responses only.

use super::error::{WireError, quoted};

const LONE_CR: &str = "a CR without LF is in it";
const CONTROL: &str = "a control character is in it";

/// Names the cause of an error at the start of `buffer`.
pub(super) fn explain(buffer: &[u8], error: httparse::Error) -> WireError {
    if error == httparse::Error::TooManyHeaders {
        return WireError::TooManyHeaders;
    }
    let blank = buffer.iter().take_while(|byte| b"\r\n".contains(byte)).count();
    let mut lines = Line::all(&buffer[blank..]);
    let status = lines.next().unwrap_or(Line { text: b"", ended: false });
    if let Some(wrong) = status_line(&status) {
        return wrong;
    }
    for (n, line) in lines.enumerate() {
        if line.text.is_empty() && line.ended {
            break;
        }
        if let Some(wrong) = header_line(&line, n == 0) {
            return WireError::Header { line: quoted(line.text), wrong };
        }
    }
    // Folded lines are joined before they are refused, and every other error has a cause above.
    WireError::StatusLine { line: quoted(status.text), wrong: "what follows it cannot be read" }
}

/// A line without its line end.
struct Line<'a> {
    text: &'a [u8],
    /// Whether its line end has arrived.
    ended: bool,
}

impl<'a> Line<'a> {
    fn all(bytes: &'a [u8]) -> impl Iterator<Item = Self> {
        bytes.split_inclusive(|byte| *byte == b'\n').map(|line| match line.strip_suffix(b"\n") {
            Some(text) => Line { text: text.strip_suffix(b"\r").unwrap_or(text), ended: true },
            None => Line { text: line, ended: false },
        })
    }
}

/// What is wrong with a status line, if anything is.
fn status_line(line: &Line<'_>) -> Option<WireError> {
    let text = line.text;
    let Some(rest) = text.strip_prefix(b"HTTP/") else {
        return Some(WireError::NotHttp(quoted(text)));
    };
    let end = rest.iter().position(|byte| !(byte.is_ascii_digit() || *byte == b'.'));
    let (version, rest) = rest.split_at(end.unwrap_or(rest.len()));
    if !matches!(version, b"1.0" | b"1.1") {
        return Some(WireError::Version(quoted(&text[..5 + version.len()])));
    }
    let bad = |wrong| Some(WireError::StatusLine { line: quoted(text), wrong });
    let rest = rest
        .strip_prefix(b" ")
        .map(|rest| &rest[rest.iter().take_while(|b| **b == b' ').count()..]);
    let Some(rest) = rest else { return bad("a space and a status code must follow the version") };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits != 3 || !matches!(rest.get(3), None | Some(b' ' | b'\r')) {
        return bad("the status code does not have three digits");
    }
    wrong_byte(line, rest).and_then(bad)
}

/// What is wrong with a header line, if anything is. `first`: it follows the status line.
fn header_line(line: &Line<'_>, first: bool) -> Option<&'static str> {
    let Some(start) = line.text.first() else { return wrong_byte(line, line.text) };
    if b" \t".contains(start) {
        return match first {
            true => Some("it begins with a space, but there is no header that it could continue"),
            false => wrong_byte(line, line.text),
        };
    }
    let Some(colon) = line.text.iter().position(|byte| *byte == b':') else {
        return wrong_byte(line, line.text).or(Some("the colon is missing"));
    };
    let (name, value) = line.text.split_at(colon);
    match name.last() {
        None => return Some("the name before the colon is missing"),
        Some(b' ' | b'\t') => {
            return Some("a space is before the colon, which RFC 9112 (5.1) forbids");
        }
        _ => {}
    }
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    match name.iter().all(is_token) {
        true => wrong_byte(line, value),
        false => wrong_byte(line, name).or(Some("the name has a character that is not allowed")),
    }
}

/// The byte of a line that no line may have.
fn wrong_byte(line: &Line<'_>, part: &[u8]) -> Option<&'static str> {
    let allowed = |byte: &u8| !byte.is_ascii_control() || *byte == b'\t';
    // What follows the last CR of a line that has not ended is not known.
    let part = if line.ended { part } else { part.strip_suffix(b"\r").unwrap_or(part) };
    let wrong = part.iter().find(|byte| !allowed(byte))?;
    Some(if *wrong == b'\r' { LONE_CR } else { CONTROL })
}
