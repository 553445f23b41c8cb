//! The header of the PROXY protocol: both ends of a connection, as its first bytes. Pure.
//! <https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>

use std::net::{IpAddr, SocketAddr};

use crate::cli::ProxyHeader;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2 and the command PROXY.
const PROXY: u8 = 0x21;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

/// The header of a connection between two addresses of one family.
#[must_use]
pub(super) fn bytes(version: ProxyHeader, from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    match version {
        ProxyHeader::V1 => {
            let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
            let (source, destination) = (from.ip(), to.ip());
            let (from, to) = (from.port(), to.port());
            format!("PROXY {family} {source} {destination} {from} {to}\r\n").into_bytes()
        }
        ProxyHeader::V2 => {
            let family = if from.is_ipv4() { TCP_OVER_IPV4 } else { TCP_OVER_IPV6 };
            let mut block = [octets(from.ip()), octets(to.ip())].concat();
            block.extend_from_slice(&from.port().to_be_bytes());
            block.extend_from_slice(&to.port().to_be_bytes());
            [SIGNATURE, &[PROXY, family, 0, block.len() as u8], &block].concat()
        }
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(version: ProxyHeader, from: &str, to: &str) -> Vec<u8> {
        bytes(version, from.parse().unwrap(), to.parse().unwrap())
    }

    #[test]
    fn the_bytes_are_those_of_the_standard() {
        let v1 = header(ProxyHeader::V1, "192.0.2.1:5000", "192.0.2.2:80");
        assert_eq!(v1, b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r\n");
        let v1 = header(ProxyHeader::V1, "[2001:db8::1]:5000", "[::1]:443");
        assert_eq!(v1, b"PROXY TCP6 2001:db8::1 ::1 5000 443\r\n");
        let v2 = header(ProxyHeader::V2, "192.0.2.1:5000", "192.0.2.2:80");
        let rest = b"\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\x13\x88\x00\x50";
        assert_eq!(v2, [SIGNATURE, &rest[..]].concat());
        let v2 = header(ProxyHeader::V2, "[::1]:1", "[::2]:2");
        assert_eq!((v2.len(), &v2[12..16]), (52, &b"\x21\x21\x00\x24"[..]));
    }
}
