//! Which addresses the name of an allowed host may resolve to. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an allowed name may resolve to an address. Loopback and link-local addresses and
/// those of a cloud's metadata service are refused, because whoever controls the name could
/// point it there. Only `localhost` may resolve to loopback. An IPv6 address that leads to an
/// IPv4 address is checked as that one.
pub(crate) fn may_lead_to(host: &str, address: IpAddr) -> bool {
    let address = address.to_canonical();
    if address.is_loopback() {
        return host == "localhost" || host.ends_with(".localhost");
    }
    match address {
        IpAddr::V4(v4) => !is_forbidden_v4(v4),
        IpAddr::V6(v6) => {
            !is_forbidden_v6(v6)
                && embedded(v6)
                    .into_iter()
                    .flatten()
                    .all(|v4| !v4.is_loopback() && !is_forbidden_v4(v4))
        }
    }
}

/// Loopback is not here: `localhost` may resolve to it.
fn is_forbidden_v4(address: Ipv4Addr) -> bool {
    address.is_link_local()
        || address.is_broadcast()
        || address.is_multicast()
        // "This network", which Linux takes for this host (RFC 1122, 3.2.1.3).
        || address.octets()[0] == 0
        // The metadata services of Alibaba Cloud, Azure and Oracle Cloud. Those of others are
        // link-local.
        || address == Ipv4Addr::new(100, 100, 100, 200)
        || address == Ipv4Addr::new(168, 63, 129, 16)
        || address.octets()[..3] == [192, 0, 0]
}

fn is_forbidden_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    address.is_unspecified()
        || address.is_unicast_link_local()
        || address.is_multicast()
        // IPv4-compatible (RFC 4291, 2.5.5.1) and IPv4-translated (RFC 2765): nothing uses them.
        || segments[..6] == [0; 6]
        || segments[..6] == [0, 0, 0, 0, 0xffff, 0]
        // Site-local (RFC 3879): as link-local, of this place.
        || segments[0] & 0xffc0 == 0xfec0
        // The metadata services of AWS, Google Cloud and Scaleway.
        || segments[..2] == [0xfd00, 0xec2]
        || address == Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)
        || address == Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42)
}

/// The IPv4 addresses to which a translator or a tunnel would send what is sent to an IPv6
/// address.
fn embedded(address: Ipv6Addr) -> [Option<Ipv4Addr>; 4] {
    let segments = address.segments();
    let bytes = address.octets();
    let v4 = |at: usize| match bytes.get(at..at + 4) {
        Some(&[a, b, c, d]) => Some(Ipv4Addr::new(a, b, c, d)),
        _ => None,
    };
    match segments {
        // NAT64 (RFC 6052).
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => [v4(12), None, None, None],
        // NAT64 with a prefix of this place (RFC 8215), whose length is not known.
        [0x64, 0xff9b, 1, ..] => translated(bytes),
        // 6to4 (RFC 3056).
        [0x2002, ..] => [v4(2), None, None, None],
        // Teredo (RFC 4380): the server, and the client with all bits inverted.
        [0x2001, 0, ..] => {
            let client = v4(12).map(|client| Ipv4Addr::from_bits(!client.to_bits()));
            [v4(4), client, None, None]
        }
        // ISATAP (RFC 5214).
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => [v4(12), None, None, None],
        _ => [None; 4],
    }
}

