//! What a gRPC answer says: its status, and a health check's verdict. Pure.
//!
//! As in the protocol's description (grpc/doc/PROTOCOL-HTTP2.md): the status comes in
//! trailers, or in the headers of an answer without a message.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use crate::cli::GrpcService;
use crate::tally::outcome::{Failure, FailureKind};

/// The codes' names, from 0.
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
/// The states of a health check (grpc/health/v1/health.proto), from 0.
const HEALTH: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

/// An answer whose HTTP status was 200.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer<'a> {
    /// Value of `grpc-status`.
    pub status: Option<&'a [u8]>,
    /// Value of `grpc-message`, percent-encoded.
    pub message: Option<&'a [u8]>,
    /// The messages, each behind a flag and its length.
    pub body: &'a [u8],
}

impl Answer<'_> {
    /// Whether the service did what was asked of it.
    ///
    /// # Errors
    /// `status`: any code but OK, or a health check that does not say SERVING.
    /// `unidentified`: no answer of gRPC at all. `protocol`: one that breaks its rules.
    pub(super) fn check(&self, service: GrpcService) -> Result<(), Failure> {
        let failed = |kind, what: String| Err(Failure::new(kind, what));
        let Some(status) = self.status else {
            let what = "200 without a grpc-status: what answers is no gRPC service".to_owned();
            return failed(FailureKind::Unidentified, what);
        };
        let code = std::str::from_utf8(status).ok().and_then(|text| text.parse::<usize>().ok());
        match code {
            Some(0) => {}
            Some(code) => {
                let name = CODES.get(code).unwrap_or(&"no known code");
                let said = self.message.map_or(Cow::Borrowed("no message"), decoded);
                return failed(FailureKind::Status, format!("grpc-status {code} {name}: {said}"));
            }
            None => {
                return failed(FailureKind::Protocol, "the grpc-status is no number".to_owned());
            }
        }
        let message = message(self.body)?;
        if service == GrpcService::Health {
            let state = serving_status(message);
            let name = state.and_then(|state| HEALTH.get(usize::try_from(state).ok()?));
            if name != Some(&"SERVING") {
                let name = name.copied().unwrap_or("no known state");
                return failed(FailureKind::Status, format!("the health check says {name}"));
            }
        }
        Ok(())
    }
}

fn decoded(message: &[u8]) -> Cow<'_, str> {
    percent_decode(message).decode_utf8_lossy()
}

/// The one message of an answer: a flag, a length of four bytes, and the message.
fn message(body: &[u8]) -> Result<&[u8], Failure> {
    let wrong = |what| Failure::new(FailureKind::Protocol, what);
    let Some((&[flag, a, b, c, d], rest)) = body.split_first_chunk::<5>() else {
        return Err(wrong("the gRPC answer holds no message"));
    };
    if flag != 0 {
        return Err(wrong("the gRPC answer is compressed, which was not offered"));
    }
    if usize::try_from(u32::from_be_bytes([a, b, c, d])) != Ok(rest.len()) {
        return Err(wrong("the gRPC answer is not one whole message"));
    }
    Ok(rest)
}

/// `HealthCheckResponse.status`: field 1, a varint; 0 where it is missing.
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
        let answer = Answer { status, message: Some(b"no%20healthy upstream"), body };
        answer.check(service).map_err(|failure| (failure.kind, failure.what))
    }

    #[test]
    fn ok_with_one_message_is_an_answer() {
        assert_eq!(check(GrpcService::Echo, Some(b"0"), &[0, 0, 0, 0, 1, 9]), Ok(()));
        assert_eq!(check(GrpcService::Health, Some(b"0"), &[0, 0, 0, 0, 2, 8, 1]), Ok(()));
        // A field of a later version in front.
        let later = [0, 0, 0, 0, 5, 0x12, 1, b'x', 8, 1];
        assert_eq!(check(GrpcService::Health, Some(b"0"), &later), Ok(()));
    }

    #[test]
    fn everything_else_is_a_failure_that_says_why() {
        use FailureKind::{Protocol, Status, Unidentified};
        use GrpcService::{Echo, Health};
        for (service, status, body, kind, part) in [
            (Echo, None, &b"hello"[..], Unidentified, "no gRPC service"),
            (
                Echo,
                Some(&b"14"[..]),
                b"",
                Status,
                "grpc-status 14 UNAVAILABLE: no healthy upstream",
            ),
            (Echo, Some(b"99"), b"", Status, "no known code"),
            (Echo, Some(b"x"), b"", Protocol, "no number"),
            (Echo, Some(b"0"), b"", Protocol, "no message"),
            (Echo, Some(b"0"), &[1, 0, 0, 0, 0], Protocol, "compressed"),
            (Echo, Some(b"0"), &[0, 0, 0, 0, 2, 1], Protocol, "whole message"),
            (Health, Some(b"0"), &[0, 0, 0, 0, 2, 8, 2], Status, "says NOT_SERVING"),
            (Health, Some(b"0"), &[0, 0, 0, 0, 0], Status, "says UNKNOWN"),
            (Health, Some(b"0"), &[0, 0, 0, 0, 1, 0xff], Status, "no known state"),
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
