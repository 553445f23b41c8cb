//! What a failed request says about its cause: Envoy's own words in the response, or that there
//! was none. The only place in a diagnosis that reads the texts of failures. Pure.

use crate::tally::FailureGroup;
use crate::tally::outcome::{Code, FailureKind};

/// A kind of failure by its text. Envoy's words are certain about what happened, but not about
/// which of the Envoys on the way it happened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    NobodyHealthy,
    ConnectionFailure,
    /// The connection ended before the response, by an Envoy's words.
    Termination,
    Overflow,
    ProtocolError,
    RemoteReset,
    RefusedStream,
    RequestTimeout,
    IdleTimeout,
    /// The limit of the Envoy that sends the request on.
    UpstreamDuration,
    /// The limit of the Envoy that accepts the request.
    DownstreamDuration,
    TooLarge,
    FaultAbort,
    RateLimited,
    Denied,
    /// An empty response, with this status code.
    Empty(u16),
    /// A response with another text, with its status code.
    Other(Option<u16>),
    /// No response or half of one: prober's connection ended.
    Cut,
    /// No response within prober's own time limits.
    Late,
    /// No response because of names, addresses, TLS, or something that is not HTTP.
    Elsewhere,
}

/// Envoy's words, as of 1.40; some are the same since its first versions.
const WORDS: [(&str, Said); 18] = [
    ("no healthy upstream", Said::NobodyHealthy),
    ("reset reason: overflow", Said::Overflow),
    ("reset reason: protocol error", Said::ProtocolError),
    ("reset reason: remote refused stream", Said::RefusedStream),
    ("reset reason: remote reset", Said::RemoteReset),
    ("reset reason: connection termination", Said::Termination),
    ("premature upstream half close", Said::Termination),
    // Envoys before 1.31 do not say whose failure it is.
    ("reset reason: connection failure", Said::ConnectionFailure),
    ("remote connection failure", Said::ConnectionFailure),
    ("local connection failure", Said::ConnectionFailure),
    ("reset reason: connection timeout", Said::ConnectionFailure),
    ("upstream request timeout", Said::RequestTimeout),
    ("stream timeout", Said::IdleTimeout),
    ("upstream max stream duration reached", Said::UpstreamDuration),
    ("downstream duration timeout", Said::DownstreamDuration),
    ("fault filter abort", Said::FaultAbort),
    ("local_rate_limited", Said::RateLimited),
    ("RBAC: access denied", Said::Denied),
];

impl Said {
    pub(super) fn of(failure: &FailureGroup) -> Self {
        match failure.kind {
            FailureKind::Status => Self::in_response(failure),
            FailureKind::Reset => Self::Cut,
            FailureKind::Timeout => Self::Late,
            FailureKind::Unidentified => Self::Other(None),
            FailureKind::Dns | FailureKind::Connect | FailureKind::Tls | FailureKind::Protocol => {
                Self::Elsewhere
            }
        }
    }

    fn in_response(failure: &FailureGroup) -> Self {
        let what = failure.what.as_str();
        if let Some((_, said)) = WORDS.iter().find(|(words, _)| what.contains(words)) {
            return *said;
        }
        match failure.code {
            Some(Code::Http(413)) if what.contains("Payload Too Large\"") => Self::TooLarge,
            Some(Code::Http(code)) if what.ends_with(": no body") => Self::Empty(code),
            Some(Code::Http(code)) => Self::Other(Some(code)),
            // What Envoy makes of an empty 404 and 503 in a call of gRPC.
            Some(Code::Grpc(12)) if what.ends_with(": no message") => Self::Empty(404),
            Some(Code::Grpc(14)) if what.ends_with(": no message") => Self::Empty(503),
            Some(Code::Grpc(_)) | None => Self::Other(None),
        }
    }

    /// The words of an Envoy that say so; empty if it is only a status code, or no response.
    pub(super) fn words(self) -> &'static str {
        let known = WORDS.iter().find(|(_, said)| *said == self);
        known.map_or("", |(words, _)| words.trim_start_matches("reset reason: "))
    }

    /// Whether an application may have answered so itself, with an error that its Envoy counts.
    pub(super) fn may_be_of_application(self) -> bool {
        match self {
            Self::Other(code) => code.is_none_or(|code| code >= 500),
            Self::Empty(code) => code >= 500,
            _ => false,
        }
    }

    /// Whether the end of a connection to the server may look so.
    pub(super) fn may_be_broken_connection(self) -> bool {
        matches!(self, Self::Termination | Self::Cut | Self::Late | Self::Empty(500..))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tally::outcome::Failure;

    fn said(kind: FailureKind, code: Option<Code>, what: &str) -> Said {
        let mut failure = Failure::new(kind, what);
        failure.code = code;
        Said::of(&FailureGroup::new(failure, 1))
    }

    #[test]
    fn words_of_envoy_are_told_from_others() {
        let reset = "upstream connect error or disconnect/reset before headers. reset reason: ";
        let retried = "upstream connect error or disconnect/reset before headers. retried and the \
                       latest reset reason: ";
        for (body, right) in [
            ("overflow", Said::Overflow),
            ("protocol error", Said::ProtocolError),
            ("remote reset", Said::RemoteReset),
            ("remote refused stream reset", Said::RefusedStream),
            ("connection termination", Said::Termination),
            ("remote connection failure", Said::ConnectionFailure),
            ("local connection failure", Said::ConnectionFailure),
            ("connection timeout", Said::ConnectionFailure),
            (
                "connection failure, transport failure reason: delayed connect error: 111",
                Said::ConnectionFailure,
            ),
            ("overload manager reset", Said::Other(Some(503))),
        ] {
            for before in [reset, retried] {
                let what = format!("503 Service Unavailable from envoy: \"{before}{body}\"");
                let code = Some(Code::Http(503));
                assert_eq!(said(FailureKind::Status, code, &what), right, "{what}");
            }
        }
        for (code, what, right) in [
            (Code::Http(404), "404 Not Found from envoy: no body", Said::Empty(404)),
            (Code::Http(404), "404 Not Found from envoy: \"no body\"", Said::Other(Some(404))),
            (Code::Http(413), "413 Payload Too Large: \"Payload Too Large\"", Said::TooLarge),
            (Code::Http(413), "413 Payload Too Large: \"x\"", Said::Other(Some(413))),
            (Code::Grpc(14), "grpc-status 14 UNAVAILABLE: no message", Said::Empty(503)),
            (Code::Grpc(12), "grpc-status 12 UNIMPLEMENTED: no message", Said::Empty(404)),
            (Code::Grpc(13), "grpc-status 13 INTERNAL: no message", Said::Other(None)),
        ] {
            assert_eq!(said(FailureKind::Status, Some(code), what), right, "{what}");
        }
        assert_eq!(said(FailureKind::Reset, None, "no healthy upstream"), Said::Cut);
        assert_eq!(said(FailureKind::Dns, None, "no healthy upstream"), Said::Elsewhere);
    }

    #[test]
    fn all_words_are_distinct_and_found_again() {
        for (words, right) in WORDS {
            assert_eq!(said(FailureKind::Status, None, words), right, "{words}");
            assert!(!right.words().is_empty());
        }
    }

    proptest! {
        #[test]
        fn any_text_is_told(text in "\\PC{0,80}", code in prop::option::of(100_u16..600)) {
            for kind in FailureKind::ALL {
                let said = said(kind, code.map(Code::Http), &text);
                let _ = (said.words(), said.may_be_of_application());
                if kind != FailureKind::Status {
                    prop_assert!(said.words().is_empty());
                }
            }
        }
    }
}
