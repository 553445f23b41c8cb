//! What the network did beside answering: of no single answer, and no failure. Pure.

use serde::{Deserialize, Serialize};

use crate::units::is_zero;

/// What connections did beside carrying requests and answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transport {
    /// Kept connections that the server had closed before a request was written to them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub closed_while_idle: u64,
    /// Interim (1xx) responses that came before final ones.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub interim: u64,
    /// Kept connections that were not used again, because the server had sent bytes that no request
    /// asked for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unasked: u64,
    /// TLS handshakes that agreed on new keys.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tls_full: u64,
    /// TLS handshakes that resumed an earlier session.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tls_resumed: u64,
    /// Connections over IPv6, and over IPv4, for which there were addresses of both families.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub over_ipv6: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub over_ipv4: u64,
    /// The least number of streams that a server allowed at the same time, if it is below
    /// `--streams`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streams_allowed: Option<u64>,
}

impl Transport {
    /// Adds what other connections or requests saw.
    pub fn merge(&mut self, other: Self) {
        self.closed_while_idle += other.closed_while_idle;
        self.interim += other.interim;
        self.unasked += other.unasked;
        self.tls_full += other.tls_full;
        self.tls_resumed += other.tls_resumed;
        self.over_ipv6 += other.over_ipv6;
        self.over_ipv4 += other.over_ipv4;
        self.streams_allowed = self.streams_allowed.into_iter().chain(other.streams_allowed).min();
    }

    /// Notes that a server allows so many streams at the same time, where `wanted` were to be used. What
    /// it allowed the same request before does not count any more.
    pub fn allows(&mut self, allowed: u64, wanted: u64) {
        self.streams_allowed = (allowed < wanted).then_some(allowed);
    }

    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_added_and_the_lowest_limit_stays() {
        let mut sum = Transport::default();
        assert!(sum.is_silent());
        let allowed = |streams_allowed| Transport { interim: 2, streams_allowed, ..sum };
        for other in [allowed(None), allowed(Some(7)), allowed(Some(4)), allowed(Some(9))] {
            sum.merge(other);
        }
        assert_eq!(sum, Transport { interim: 8, streams_allowed: Some(4), ..Transport::default() });
    }
}
