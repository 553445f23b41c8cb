//! Which DNS server is asked when: in order, then all of them again, as in glibc. Pure.

use std::time::Duration;

use super::resolv_conf::Options;

/// One query to one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    /// Its place in the list of servers.
    pub server: usize,
    /// How long to wait for the server before the next attempt starts.
    pub wait: Duration,
}

/// The attempts for one question, beginning with server `first`. The waits are those of glibc
/// (`send_dg` in res_send.c): later servers of a list get more time, divided by their number.
pub(super) fn attempts(servers: usize, first: usize, options: &Options) -> Vec<Attempt> {
    let seconds = options.timeout.as_secs();
    let wait = |server: usize| match server {
        0 => seconds,
        // With --dns-servers there may be more than glibc's three: they are as the third.
        later => (seconds << later.min(2)) / servers as u64,
    };
    let round = (0..servers).map(|n| (first + n) % servers);
    let round =
        round.map(|server| Attempt { server, wait: Duration::from_secs(wait(server).max(1)) });
    let round: Vec<_> = round.collect();
    round.repeat(options.attempts as usize)
}

/// All the waits of the attempts.
pub(super) fn total(attempts: &[Attempt]) -> Duration {
    attempts.iter().map(|attempt| attempt.wait).sum()
}

/// The same attempts with waits that are shortened in proportion if they exceed `most` together, so
/// that the last one starts in time.
pub(super) fn within(most: Duration, mut attempts: Vec<Attempt>) -> Vec<Attempt> {
    let total = total(&attempts);
    if total > most {
        let scale = most.as_secs_f64() / total.as_secs_f64();
        for attempt in &mut attempts {
            attempt.wait = attempt.wait.mul_f64(scale);
        }
    }
    attempts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(seconds: u64, attempts: u32) -> Options {
        Options { timeout: Duration::from_secs(seconds), attempts, ..Options::default() }
    }

    /// Server and seconds of each attempt.
    fn plan(servers: usize, first: usize, options: &Options) -> Vec<(usize, u64)> {
        let attempts = attempts(servers, first, options).into_iter();
        attempts.map(|Attempt { server, wait }| (server, wait.as_secs())).collect()
    }

    #[test]
    fn all_servers_are_asked_in_order_as_often_as_configured() {
        let default = Options::default();
        assert_eq!(plan(1, 0, &default), [(0, 5), (0, 5)]);
        assert_eq!(plan(2, 0, &default), [(0, 5), (1, 5), (0, 5), (1, 5)]);
        assert_eq!(plan(3, 0, &options(5, 1)), [(0, 5), (1, 3), (2, 6)]);
        assert_eq!(plan(3, 0, &options(1, 1)), [(0, 1), (1, 1), (2, 1)], "a second at least");
        assert_eq!(plan(4, 0, &options(5, 1)), [(0, 5), (1, 2), (2, 5), (3, 5)]);
        assert_eq!(plan(1, 0, &options(2, 4)), [(0, 2); 4]);
        assert_eq!(plan(0, 0, &default), []);
    }

    #[test]
    fn rotation_changes_who_is_first_and_not_how_long_each_may_take() {
        let round = [(0, 5), (1, 3), (2, 6)];
        for first in 0..3 {
            let mut turned = round;
            turned.rotate_left(first);
            assert_eq!(plan(3, first, &options(5, 1)), turned);
        }
    }

    #[test]
    fn waits_are_shortened_together_and_only_if_they_must_be() {
        let all = attempts(3, 0, &options(5, 2));
        assert_eq!(total(&all), Duration::from_secs(28));
        assert_eq!(within(Duration::from_secs(28), all.clone()), all);
        let short = within(Duration::from_secs(7), all.clone());
        assert_eq!(total(&short), Duration::from_secs(7));
        assert_eq!(short[0].wait, Duration::from_millis(1250));
        assert!(short.iter().map(|a| a.server).eq(all.iter().map(|a| a.server)));
        assert_eq!(total(&within(Duration::ZERO, all)), Duration::ZERO);
        assert!(within(Duration::ZERO, Vec::new()).is_empty());
        let many = attempts(200, 199, &options(30, 5));
        assert_eq!((many.len(), many[0].server), (1000, 199), "no number overflows");
    }
}
