//! Which of a name's addresses a connection goes to. Pure.

use std::net::IpAddr;

use crate::stats::random;

/// Which of a name's addresses a connection tries first, and which ones after that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Select {
    /// In the order of the look-up, but the families by turns, as curl does.
    First,
    /// Each connection starts one address further, and goes on in order.
    RoundRobin,
    /// In a random order for each connection; the number is the seed.
    Random(u64),
    /// Each address is a row of its own. Before anything is sent, such a plan is replaced by plans
    /// with [`Select::Only`] or [`Select::Nowhere`].
    Each,
    /// Only this address: a row of [`Select::Each`].
    Only(IpAddr),
    /// [`Select::Each`] for a name that has no address: the reason.
    Nowhere(String),
}

impl Select {
    /// The address of [`Select::Only`].
    #[must_use]
    pub fn only(&self) -> Option<IpAddr> {
        match self {
            Self::Only(address) => Some(*address),
            _ => None,
        }
    }

    /// The addresses that a look-up found, sorted if [`order`](Self::order) counts through them.
    /// DNS servers rotate their answers and each thread has its own answer, so that all threads
    /// need the same order.
    #[must_use]
    pub fn arranged(&self, mut found: Vec<IpAddr>) -> Vec<IpAddr> {
        if matches!(self, Self::RoundRobin | Self::Random(_)) {
            found.sort_unstable();
        }
        found
    }

    /// The order in which connection number `turn` of the run tries the addresses.
    #[must_use]
    pub fn order(&self, mut addresses: Vec<IpAddr>, turn: u64) -> Vec<IpAddr> {
        let count = addresses.len() as u64;
        match self {
            Self::First => addresses = by_turns(addresses),
            Self::RoundRobin if count > 0 => addresses.rotate_left((turn % count) as usize),
            Self::Random(seed) => {
                let mut random = random::Random::new(seed.wrapping_add(turn));
                // Fisher and Yates's shuffle.
                for last in (1..addresses.len()).rev() {
                    addresses.swap(last, random.below(last as u64 + 1) as usize);
                }
            }
            _ => {}
        }
        addresses
    }
}

/// The addresses with the families by turns, so that the second one is of the other family (RFC 8305,
/// section 4). The family of the first address stays first, and the order within each as it is.
fn by_turns(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let v6_first = addresses.first().is_some_and(IpAddr::is_ipv6);
    let (first, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == v6_first);
    let mut other = other.into_iter();
    let mut turns = Vec::with_capacity(first.len() + other.len());
    for address in first {
        turns.push(address);
        turns.extend(other.next());
    }
    turns.extend(other);
    turns
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn ips(count: u8) -> Vec<IpAddr> {
        (1..=count).map(|n| IpAddr::from([127, 0, 0, n])).collect()
    }

    /// How often each address comes first in the given turns.
    fn firsts(select: &Select, count: u8, turns: u64) -> BTreeMap<IpAddr, u64> {
        let mut firsts = BTreeMap::new();
        for turn in 0..turns {
            let order = select.order(ips(count), turn);
            let all: BTreeSet<_> = order.iter().copied().collect();
            assert_eq!(all.into_iter().collect::<Vec<_>>(), ips(count), "each once");
            *firsts.entry(order[0]).or_default() += 1;
        }
        firsts
    }

    #[test]
    fn families_take_turns_by_default_alone() {
        let ips = |text: &str| -> Vec<IpAddr> {
            text.split(' ').map(|address| address.parse().unwrap()).collect()
        };
        for (found, order) in [
            ("::1 ::2 ::3 10.0.0.1 10.0.0.2", "::1 10.0.0.1 ::2 10.0.0.2 ::3"),
            ("10.0.0.2 10.0.0.1 ::1", "10.0.0.2 ::1 10.0.0.1"),
            ("::1 10.0.0.1 10.0.0.2", "::1 10.0.0.1 10.0.0.2"),
            ("::2 ::1", "::2 ::1"),
        ] {
            assert_eq!(Select::First.order(ips(found), 3), ips(order));
            assert_eq!(Select::RoundRobin.order(ips(found), 0), ips(found));
        }
        assert!(Select::First.order(Vec::new(), 0).is_empty());
    }

    #[test]
    fn first_stays_and_round_robin_goes_round() {
        assert_eq!(Select::First.order(ips(3), 7), ips(3));
        let orders: Vec<_> = (0..4).map(|turn| Select::RoundRobin.order(ips(3), turn)).collect();
        let [a, b, c] = ips(3).try_into().unwrap();
        assert_eq!(orders, [vec![a, b, c], vec![b, c, a], vec![c, a, b], vec![a, b, c]]);
        assert_eq!(
            firsts(&Select::RoundRobin, 3, 300),
            ips(3).into_iter().map(|ip| (ip, 100)).collect()
        );
        assert_eq!(Select::RoundRobin.order(Vec::new(), 1), Vec::<IpAddr>::new());
    }

    #[test]
    fn random_is_even_and_repeats_by_its_seed() {
        // 3000 of a binomial with p = 1/3: 1000 ± 26; a fixed seed cannot fail by chance.
        let counts = firsts(&Select::Random(1), 3, 3000);
        assert!(
            counts.len() == 3 && counts.values().all(|n| (900..1100).contains(n)),
            "{counts:?}"
        );
        let orders = |seed| -> Vec<_> {
            (0..20).map(|turn| Select::Random(seed).order(ips(5), turn)).collect()
        };
        assert_eq!(orders(1), orders(1));
        assert_ne!(orders(1), orders(100));
    }

    #[test]
    fn addresses_are_sorted_if_connections_count_through_them() {
        let turned = || ips(3).into_iter().rev().collect::<Vec<_>>();
        assert_eq!(Select::First.arranged(turned()), turned());
        assert_eq!(Select::RoundRobin.arranged(turned()), ips(3));
        assert_eq!(Select::Random(1).arranged(turned()), ips(3));
    }
}
