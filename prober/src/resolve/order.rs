//! The order in which to try a name's addresses. Pure.

use std::collections::HashSet;
use std::net::IpAddr;

/// Each address once: IPv6 before IPv4, but a family without a route last. Within a family the order
/// stays: DNS servers rotate it to spread load, and sorting by the last rules of RFC 6724 would undo
/// that.
pub(super) fn by_preference(
    addresses: Vec<IpAddr>,
    has_route: impl Fn(IpAddr) -> bool,
) -> Vec<IpAddr> {
    let mut seen = HashSet::new();
    let unique = addresses.into_iter().filter(|address| seen.insert(*address));
    let (v6, v4): (Vec<_>, Vec<_>) = unique.partition(IpAddr::is_ipv6);
    // One address decides for its family.
    let (Some(&one_v6), Some(&one_v4)) = (v6.first(), v4.first()) else {
        return [v6, v4].concat();
    };
    if has_route(one_v6) || !has_route(one_v4) { [v6, v4].concat() } else { [v4, v6].concat() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(addresses: &[&str]) -> Vec<IpAddr> {
        addresses.iter().map(|address| address.parse().unwrap()).collect()
    }

    #[test]
    fn a_family_without_a_route_goes_last_and_the_order_within_stays() {
        let mixed = ips(&["10.0.0.2", "fd00::2", "10.0.0.1", "fd00::1", "10.0.0.2"]);
        let v6_first = ips(&["fd00::2", "fd00::1", "10.0.0.2", "10.0.0.1"]);
        let v4_first = ips(&["10.0.0.2", "10.0.0.1", "fd00::2", "fd00::1"]);
        assert_eq!(by_preference(mixed.clone(), |_| true), v6_first);
        assert_eq!(by_preference(mixed.clone(), |_| false), v6_first);
        assert_eq!(by_preference(mixed.clone(), |address| address.is_ipv4()), v4_first);
        assert_eq!(by_preference(mixed, |address| address.is_ipv6()), v6_first);
        let only = ips(&["10.0.0.2", "10.0.0.1"]);
        assert_eq!(by_preference(only.clone(), |_| unreachable!("no choice to make")), only);
    }
}
