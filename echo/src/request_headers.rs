//! The request headers that an answer depends on, found in one pass. Looking up each in the
//! map would cost one hash per name, and most requests carry few of them.

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Version};
use echo_reply::headers as names;

/// The longest probe id that is returned, in bytes.
pub(crate) const MAX_PROBE: usize = 128;

/// If a header occurs more than once, the first value counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RequestHeaders<'a> {
    hosts: usize,
    /// The size of all headers in HTTP/1 form, in bytes.
    size: usize,
    pub(crate) host: Option<&'a HeaderValue>,
    /// Whether there is an `Accept` header.
    pub(crate) accept: bool,
    pub(crate) upgrade: Option<&'a HeaderValue>,
    pub(crate) forwarded_proto: Option<&'a HeaderValue>,
    /// Whether there is a fault header.
    pub(crate) fault: bool,
    /// Whether the client wants its body back.
    pub(crate) want_body: bool,
    envoy_attempt: Option<&'a HeaderValue>,
    probe_id: Option<&'a HeaderValue>,
}

impl<'a> RequestHeaders<'a> {
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

    /// Whether an HTTP/1 head is larger than `most` bytes. Hyper's own limit for HTTP/1 is a
    /// buffer size and less exact; for HTTP/2 it is exact.
    pub(crate) fn exceeds(&self, most: usize, head: &Parts) -> bool {
        let line = head.method.as_str().len() + head.uri.path().len();
        let line =
            line + head.uri.query().map_or(0, |query| 1 + query.len()) + "  HTTP/1.1\r\n\r\n".len();
        head.version < Version::HTTP_2 && self.size + line > most
    }

    /// Whether the host is unambiguous (RFC 9112, 3.2): a proxy may read two `Host` headers
    /// differently.
    pub(crate) fn names_one_host(&self, version: Version) -> bool {
        match self.hosts {
            0 => version != Version::HTTP_11,
            hosts => hosts == 1,
        }
    }

    /// The attempt number of the nearest Envoy, if the header is a whole number from 1.
    pub(crate) fn attempt(&self) -> Option<u32> {
        let value = self.envoy_attempt?.to_str().ok()?;
        let plain = value.bytes().all(|byte| byte.is_ascii_digit());
        value.parse().ok().filter(|attempt| plain && *attempt > 0)
    }

    /// The probe id, if it is short and printable.
    pub(crate) fn probe(&self) -> Option<&'a HeaderValue> {
        self.probe_id.filter(|value| {
            (1..=MAX_PROBE).contains(&value.len())
                && value.as_bytes().iter().all(u8::is_ascii_graphic)
        })
    }
}
