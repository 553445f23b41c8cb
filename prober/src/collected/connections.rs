//! The connections of collected answers by their names: each has a lane of its own. Bounded in memory,
//! however many a file names. Pure.

use std::collections::HashMap;
use std::mem;

use printable::bounded_name;

use crate::tally::outcome::Wire;

/// A connection is known again unless so many others were named since it was last.
const MOST: usize = 100_000;

#[derive(Debug)]
pub(super) struct Connections {
    most: usize,
    /// The lanes of those that were named last, at most `most`.
    now: HashMap<String, usize>,
    /// Those of the ones before.
    before: HashMap<String, usize>,
    /// Lanes that can be used again, the least one last.
    free: Vec<usize>,
    /// The number of lanes so far. Lane 0 is for connections without a name.
    lanes: usize,
}

impl Default for Connections {
    fn default() -> Self {
        Self::new(MOST)
    }
}

impl Connections {
    fn new(most: usize) -> Self {
        let (now, before) = (HashMap::new(), HashMap::new());
        Self { most, now, before, free: Vec::new(), lanes: 1 }
    }

    /// The lane of a connection, and whether it is known.
    pub(super) fn lane(&mut self, name: &str) -> (usize, Wire) {
        let name = bounded_name(name);
        if let Some(lane) = self.now.get(&*name) {
            return (*lane, Wire::Kept);
        }
        let (lane, wire) = match self.before.remove(&*name) {
            Some(lane) => (lane, Wire::Kept),
            None => (self.free_lane(), Wire::Fresh),
        };
        if self.now.len() == self.most {
            let gone = mem::replace(&mut self.before, mem::take(&mut self.now));
            self.release(gone);
        }
        self.now.insert(name.into_owned(), lane);
        (lane, wire)
    }

    /// The next file has its own names.
    pub(super) fn forget(&mut self) {
        for gone in [mem::take(&mut self.now), mem::take(&mut self.before)] {
            self.release(gone);
        }
    }

    fn free_lane(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.lanes += 1;
            self.lanes - 1
        })
    }

    fn release(&mut self, gone: HashMap<String, usize>) {
        self.free.extend(gone.into_values());
        // Not in the order of the map, which differs from run to run.
        self.free.sort_unstable_by(|a, b| b.cmp(a));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_known_until_many_others_were_named() {
        let mut connections = Connections::new(2);
        let mut lane = |name: &str| connections.lane(name);
        assert_eq!([lane("a"), lane("b")], [(1, Wire::Fresh), (2, Wire::Fresh)]);
        assert_eq!([lane("c"), lane("a")], [(3, Wire::Fresh), (1, Wire::Kept)]);
        assert_eq!([lane("d"), lane("a")], [(4, Wire::Fresh), (1, Wire::Kept)]);
        assert_eq!(lane("b"), (2, Wire::Fresh), "its lane was free");
    }

    #[test]
    fn lanes_and_names_are_bounded() {
        let mut connections = Connections::new(10);
        for n in 0..1_000 {
            let name = format!("{}{n}", "x".repeat(1_000));
            assert_eq!(connections.lane(&name).1, Wire::Fresh);
            assert_eq!(connections.lane(&name).1, Wire::Kept);
        }
        assert!(connections.lanes <= 1 + 3 * 10, "{}", connections.lanes);
        assert!(
            connections.now.keys().chain(connections.before.keys()).all(|name| name.len() < 254)
        );
        connections.forget();
        assert_eq!(connections.lane("x").0, 1);
        assert_eq!(connections.lanes - 1 - connections.free.len(), 1);
    }
}
