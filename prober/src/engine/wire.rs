//! HTTP/1.1 as bytes: requests that are written once and then numbered in place, and responses
//! that are read from a buffer without copying. Pure; [`httparse`] parses heads.
//!
//! The measured path has its own codec because it must cost no more than the kernel's send and
//! receive; a general HTTP client doubles the cost.

mod chunks;
mod error;

use std::mem::MaybeUninit;
use std::ops::Range;

use echo_reply::headers as names;
use http::{HeaderName, header};

use crate::plan::ProbePlan;
use crate::tally::outcome::IDENTITY_VALUES;

pub(crate) use chunks::Chunks;
use error::MAX_HEADERS;
pub(crate) use error::WireError;

/// Hex digits of a request's number in its probe id.
const DIGITS: usize = 12;

/// A request's bytes, and where its probe id is in them.
#[derive(Clone, Debug)]
pub(crate) struct RequestBytes {
    bytes: Vec<u8>,
    id: Range<usize>,
}

/// The probe id of a request: its run, and its number in the run.
#[must_use]
pub(crate) fn probe_id(run_id: &str, sequence: u64) -> String {
    format!("{run_id}-{sequence:0DIGITS$x}")
}

impl RequestBytes {
    /// The request of a plan; its probe id starts with `run_id`.
    #[must_use]
    pub(crate) fn new(plan: &ProbePlan, run_id: &str) -> Self {
        let line = format!("{} {} HTTP/1.1\r\n", plan.request.method, plan.target.path);
        let mut bytes = line.into_bytes();
        // RFC 9112 recommends that Host comes first.
        let headers = &plan.request.headers;
        let host = headers.iter().filter(|(name, _)| **name == header::HOST);
        // Another probe id would make every answer that returns it a copy.
        let kept = |name: &HeaderName| *name != header::HOST && *name != names::PROBE_ID;
        let others = headers.iter().filter(|(name, _)| kept(name));
        for (name, value) in host.chain(others) {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(format!("{}: ", names::PROBE_ID).as_bytes());
        let start = bytes.len();
        bytes.extend_from_slice(probe_id(run_id, 0).as_bytes());
        let id = start..bytes.len();
        bytes.extend_from_slice(b"\r\n\r\n");
        Self { bytes, id }
    }

    /// The bytes of the request with this number.
    pub(crate) fn numbered(&mut self, sequence: u64) -> &[u8] {
        let mut rest = sequence;
        for digit in self.bytes[self.id.clone()].iter_mut().rev().take(DIGITS) {
            *digit = b"0123456789abcdef"[(rest & 15) as usize];
            rest >>= 4;
        }
        &self.bytes
    }

    /// The probe id of the request that was numbered last.
    #[must_use]
    pub(crate) fn id(&self) -> &[u8] {
        &self.bytes[self.id.clone()]
    }
}

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
    /// Whether a header is one of those by which caches say whether they answered.
    pub cache: bool,
    /// The values of the [`Field`]s; empty if missing.
    fields: [Range<usize>; FIELDS],
}

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
    /// Reads a head from the start of `buffer`; `None` if its end has not arrived. Skips interim
    /// (1xx) responses. `to_head`: the request was a HEAD, so that the response has no body.
    pub(crate) fn read(buffer: &[u8], to_head: bool) -> Result<Option<Self>, WireError> {
        let mut skipped = 0;
        loop {
            let Some(mut head) = Self::read_one(&buffer[skipped..], to_head)? else {
                return Ok(None);
            };
            if head.status >= 200 {
                head.length += skipped;
                for field in &mut head.fields {
                    *field = field.start + skipped..field.end + skipped;
                }
                return Ok(Some(head));
            }
            skipped += head.length;
        }
    }

    fn read_one(buffer: &[u8], to_head: bool) -> Result<Option<Self>, WireError> {
        let mut space = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        let parsed = config.parse_response_with_uninit_headers(&mut response, buffer, &mut space);
        let length = match parsed {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(WireError::TooManyHeaders),
            Err(error) => return Err(WireError::Head(words(error))),
        };
        let status = response.code.unwrap_or_default();
        let mut scan = HeaderScan::new(response.version == Some(1));
        for header in response.headers.iter() {
            scan.header(buffer, header)?;
        }
        let bodiless = to_head || status < 200 || status == 204 || status == 304;
        let ending = scan.ending(bodiless);
        let keep_alive = scan.keep_alive && ending != Ending::Close;
        let (cache, fields) = (scan.cache, scan.fields);
        Ok(Some(Self { status, length, ending, keep_alive, cache, fields }))
    }

    /// The value of a header; `None` if it is missing or empty.
    #[must_use]
    pub(crate) fn field<'a>(&self, buffer: &'a [u8], field: Field) -> Option<&'a [u8]> {
        let range = self.fields[field as usize].clone();
        (range.start < range.end).then(|| &buffer[range])
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
            let Ok(httparse::Status::Complete(length)) = response.parse(rest) else { return None };
            // Interim responses do not come from the echo.
            if response.code.is_some_and(|code| code < 200) {
                rest = &rest[length..];
                continue;
            }
            return response.headers.iter().find_map(|h| pick(h.name, h.value.trim_ascii()));
        }
    }

    /// The values of the identity's headers, in the order of [`Field`]; empty if missing.
    #[must_use]
    pub(crate) fn identity<'a>(&self, buffer: &'a [u8]) -> [&'a [u8]; IDENTITY_FIELDS] {
        std::array::from_fn(|place| &buffer[self.fields[place].clone()])
    }
}

