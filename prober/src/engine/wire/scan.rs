//! What the headers of one head say. Pure.

use std::ops::Range;

use echo_reply::headers as names;

use super::error::{WireError, quoted};
use super::{Ending, FIELDS, Field, Fields};

/// What the headers of one head say, gathered header by header.
pub(super) struct HeaderScan {
    length: Option<u64>,
    chunked: bool,
    http_1_1: bool,
    /// Whether the connection is to be closed, or kept.
    close: bool,
    keep: bool,
    pub(super) cache: bool,
    pub(super) fields: Fields,
}

impl HeaderScan {
    pub(super) fn new(http_1_1: bool) -> Self {
        Self {
            length: None,
            chunked: false,
            http_1_1,
            close: false,
            keep: http_1_1,
            cache: false,
            fields: [const { 0..0 }; FIELDS],
        }
    }

    pub(super) fn ending(&self, bodiless: bool) -> Ending {
        match (bodiless, self.chunked, self.length) {
            (true, _, _) => Ending::Length(0),
            (_, true, _) => Ending::Chunked,
            (_, _, Some(length)) => Ending::Length(length),
            _ => Ending::Close,
        }
    }

    /// Whether another request may follow on the connection. Over HTTP/1.0, chunks are read, but their
    /// end cannot be trusted (RFC 9112, 6.1).
    pub(super) fn keep_alive(&self) -> bool {
        self.keep && !self.close && (self.http_1_1 || !self.chunked)
    }

    pub(super) fn header(
        &mut self,
        buffer: &[u8],
        header: &httparse::Header<'_>,
    ) -> Result<(), WireError> {
        let name = header.name.as_bytes();
        // Length and first letter rule out most headers cheaply.
        match (name.len(), name[0] | 0x20) {
            (14, b'c') if is(name, b"content-length") => return self.content_length(header.value),
            (17, b't') if is(name, b"transfer-encoding") => return self.encoding(header.value),
            (10, b'c') if is(name, b"connection") => self.connection(header.value),
            _ => {
                let field = field_of(name);
                self.cache |= field.is_none() && is_cache_header(name);
                if let Some(field) = field {
                    let place = &mut self.fields[field as usize];
                    if place.start == place.end {
                        *place = range_in(buffer, header.value);
                    }
                }
            }
        }
        Ok(())
    }

    /// A number, or the same number several times (RFC 9112, 6.3).
    fn content_length(&mut self, value: &[u8]) -> Result<(), WireError> {
        for digits in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            let length = number(digits).ok_or_else(|| WireError::Length(quoted(value)))?;
            if let Some(other) = self.length.replace(length).filter(|other| *other != length) {
                return Err(WireError::TwoLengths(other, length));
            }
        }
        if self.chunked { Err(WireError::LengthAndEncoding) } else { Ok(()) }
    }

    fn encoding(&mut self, value: &[u8]) -> Result<(), WireError> {
        for coding in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if !is(coding, b"chunked") {
                return Err(WireError::Encoding(quoted(value)));
            }
            if self.chunked {
                return Err(WireError::ChunkedTwice);
            }
            self.chunked = true;
        }
        if self.length.is_some() { Err(WireError::LengthAndEncoding) } else { Ok(()) }
    }

    fn connection(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            match () {
                () if is(option, b"close") => self.close = true,
                () if is(option, b"keep-alive") => self.keep = true,
                () => {}
            }
        }
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn is(text: &[u8], lower: &[u8]) -> bool {
    text.eq_ignore_ascii_case(lower)
}

/// The field that a header is, if it is one.
pub(in crate::engine) fn field_of(name: &[u8]) -> Option<Field> {
    const ECHO: &[u8] = b"x-echo-";
    if name.len() > ECHO.len() && is(&name[..ECHO.len()], ECHO) {
        let fields = [
            (names::POD, Field::Pod),
            (names::CLUSTER, Field::Cluster),
            (names::PROBE, Field::Probe),
            (names::ATTEMPT, Field::Attempt),
            (names::CONNECTION, Field::Connection),
            (names::REQUEST, Field::Request),
            (names::NAMESPACE, Field::Namespace),
            (names::NODE, Field::Node),
            (names::REGION, Field::Region),
            (names::ZONE, Field::Zone),
            (names::NETWORK, Field::Network),
            (names::VERSION, Field::Version),
        ];
        let same = |known: &str| known.len() == name.len() && is(name, known.as_bytes());
        return fields.into_iter().find(|(known, _)| same(known)).map(|(_, field)| field);
    }
    match name.len() {
        6 if is(name, b"server") => Some(Field::Server),
        8 if is(name, b"location") => Some(Field::Location),
        10 if is(name, names::PROBE_ID.as_bytes()) => Some(Field::ProbeId),
        11 if is(name, b"grpc-status") => Some(Field::GrpcStatus),
        12 if is(name, b"grpc-message") => Some(Field::GrpcMessage),
        16 if is(name, b"content-encoding") => Some(Field::ContentEncoding),
        21 if is(name, names::ENVOY_ATTEMPT.as_bytes()) => Some(Field::EnvoyAttempt),
        29 if is(name, names::ENVOY_UPSTREAM_TIME.as_bytes()) => Some(Field::Upstream),
        _ => None,
    }
}

/// Whether this is a header by which a cache may say that it answered: `Age` and `Warning` (RFC 9111),
/// `Server-Timing`, and whatever is named after a cache, such as `Cache-Status` (RFC 9211) and `X-Cache`.
pub(in crate::engine) fn is_cache_header(name: &[u8]) -> bool {
    match (name.len(), name[0] | 0x20) {
        (3, b'a') => is(name, b"age"),
        (7, b'w') => is(name, b"warning"),
        (9, b'x') if is(name, b"x-varnish") => true,
        (13, b's') if is(name, b"server-timing") => true,
        (13, b'c') if is(name, b"cache-control") => false,
        (7.., _) => name.windows(5).any(|part| is(part, b"cache")),
        _ => false,
    }
}

/// The range of `part`, which is a slice of `buffer`.
fn range_in(buffer: &[u8], part: &[u8]) -> Range<u32> {
    let start = (part.as_ptr() as usize).saturating_sub(buffer.as_ptr() as usize);
    start as u32..(start + part.len()) as u32
}
