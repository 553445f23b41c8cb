//! HTTP/1.1 as bytes: requests that are written once and then numbered in place, and responses
//! that are read from a buffer without copying. Pure; [`httparse`] parses heads.
//!
//! The measured path has its own codec because it must cost no more than the kernel's send and
//! receive; a general HTTP client doubles the cost.

mod chunks;
mod error;
mod fold;
mod refusal;
mod request;
mod scan;

use std::mem::MaybeUninit;
use std::ops::Range;

use crate::tally::outcome::IDENTITY_VALUES;

pub(crate) use chunks::Chunks;
pub(crate) use error::WireError;
pub(super) use error::{MAX_HEADERS, MAX_INTERIM};
use fold::unfold;
pub(super) use request::number_in_place;
pub(crate) use request::{RequestBytes, probe_id};
use scan::HeaderScan;
pub(super) use scan::{field_of, is_cache_header};

/// How a response's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// After this many bytes.
    Length(u64),
    Chunked,
    /// When the connection is closed.
    Close,
}

/// What a response's head says; values are ranges of the buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub status: u16,
    /// Bytes of the head, including the blank line.
    pub length: usize,
    pub ending: Ending,
    /// Whether another request may follow on the connection.
    pub keep_alive: bool,
    /// How many interim (1xx) responses came before.
    pub interim: u16,
    /// Whether a header is one of those by which caches say whether they answered.
    pub cache: bool,
    fields: Fields,
}

/// The values of the [`Field`]s as ranges of a buffer; empty if missing. Short numbers, because a head
/// is moved a few times on its way to the tally.
pub(super) type Fields = [Range<u32>; FIELDS];

/// The headers whose values are kept; each is named as its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Field {
    Pod,
    Cluster,
    Namespace,
    Node,
    Region,
    Zone,
    Network,
    Version,
    Attempt,
    Probe,
    /// The id of the echo's connection.
    Connection,
    /// The number of the request on it.
    Request,
    /// The probe id, which some servers return as they got it.
    ProbeId,
    EnvoyAttempt,
    ContentEncoding,
    Upstream,
    Server,
    Location,
    GrpcStatus,
    GrpcMessage,
}

const FIELDS: usize = 20;
/// The first so many fields are the identity's.
pub(crate) const IDENTITY_FIELDS: usize = IDENTITY_VALUES;

impl Head {
    /// The head of a response over HTTP/2, which was written as HTTP/1.1 in `length` bytes. Its body
    /// has a buffer of its own, as a chunked one.
    #[must_use]
    pub(super) fn of_http2(status: u16, length: usize, cache: bool, fields: Fields) -> Self {
        let ending = Ending::Chunked;
        Self { status, length, ending, keep_alive: true, interim: 0, cache, fields }
    }

    /// Reads a head from the start of `buffer`; `None` if its end has not arrived. Skips interim
    /// (1xx) responses. `to_head`: the request was a HEAD, so that the response has no body.
    pub(crate) fn read(buffer: &[u8], to_head: bool) -> Result<Option<Self>, WireError> {
        let mut skipped = 0;
        let mut interim = 0;
        loop {
            let Some(mut head) = Self::read_one(&buffer[skipped..], to_head)? else {
                return Ok(None);
            };
            if !is_interim(head.status) {
                head.length += skipped;
                head.interim = interim;
                let by = skipped as u32;
                for field in &mut head.fields {
                    *field = field.start + by..field.end + by;
                }
                return Ok(Some(head));
            }
            skipped += head.length;
            interim += 1;
            if interim > MAX_INTERIM {
                return Err(WireError::TooManyInterim);
            }
        }
    }

    /// The same, after header lines that continue on the next line were joined in `buffer`.
    pub(crate) fn read_unfolding(
        buffer: &mut [u8],
        to_head: bool,
    ) -> Result<Option<Self>, WireError> {
        match Self::read(buffer, to_head) {
            Err(_) if unfold(buffer) => Self::read(buffer, to_head),
            read => read,
        }
    }

    fn read_one(buffer: &[u8], to_head: bool) -> Result<Option<Self>, WireError> {
        let mut space = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut []);
        let parsed = parser().parse_response_with_uninit_headers(&mut response, buffer, &mut space);
        let length = match parsed {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => return Err(refusal::explain(buffer, error)),
        };
        let status = response.code.unwrap_or_default();
        if status < 100 {
            return Err(WireError::Status(status));
        }
        // Whatever the headers say of a body (RFC 9112, 6.3).
        let bodiless = to_head || status < 200 || status == 204 || status == 304;
        let mut scan = HeaderScan::new(response.version == Some(1));
        for header in response.headers.iter() {
            match scan.header(buffer, header) {
                Err(error) if !bodiless => return Err(error),
                _ => {}
            }
        }
        let ending = scan.ending(bodiless);
        // After 101, the connection carries another protocol.
        let keep_alive = scan.keep_alive() && ending != Ending::Close && status != 101;
        let (cache, fields) = (scan.cache, scan.fields);
        Ok(Some(Self { status, length, ending, keep_alive, interim: 0, cache, fields }))
    }

    /// The value of a header; `None` if it is missing or empty.
    #[must_use]
    pub(crate) fn field<'a>(&self, buffer: &'a [u8], field: Field) -> Option<&'a [u8]> {
        let range = &self.fields[field as usize];
        (!range.is_empty()).then(|| part(buffer, range))
    }

    /// The first value of any header that is not empty. Parses the head again: a header that
    /// every response needs is a [`Field`].
    #[must_use]
    pub(crate) fn header<'a>(&self, buffer: &'a [u8], name: &str) -> Option<&'a [u8]> {
        self.find(buffer, |known, value| {
            (known.eq_ignore_ascii_case(name) && !value.is_empty()).then_some(value)
        })
    }

    /// The first result of `pick` for the name and value of a header. Parses the head again.
    pub(crate) fn find<'a, T>(
        &self,
        buffer: &'a [u8],
        mut pick: impl FnMut(&'a str, &'a [u8]) -> Option<T>,
    ) -> Option<T> {
        let mut rest = &buffer[..self.length];
        loop {
            let mut space = [httparse::EMPTY_HEADER; MAX_HEADERS];
            let mut response = httparse::Response::new(&mut space);
            let parsed = parser().parse_response(&mut response, rest);
            let Ok(httparse::Status::Complete(length)) = parsed else { return None };
            // Interim responses do not come from the echo.
            if response.code.is_some_and(is_interim) {
                rest = &rest[length..];
                continue;
            }
            return response.headers.iter().find_map(|h| pick(h.name, h.value.trim_ascii()));
        }
    }

    /// The values of the identity's headers, in the order of [`Field`]; empty if missing.
    #[must_use]
    pub(crate) fn identity<'a>(&self, buffer: &'a [u8]) -> [&'a [u8]; IDENTITY_FIELDS] {
        std::array::from_fn(|place| part(buffer, &self.fields[place]))
    }
}

/// The part of `buffer` in a range.
fn part<'a>(buffer: &'a [u8], range: &Range<u32>) -> &'a [u8] {
    &buffer[range.start as usize..range.end as usize]
}

/// Parses heads by RFC 9112, and takes several spaces in a status line for one, as it allows (section 4).
fn parser() -> httparse::ParserConfig {
    let mut config = httparse::ParserConfig::default();
    config.allow_multiple_spaces_in_response_status_delimiters(true);
    config
}

/// Whether another response follows. 101 is final: the connection carries another protocol then (RFC
/// 9110, 15.2.2).
fn is_interim(status: u16) -> bool {
    status < 200 && status != 101
}

#[cfg(test)]
mod tests;
