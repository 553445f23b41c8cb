//! What a gRPC response says: its status, and the result of a health check. Pure.
//!
//! Source: grpc/doc/PROTOCOL-HTTP2.md. The status is in the trailers, or in the headers of a
//! response without a message.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use crate::cli::GrpcService;
use crate::tally::outcome::{Code, Failure, FailureKind};

/// The names of the status codes, from 0.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
/// The serving states (grpc/health/v1/health.proto), from 0.
const HEALTH: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

/// A gRPC response whose HTTP status is 2xx.
#[derive(Clone, Copy, Debug)]
pub(super) struct GrpcResponse<'a> {
    /// `grpc-status`.
    pub status: Option<&'a [u8]>,
    /// `grpc-message`, percent-encoded.
    pub message: Option<&'a [u8]>,
    /// The messages, each after a flag and its length.
    pub body: &'a [u8],
}

impl GrpcResponse<'_> {
    /// Whether the call succeeded.
    ///
    /// # Errors
    /// `status`: a code other than OK, or a health check that does not return SERVING.
    /// `unidentified`: not a gRPC response. `protocol`: an invalid gRPC response.
    pub(super) fn check(&self, service: GrpcService) -> Result<(), Failure> {
        let failed = |kind, what: String| Err(Failure::new(kind, what));
        let Some(status) = self.status else {
            let what = "no grpc-status in the response: not a gRPC service".to_owned();
            return failed(FailureKind::Unidentified, what);
        };
        let code = std::str::from_utf8(status).ok().and_then(|text| text.parse::<usize>().ok());
        match code {
            Some(0) => {}
            Some(code) => {
                let name = CODES.get(code).unwrap_or(&"unknown code");
                let said = self.message.map_or(Cow::Borrowed("no message"), decoded);
                let what = format!("grpc-status {code} {name}: {said}");
                let code = Code::Grpc(u16::try_from(code).unwrap_or(u16::MAX));
                return Err(Failure::new(FailureKind::Status, what).with(code));
            }
            None => {
                return failed(FailureKind::Protocol, "the grpc-status is not a number".to_owned());
            }
        }
        let message = message(self.body)?;
        if service == GrpcService::Health {
            let state = serving_status(message);
            let name = state.and_then(|state| HEALTH.get(usize::try_from(state).ok()?));
            if name != Some(&"SERVING") {
                let name = name.copied().unwrap_or("an unknown state");
                return failed(FailureKind::Status, format!("the health check returns {name}"));
            }
        }
        Ok(())
    }
}

fn decoded(message: &[u8]) -> Cow<'_, str> {
    percent_decode(message).decode_utf8_lossy()
}

/// The only message of a response: a flag, a length of four bytes, and the message.
fn message(body: &[u8]) -> Result<&[u8], Failure> {
    let wrong = |what| Failure::new(FailureKind::Protocol, what);
    let Some((&[flag, a, b, c, d], rest)) = body.split_first_chunk::<5>() else {
        return Err(wrong("the gRPC response has no message"));
    };
    if flag != 0 {
        return Err(wrong("the gRPC response is compressed, which prober did not offer"));
    }
    if usize::try_from(u32::from_be_bytes([a, b, c, d])) != Ok(rest.len()) {
        return Err(wrong("the gRPC response is not exactly one message"));
    }
    Ok(rest)
}

/// `HealthCheckResponse.status`: field 1, a varint; 0 if it is missing.
fn serving_status(mut message: &[u8]) -> Option<u64> {
    let mut status = 0;
    while !message.is_empty() {
        let key = varint(&mut message)?;
        match (key >> 3, key & 7) {
            (1, 0) => status = varint(&mut message)?,
            (_, 0) => drop(varint(&mut message)?),
            (_, 1) => message = message.get(8..)?,
            (_, 2) => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                message = message.get(length..)?;
            }
            (_, 5) => message = message.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(
        service: GrpcService,
        status: Option<&[u8]>,
        body: &[u8],
    ) -> Result<(), (FailureKind, String)> {
        let response = GrpcResponse { status, message: Some(b"no%20healthy upstream"), body };
        response.check(service).map_err(|failure| (failure.kind, failure.what))
    }

    #[test]
    fn ok_with_one_message_succeeds() {
        assert_eq!(check(GrpcService::Echo, Some(b"0"), &[0, 0, 0, 0, 1, 9]), Ok(()));
        assert_eq!(check(GrpcService::Health, Some(b"0"), &[0, 0, 0, 0, 2, 8, 1]), Ok(()));
        // Preceded by a field of a later version.
        let later = [0, 0, 0, 0, 5, 0x12, 1, b'x', 8, 1];
        assert_eq!(check(GrpcService::Health, Some(b"0"), &later), Ok(()));
    }

    #[test]
    fn everything_else_is_a_failure_that_says_why() {
        use FailureKind::{Protocol, Status, Unidentified};
        use GrpcService::{Echo, Health};
        for (service, status, body, kind, part) in [
            (Echo, None, &b"hello"[..], Unidentified, "not a gRPC service"),
            (
                Echo,
                Some(&b"14"[..]),
                b"",
                Status,
                "grpc-status 14 UNAVAILABLE: no healthy upstream",
            ),
            (Echo, Some(b"99"), b"", Status, "unknown code"),
            (Echo, Some(b"x"), b"", Protocol, "not a number"),
            (Echo, Some(b"0"), b"", Protocol, "no message"),
            (Echo, Some(b"0"), &[1, 0, 0, 0, 0], Protocol, "compressed"),
            (Echo, Some(b"0"), &[0, 0, 0, 0, 2, 1], Protocol, "exactly one message"),
            (Health, Some(b"0"), &[0, 0, 0, 0, 2, 8, 2], Status, "returns NOT_SERVING"),
            (Health, Some(b"0"), &[0, 0, 0, 0, 0], Status, "returns UNKNOWN"),
            (Health, Some(b"0"), &[0, 0, 0, 0, 1, 0xff], Status, "an unknown state"),
        ] {
            let (found, what) = check(service, status, body).expect_err(part);
            assert!(found == kind && what.contains(part), "{part}: {found} {what}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in any::<Vec<u8>>(), status in any::<Vec<u8>>()) {
            let _ = check(GrpcService::Health, Some(&status), &body);
            let _ = serving_status(&body);
        }
    }
}
