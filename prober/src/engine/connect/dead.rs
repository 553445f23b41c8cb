//! The addresses that connections of a run passed over, shared by its threads.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::local::LocalEnd;
use crate::tally::meter::lock;

/// How long an address may be silent before the next one is tried: RFC 8305's Connection Attempt Delay.
pub(super) const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// How often it is tried whether an address accepts connections again.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Addresses that are tried last, because others were faster or did not fail. An address is forgotten
/// when it accepts a connection again: one of the run when all others fail, or one that is opened
/// beside those of the run and closed unused, at most once a second.
#[derive(Debug, Default)]
pub(in crate::engine) struct DeadAddresses(Mutex<HashMap<SocketAddr, Dead>>);

#[derive(Debug)]
struct Dead {
    /// Why it was passed over.
    why: String,
    next_check: Instant,
}

impl DeadAddresses {
    fn all(&self) -> MutexGuard<'_, HashMap<SocketAddr, Dead>> {
        lock(&self.0)
    }

    pub(super) fn add(&self, address: SocketAddr, why: String, now: Instant) {
        let next_check = now + CHECK_INTERVAL;
        self.all().entry(address).or_insert(Dead { why, next_check });
    }

    pub(super) fn forget(&self, address: SocketAddr) {
        self.all().remove(&address);
    }

    /// Those of the addresses that are dead, each with why.
    pub(super) fn among(&self, addresses: &[SocketAddr]) -> Vec<(SocketAddr, String)> {
        let all = self.all();
        let dead = addresses.iter().filter_map(|a| Some((*a, all.get(a)?.why.clone())));
        dead.collect()
    }

    /// Those of the addresses that are to be checked now; not again before the next interval.
    fn due(&self, addresses: &[SocketAddr], now: Instant) -> Vec<SocketAddr> {
        let mut all = self.all();
        let due = addresses.iter().copied().filter(|address| {
            let dead = all.get_mut(address).filter(|dead| dead.next_check <= now);
            dead.map(|dead| dead.next_check = now + CHECK_INTERVAL).is_some()
        });
        due.collect()
    }

    /// Checks in the background which addresses accept connections again from here, those that are due.
    pub(super) fn check(
        self: &Arc<Self>,
        local: &LocalEnd,
        addresses: &[SocketAddr],
        now: Instant,
    ) {
        for address in self.due(addresses, now) {
            let (dead, local) = (Arc::clone(self), local.clone());
            tokio::spawn(async move {
                // A slower address would lose against the others again.
                let connected = timeout(ATTEMPT_DELAY, local.connect(address)).await;
                if connected.is_ok_and(|connected| connected.is_ok()) {
                    dead.forget(address);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn an_address_is_dead_until_it_is_forgotten_and_checked_once_an_interval() {
        let [a, b]: [SocketAddr; 2] = ["[::1]:80", "127.0.0.1:80"].map(|a| a.parse().unwrap());
        let (dead, start) = (DeadAddresses::default(), clock::now());
        assert_eq!(dead.among(&[a, b]), []);
        dead.add(a, "first".into(), start);
        dead.add(a, "second".into(), start);
        assert_eq!(dead.among(&[b, a]), [(a, "first".to_owned())]);
        assert_eq!(dead.due(&[a, b], start), []);
        let later = start + CHECK_INTERVAL;
        assert_eq!((dead.due(&[a, b], later), dead.due(&[a, b], later)), (vec![a], vec![]));
        assert_eq!(dead.due(&[a, b], later + CHECK_INTERVAL), [a]);
        dead.forget(a);
        assert_eq!(dead.among(&[a, b]), []);
    }
}