/// The addresses that can be embedded after a prefix of 48, 56, 64 or 96 bits. Byte 8 is not
/// used, and what follows the address is 0 (RFC 6052, 2.2).
fn translated(bytes: [u8; 16]) -> [Option<Ipv4Addr>; 4] {
    const PLACES: [[usize; 4]; 4] =
        [[6, 7, 9, 10], [7, 9, 10, 11], [9, 10, 11, 12], [12, 13, 14, 15]];
    let read = PLACES.map(|places| {
        let after = bytes.get(places[3] + 1..).unwrap_or_default();
        let [a, b, c, d] = places.map(|at| bytes[at]);
        // 0.0.0.0/8 is the sign of a wrong length.
        (a != 0 && after.iter().all(|byte| *byte == 0)).then_some(Ipv4Addr::new(a, b, c, d))
    });
    if read == [None; 4] { [Some(Ipv4Addr::UNSPECIFIED); 4] } else { read }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leads(host: &str, address: &str) -> bool {
        may_lead_to(host, address.parse().unwrap())
    }

    #[test]
    fn names_resolve_neither_to_loopback_nor_to_link_local_addresses() {
        for fine in ["10.0.0.1", "192.168.1.1", "8.8.8.8", "240.0.0.1", "fd12::1", "2001:db8::1"] {
            assert!(leads("echo2", fine), "{fine}");
        }
        for never in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "::ffff:127.0.0.1",
            "169.254.169.254",
            "169.254.170.2",
            "::ffff:169.254.169.254",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "224.0.0.1",
            "255.255.255.255",
            "ff02::1",
            "::7f00:1",
            "::10.0.0.1",
            "::ffff:0:10.0.0.1",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "fd00:42::42",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
        ] {
            assert!(!leads("echo2", never), "{never}");
        }
        assert!(leads("localhost", "127.0.0.1") && leads("a.localhost", "::1"));
        assert!(leads("localhost", "::ffff:127.0.0.1"));
        assert!(!leads("localhost.evil", "127.0.0.1") && !leads("localhost.", "127.0.0.1"));
        assert!(!leads("localhost", "169.254.169.254"));
    }

    /// The IPv6 addresses that lead to an IPv4 address.
    fn forms(v4: Ipv4Addr) -> Vec<Ipv6Addr> {
        let [a, b, c, d] = v4.octets();
        let [high, low] = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
        let (inverted_high, inverted_low) = (!high, !low);
        [
            format!("::ffff:{v4}"),
            format!("64:ff9b::{v4}"),
            format!("64:ff9b:1::{v4}"),
            format!("64:ff9b:1:2:3:4:{v4}"),
            // Prefixes of 48, 56 and 64 bits.
            format!("64:ff9b:1:{high:x}:{:x}:{:x}::", c, u16::from_be_bytes([d, 0])),
            format!("64:ff9b:1:{:x}:{:x}:{:x}::", u16::from_be_bytes([7, a]), b, low),
            format!(
                "64:ff9b:1:7:{:x}:{:x}:{:x}::",
                a,
                u16::from_be_bytes([b, c]),
                u16::from_be_bytes([d, 0])
            ),
            format!("2002:{high:x}:{low:x}::1"),
            format!("2002:{high:x}:{low:x}:1:2:3:4:5"),
            format!("2001:0:{high:x}:{low:x}:0:0:f5ff:fffe"),
            format!("2001:0:808:808:8000:63bf:{inverted_high:x}:{inverted_low:x}"),
            format!("2001:db8::5efe:{v4}"),
            format!("2001:db8::200:5efe:{v4}"),
        ]
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{text}")))
        .to_vec()
    }

    #[test]
    fn an_address_that_embeds_an_ipv4_address_is_checked_as_that_one() {
        for never in ["169.254.169.254", "127.0.0.1", "100.100.100.200", "224.0.0.1", "192.0.0.192"]
        {
            for form in forms(never.parse().unwrap()) {
                assert!(!may_lead_to("echo2", form.into()), "{never}: {form}");
            }
            // The loopback of the translator, which is not ours.
            for form in forms(never.parse().unwrap()).into_iter().skip(1) {
                assert!(!may_lead_to("localhost", form.into()), "{never}: {form}");
            }
        }
        for fine in ["8.8.4.4", "10.12.13.14", "203.0.113.9"] {
            for form in forms(fine.parse().unwrap()) {
                assert!(may_lead_to("echo2", form.into()), "{fine}: {form}");
            }
        }
        for nothing in ["64:ff9b::", "64:ff9b:1::", "2002::", "2002::1", "2001::"] {
            assert!(!leads("echo2", nothing), "{nothing}");
        }
    }

    proptest! {
        /// No form of an address that is refused gets through.
        #[test]
        fn every_form_of_a_link_local_address_is_refused(c in any::<u8>(), d in any::<u8>()) {
            for form in forms(Ipv4Addr::new(169, 254, c, d)) {
                prop_assert!(!may_lead_to("echo2", form.into()), "{form}");
            }
        }
    }
}
