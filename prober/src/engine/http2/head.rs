//! The headers of a response: checked, and written as HTTP/1.1, so that one reader serves both
//! protocols. Pure.

use std::ops::Range;

use super::failure::Violation;
use super::frame::ErrorCode;
use super::hpack::{self, HeaderField};
use super::request::CONNECTION_HEADERS;
use crate::engine::response::MAX_HEAD;
use crate::engine::wire::{
    Field, Fields, Head, MAX_HEADERS, MAX_INTERIM, WireError, field_of, is_cache_header,
};

/// What a field is. It is found out once for each entry of the table of headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Status,
    /// Another name that starts with a colon.
    Pseudo,
    ContentLength,
    Known(Field),
    /// A header by which a cache may say that it answered.
    Cache,
    Other,
    Wrong(Wrong),
}

/// What RFC 9113 forbids in a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    Name,
    UpperCase,
    Value,
    Connection,
}

/// What a field of a response is.
pub(super) fn kind_of(name: &[u8], value: &[u8]) -> Kind {
    let control = |byte: &u8| matches!(byte, 0..0x20 | 0x7f) && *byte != b'\t';
    if value.iter().any(control) {
        return Kind::Wrong(Wrong::Value);
    }
    match name {
        b":status" => return Kind::Status,
        [b':', ..] => return Kind::Pseudo,
        b"content-length" => return Kind::ContentLength,
        [] => return Kind::Wrong(Wrong::Name),
        _ => {}
    }
    if !name.iter().all(|byte| is_token(*byte)) {
        return Kind::Wrong(Wrong::Name);
    }
    if name.iter().any(u8::is_ascii_uppercase) {
        return Kind::Wrong(Wrong::UpperCase);
    }
    match field_of(name) {
        Some(field) => Kind::Known(field),
        None if is_cache_header(name) => Kind::Cache,
        None if CONNECTION_HEADERS.iter().any(|known| known.as_bytes() == name) => {
            Kind::Wrong(Wrong::Connection)
        }
        None => Kind::Other,
    }
}

/// Whether a byte may be in a header's name (RFC 9110, 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Which headers a block has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    /// Those of an interim response; others follow.
    Interim,
    /// Those of the response.
    Final,
    Trailers,
}

/// Gathers the headers of one response, block by block.
#[derive(Debug, Default)]
pub(super) struct HeadBuilder {
    fields: Fields,
    cache: bool,
    /// The status of the response, once its headers are complete.
    status: Option<u16>,
    pub content_length: Option<u64>,
    /// How many interim responses came before it.
    pub interim: u64,
    /// What the headers of the interim responses count.
    interim_size: usize,
    /// How many headers there are, trailers too.
    count: usize,
    block: Block,
}

/// The block that is being read.
#[derive(Debug, Default)]
struct Block {
    status: Option<u16>,
    /// Whether a header came, after which no status may come.
    headers: bool,
    size: usize,
    wrong: Option<Violation>,
}

impl HeadBuilder {
    /// Forgets the headers of another response.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether the headers of the response are complete.
    pub(super) fn is_complete(&self) -> bool {
        self.status.is_some()
    }

    /// Takes a field of a block, and writes it into the buffer.
    pub(super) fn field(&mut self, field: HeaderField<'_, Kind>, buffer: &mut Vec<u8>) {
        if self.block.wrong.is_none() {
            self.block.wrong = self.take(field, buffer).err();
        }
    }

    fn take(
        &mut self,
        field: HeaderField<'_, Kind>,
        buffer: &mut Vec<u8>,
    ) -> Result<(), Violation> {
        let HeaderField { name, value, kind } = field;
        self.block.size += hpack::size(name, value);
        if self.block.size > MAX_HEAD {
            let what = format!("the response headers are larger than {MAX_HEAD} bytes");
            return Err(Violation::limit(what));
        }
        match kind {
            Kind::Status => return self.take_status(value, buffer),
            Kind::Pseudo => return Err(named("the response has the field", name, "")),
            Kind::Wrong(wrong) => return Err(wrong.of(name)),
            Kind::ContentLength => {
                self.take_length(value)?;
                self.block.headers = true;
                return Ok(());
            }
            Kind::Known(_) | Kind::Cache | Kind::Other => {}
        }
        self.block.headers = true;
        self.count += 1;
        if self.count > MAX_HEADERS {
            return Err(Violation::limit(WireError::TooManyHeaders.to_string()));
        }
        let range = write(name, value.trim_ascii(), buffer);
        match kind {
            Kind::Known(field) if self.fields[field as usize].is_empty() => {
                self.fields[field as usize] = range;
            }
            Kind::Cache => self.cache = true,
            _ => {}
        }
        Ok(())
    }

