//! What a request's headers say that an answer depends on, found in one pass:
//! to ask a map for each would cost a hash of each name, though most requests
//! carry few of them.

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Version};
use echo_reply::headers as names;

/// The longest probe id that is returned, in bytes.
pub(crate) const MAX_PROBE: usize = 128;

/// What was found. Of a header that comes more than once, the first counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RequestHeaders<'a> {
    hosts: usize,
    /// Of all headers, in bytes, as HTTP/1 writes them.
    size: usize,
    /// The first `Host`.
    pub(crate) host: Option<&'a HeaderValue>,
    /// Whether the form of the answer is chosen.
    pub(crate) accept: bool,
    /// What the connection should become.
    pub(crate) upgrade: Option<&'a HeaderValue>,
    /// The scheme that a proxy was asked with.
    pub(crate) forwarded_proto: Option<&'a HeaderValue>,
    /// Whether faults are asked for.
    pub(crate) fault: bool,
    /// Whether the body is wanted back.
    pub(crate) want_body: bool,
    envoy_attempt: Option<&'a HeaderValue>,
    probe_id: Option<&'a HeaderValue>,
}

impl<'a> RequestHeaders<'a> {
    /// Looks at every header once.
    #[must_use]
    pub(crate) fn of(headers: &'a HeaderMap) -> Self {
        let mut found = Self::default();
        for (name, value) in headers {
            found.size += name.as_str().len() + value.len() + ": \r\n".len();
            match name.as_str() {
                "host" => {
                    found.hosts += 1;
                    found.host = found.host.or(Some(value));
                }
                "accept" => found.accept = true,
                "upgrade" => found.upgrade = found.upgrade.or(Some(value)),
                "x-forwarded-proto" => {
                    found.forwarded_proto = found.forwarded_proto.or(Some(value))
                }
                names::FAULT => found.fault = true,
                names::WANT_BODY => found.want_body = true,
                names::ENVOY_ATTEMPT => found.envoy_attempt = found.envoy_attempt.or(Some(value)),
                names::PROBE_ID => found.probe_id = found.probe_id.or(Some(value)),
                _ => {}
            }
        }
        found
    }

    /// Whether a head of HTTP/1 is larger than `most`, in bytes. What reads it stops
    /// somewhere beyond that, and HTTP/2 counts by itself.
    pub(crate) fn exceeds(&self, most: usize, head: &Parts) -> bool {
        let line = head.method.as_str().len() + head.uri.path().len();
        let line =
            line + head.uri.query().map_or(0, |query| 1 + query.len()) + "  HTTP/1.1\r\n\r\n".len();
        head.version < Version::HTTP_2 && self.size + line > most
    }

    /// Whether the host is beyond doubt (RFC 9112, 3.2): two `Host` headers may mean
    /// one thing to a proxy and another here.
    pub(crate) fn names_one_host(&self, version: Version) -> bool {
        match self.hosts {
            0 => version != Version::HTTP_11,
            hosts => hosts == 1,
        }
    }

    /// Which attempt of the nearest Envoy this is, if the header is a plain number from 1.
    pub(crate) fn attempt(&self) -> Option<u32> {
        let value = self.envoy_attempt?.to_str().ok()?;
        let plain = value.bytes().all(|byte| byte.is_ascii_digit());
        value.parse().ok().filter(|attempt| plain && *attempt > 0)
    }

    /// The caller's probe id, if it is short and visible.
    pub(crate) fn probe(&self) -> Option<&'a HeaderValue> {
        self.probe_id.filter(|value| {
            (1..=MAX_PROBE).contains(&value.len())
                && value.as_bytes().iter().all(u8::is_ascii_graphic)
        })
    }
}
