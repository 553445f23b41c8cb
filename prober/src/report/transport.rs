//! What connections did beside carrying requests and answers, in words. Pure.

use crate::tally::Transport;
use crate::units::count;

/// One line for each thing that happened.
#[must_use]
pub(super) fn lines(transport: &Transport) -> Vec<String> {
    let Transport { closed_while_idle, interim, tls_full, tls_resumed, streams_allowed } =
        *transport;
    let allowed = streams_allowed.map(|most| {
        format!("the server allows {} at once, fewer than --streams", count(most, "stream"))
    });
    let idle = (closed_while_idle > 0).then(|| {
        let kept = count(closed_while_idle, "kept connection");
        format!("the server closed {kept} between requests; the next request took a fresh one")
    });
    let interim = (interim > 0).then(|| count(interim, "interim (1xx) response"));
    let handshakes = (tls_full + tls_resumed > 0).then(|| {
        let handshakes = count(tls_full + tls_resumed, "TLS handshake");
        format!("{handshakes}: {tls_full} full, {tls_resumed} resumed")
    });
    [allowed, idle, interim, handshakes].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_that_happened_has_a_line() {
        assert!(lines(&Transport::default()).is_empty());
        let one = Transport {
            closed_while_idle: 1,
            interim: 1,
            tls_full: 1,
            tls_resumed: 0,
            streams_allowed: Some(1),
        };
        assert_eq!(
            lines(&one),
            [
                "the server allows 1 stream at once, fewer than --streams",
                "the server closed 1 kept connection between requests; the next request took a fresh one",
                "1 interim (1xx) response",
                "1 TLS handshake: 1 full, 0 resumed",
            ]
        );
    }
}
