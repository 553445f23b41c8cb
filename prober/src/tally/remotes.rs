//! The remote addresses of a thread, so that each has a place in its counts. Pure.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::outcome::Remote;

/// The most addresses that are told apart.
pub(crate) const MOST_ADDRESSES: usize = 10_000;

/// The indexes of a thread's addresses, in the order in which they were first used.
#[derive(Debug, Default)]
pub(crate) struct Remotes(HashMap<SocketAddr, usize>);

impl Remotes {
    /// An address with its index; all beyond [`MOST_ADDRESSES`] have the same.
    pub(crate) fn remote(&mut self, address: SocketAddr) -> Remote {
        let next = self.0.len();
        let place = match self.0.get(&address) {
            Some(place) => *place,
            None if next < MOST_ADDRESSES => *self.0.entry(address).or_insert(next),
            None => MOST_ADDRESSES,
        };
        Remote { address, place }
    }
}