fn words(error: httparse::Error) -> &'static str {
    use httparse::Error;
    match error {
        Error::Status => "a bad status line",
        Error::Version => "no HTTP version at the start",
        Error::HeaderName => "a bad header name",
        Error::HeaderValue => "a bad header value",
        Error::NewLine => "a bad line end",
        Error::Token => "a bad character",
        Error::TooManyHeaders => "too many headers",
    }
}

/// What the headers of one head say, gathered header by header.
struct HeaderScan {
    length: Option<u64>,
    chunked: bool,
    keep_alive: bool,
    cache: bool,
    fields: [Range<usize>; FIELDS],
}

impl HeaderScan {
    fn new(http_1_1: bool) -> Self {
        Self {
            length: None,
            chunked: false,
            keep_alive: http_1_1,
            cache: false,
            fields: [const { 0..0 }; FIELDS],
        }
    }

    fn ending(&self, bodiless: bool) -> Ending {
        match (bodiless, self.chunked, self.length) {
            (true, _, _) => Ending::Length(0),
            (_, true, _) => Ending::Chunked,
            (_, _, Some(length)) => Ending::Length(length),
            _ => Ending::Close,
        }
    }

    fn header(&mut self, buffer: &[u8], header: &httparse::Header<'_>) -> Result<(), WireError> {
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

    fn content_length(&mut self, value: &[u8]) -> Result<(), WireError> {
        let digits = value.trim_ascii();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(WireError::Length);
        }
        let text = std::str::from_utf8(digits).map_err(|_| WireError::Length)?;
        let length = text.parse().map_err(|_| WireError::Length)?;
        if self.chunked || self.length.is_some_and(|other| other != length) {
            return Err(WireError::TwoLengths);
        }
        self.length = Some(length);
        Ok(())
    }

    fn encoding(&mut self, value: &[u8]) -> Result<(), WireError> {
        if !is(value.trim_ascii(), b"chunked") || self.chunked {
            return Err(WireError::Encoding);
        }
        if self.length.is_some() {
            return Err(WireError::TwoLengths);
        }
        self.chunked = true;
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            match () {
                () if is(option, b"close") => self.keep_alive = false,
                () if is(option, b"keep-alive") => self.keep_alive = true,
                () => {}
            }
        }
    }
}

fn is(text: &[u8], lower: &[u8]) -> bool {
    text.eq_ignore_ascii_case(lower)
}

fn field_of(name: &[u8]) -> Option<Field> {
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
fn is_cache_header(name: &[u8]) -> bool {
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
fn range_in(buffer: &[u8], part: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(buffer.as_ptr() as usize);
    start..start + part.len()
}

#[cfg(test)]
mod tests;
