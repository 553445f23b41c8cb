//! What connections did beside carrying requests and answers, in words. Pure.

use crate::tally::Transport;
use crate::units::count;

/// One line for each thing that happened.
#[must_use]
pub(super) fn lines(transport: &Transport) -> Vec<String> {
    let Transport { closed_while_idle, interim, unasked, tls_full, tls_resumed, .. } = *transport;
    let Transport { over_ipv6, over_ipv4, streams_allowed, .. } = *transport;
    let families = (over_ipv6 + over_ipv4 > 0).then(|| {
        let used = match (over_ipv6, over_ipv4) {
            (_, 0) => "all connections used IPv6".to_owned(),
            (0, _) => "all connections used IPv4".to_owned(),
            _ => format!("{} used IPv6, {over_ipv4} IPv4", count(over_ipv6, "connection")),
        };
        format!("the target has IPv6 and IPv4 addresses; {used}")
    });
    let allowed = streams_allowed.map(|most| {
        format!("the server allows {} at once, fewer than --streams", count(most, "stream"))
    });
    let idle = (closed_while_idle > 0).then(|| {
        let kept = count(closed_while_idle, "kept connection");
        format!("the server closed {kept} between requests; the next request took a fresh one")
    });
    let unasked = (unasked > 0).then(|| {
        let kept = count(unasked, "connection");
        format!("the server sent bytes that no request asked for on {kept}, not used again")
    });
    let interim = (interim > 0).then(|| count(interim, "interim (1xx) response"));
    let handshakes = (tls_full + tls_resumed > 0).then(|| {
        let handshakes = count(tls_full + tls_resumed, "TLS handshake");
        format!("{handshakes}: {tls_full} full, {tls_resumed} resumed")
    });
    [families, allowed, idle, unasked, interim, handshakes].into_iter().flatten().collect()
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
            unasked: 2,
            tls_full: 1,
            tls_resumed: 0,
            streams_allowed: Some(1),
            over_ipv6: 1,
            over_ipv4: 2,
        };
        assert_eq!(
            lines(&one),
            [
                "the target has IPv6 and IPv4 addresses; 1 connection used IPv6, 2 IPv4",
                "the server allows 1 stream at once, fewer than --streams",
                "the server closed 1 kept connection between requests; the next request took a fresh one",
                "the server sent bytes that no request asked for on 2 connections, not used again",
                "1 interim (1xx) response",
                "1 TLS handshake: 1 full, 0 resumed",
            ]
        );
    }

    #[test]
    fn the_family_that_was_used_is_said_if_there_was_a_choice() {
        let used = |over_ipv6, over_ipv4| {
            lines(&Transport { over_ipv6, over_ipv4, ..Transport::default() }).concat()
        };
        let both = "the target has IPv6 and IPv4 addresses; ";
        assert_eq!(used(0, 0), "");
        assert_eq!(used(9, 0), format!("{both}all connections used IPv6"));
        assert_eq!(used(0, 1), format!("{both}all connections used IPv4"));
        assert_eq!(used(90, 10), format!("{both}90 connections used IPv6, 10 IPv4"));
    }
}