    fn take_status(&mut self, value: &[u8], buffer: &mut Vec<u8>) -> Result<(), Violation> {
        if self.is_complete() {
            return Err(Violation::protocol("the trailers have a :status"));
        }
        if self.block.headers || self.block.status.is_some() {
            let what = "the :status of the response is not its first field, or comes twice";
            return Err(Violation::protocol(what));
        }
        let status = match value {
            [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'] => {
                value.iter().fold(0, |status, digit| 10 * status + u16::from(digit - b'0'))
            }
            _ => return Err(named("the :status of the response is", value, "")),
        };
        if status == 101 {
            let what = "the response is 101 Switching Protocols, which HTTP/2 does not have";
            return Err(Violation::protocol(what));
        }
        self.block.status = Some(status);
        buffer.extend_from_slice(b"HTTP/1.1 ");
        buffer.extend_from_slice(value);
        buffer.extend_from_slice(b" \r\n");
        Ok(())
    }

    fn take_length(&mut self, value: &[u8]) -> Result<(), Violation> {
        let digits = value.trim_ascii();
        let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        let number = || std::str::from_utf8(digits).ok()?.parse().ok();
        let Some(length) = all_digits.then(number).flatten() else {
            return Err(named("content-length is", value, ", which is not a number of bytes"));
        };
        if let Some(other) = self.content_length.filter(|other| *other != length) {
            return Err(Violation::protocol(WireError::TwoLengths(other, length).to_string()));
        }
        // A trailer does not say how long the body was.
        if !self.is_complete() {
            self.content_length = Some(length);
        }
        Ok(())
    }

    /// Ends a block: what it has, or why it is wrong. `last`: nothing follows it.
    pub(super) fn end_block(
        &mut self,
        last: bool,
        buffer: &mut Vec<u8>,
    ) -> Result<Section, Violation> {
        let block = std::mem::take(&mut self.block);
        if let Some(wrong) = block.wrong {
            return Err(wrong);
        }
        match (self.status, block.status) {
            (Some(_), _) if last => Ok(Section::Trailers),
            (Some(_), _) => Err(Violation::protocol("headers came twice, or after the body")),
            (None, None) => Err(Violation::protocol("the response has no :status")),
            (None, Some(100..200)) if last => {
                Err(Violation::protocol("an interim (1xx) response ends the stream"))
            }
            (None, Some(100..200)) => {
                buffer.clear();
                self.end_interim(block.size).map(|()| Section::Interim)
            }
            (None, Some(status)) => {
                self.status = Some(status);
                Ok(Section::Final)
            }
        }
    }

    fn end_interim(&mut self, size: usize) -> Result<(), Violation> {
        let (interim, interim_size) = (self.interim + 1, self.interim_size + size);
        if interim > u64::from(MAX_INTERIM) {
            return Err(Violation::limit(WireError::TooManyInterim.to_string()));
        }
        if interim_size > MAX_HEAD {
            let what =
                format!("the interim (1xx) responses before the answer exceed {MAX_HEAD} bytes");
            return Err(Violation::limit(what));
        }
        *self = Self { interim, interim_size, ..Self::default() };
        Ok(())
    }

    /// Whether a body of `length` bytes is as long as the headers say. `bodiless`: the request
    /// allows no body.
    pub(super) fn check_length(&self, length: usize, bodiless: bool) -> Result<(), Violation> {
        let bodiless = bodiless || matches!(self.status, Some(204 | 304));
        match self.content_length {
            Some(said) if !bodiless && said != length as u64 => Err(Violation::protocol(format!(
                "the body has {length} bytes, but content-length says {said}"
            ))),
            _ => Ok(()),
        }
    }

    /// The whole head, whose text is in the buffer.
    pub(super) fn finish(&mut self, buffer: &mut Vec<u8>) -> Head {
        buffer.extend_from_slice(b"\r\n");
        let fields = std::mem::take(&mut self.fields);
        Head::of_http2(self.status.unwrap_or_default(), buffer.len(), self.cache, fields)
    }
}

impl Wrong {
    fn of(self, name: &[u8]) -> Violation {
        let (before, after) = match self {
            Self::Name => ("a header of the response has the name", ", which is not allowed"),
            Self::UpperCase => ("the header", " of the response has upper-case letters"),
            Self::Value => ("the header", " of the response has a control character"),
            Self::Connection => ("the response has the header", ", which HTTP/2 forbids"),
        };
        named(before, name, after)
    }
}

/// A violation that quotes what came.
fn named(before: &str, quoted: &[u8], after: &str) -> Violation {
    let quoted = quoted[..quoted.len().min(60)].escape_ascii();
    Violation::new(ErrorCode::PROTOCOL_ERROR, format!("{before} '{quoted}'{after}"))
}

/// Writes a header as HTTP/1.1 does. Returns where its value is.
fn write(name: &[u8], value: &[u8], buffer: &mut Vec<u8>) -> Range<u32> {
    buffer.reserve(name.len() + value.len() + 4);
    buffer.extend_from_slice(name);
    buffer.extend_from_slice(b": ");
    let start = buffer.len();
    buffer.extend_from_slice(value);
    let end = buffer.len();
    buffer.extend_from_slice(b"\r\n");
    start as u32..end as u32
}

#[cfg(test)]
mod tests;
