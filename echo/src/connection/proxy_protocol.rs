//! The PROXY protocol, versions 1 and 2: a load balancer states the client's address before the first
//! byte of the connection. <https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::activity::HEAD_TIMEOUT;
use super::supervision::FIRST_REQUEST;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The bytes of version 2 before the addresses: signature, version and command, family, length.
const FIXED: usize = SIGNATURE.len() + 4;
/// The longest header of version 1, in bytes.
const MAX_TEXT: usize = 107;
/// The longest header of version 2 that is accepted. The format allows 64 KiB, which a client could
/// make every connection cost.
const MAX_BINARY: usize = 4096;
/// The types of the fields after the addresses that are read.
const CRC32C: u8 = 0x03;

/// Why a connection has no valid PROXY header.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    #[error("the connection does not start with a PROXY header")]
    Missing,
    #[error("the PROXY header is malformed: {0}")]
    Malformed(&'static str),
    #[error("no whole PROXY header arrived within {HEAD_TIMEOUT:?}")]
    Slow,
    /// Nothing arrived: a check whether the port is open, or the drain.
    #[error("the connection was closed before a PROXY header")]
    Closed,
}

impl ProxyError {
    /// Whether somebody should look at it: the load balancer or its settings are wrong.
    pub(crate) fn is_notable(&self) -> bool {
        !matches!(self, Self::Closed)
    }
}

/// Reads the header from the start of a connection, and nothing after it. Returns the address of the
/// client; `None` if the header leaves it to the connection, as for health checks of the load balancer.
///
/// # Errors
/// If the header is missing, malformed, too long or too slow, or the server drains.
pub(crate) async fn client(
    stream: &mut TcpStream,
    mut drain: watch::Receiver<()>,
) -> Result<Option<SocketAddr>, ProxyError> {
    let drained = async {
        let _ = drain.changed().await;
        tokio::time::sleep(FIRST_REQUEST).await;
    };
    tokio::select! {
        read = tokio::time::timeout(HEAD_TIMEOUT, read(stream)) => {
            read.map_err(|_: tokio::time::error::Elapsed| ProxyError::Slow)?
        }
        () = drained => Err(ProxyError::Closed),
    }
}

async fn read(stream: &mut TcpStream) -> Result<Option<SocketAddr>, ProxyError> {
    let closed = |_: io::Error| ProxyError::Closed;
    // No header is shorter than the signature.
    let mut header = vec![0; SIGNATURE.len()];
    stream.read_exact(&mut header).await.map_err(closed)?;
    if header == SIGNATURE {
        header.resize(FIXED, 0);
        stream.read_exact(&mut header[SIGNATURE.len()..]).await.map_err(closed)?;
        header.resize(length(&header)?, 0);
        stream.read_exact(&mut header[FIXED..]).await.map_err(closed)?;
        return binary(&header);
    }
    if !header.starts_with(b"PROXY ") {
        return Err(ProxyError::Missing);
    }
    while header.last() != Some(&b'\n') {
        let mut ahead = [0; MAX_TEXT];
        let room = MAX_TEXT - header.len();
        let arrived = stream.peek(&mut ahead[..room]).await.map_err(closed)?;
        if room == 0 {
            return Err(ProxyError::Malformed("it has no line end"));
        }
        if arrived == 0 {
            return Err(ProxyError::Closed);
        }
        let ahead = &mut ahead[..arrived];
        let length = ahead.iter().position(|byte| *byte == b'\n').map_or(arrived, |end| end + 1);
        stream.read_exact(&mut ahead[..length]).await.map_err(closed)?;
        header.extend_from_slice(&ahead[..length]);
    }
    text(&header)
}

/// Reads a header of version 1, such as `PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r\n`.
fn text(header: &[u8]) -> Result<Option<SocketAddr>, ProxyError> {
    let wrong = ProxyError::Malformed;
    let line = header.strip_suffix(b"\r\n").ok_or(wrong("it does not end with CR LF"))?;
    let line = std::str::from_utf8(line).map_err(|_| wrong("it is not ASCII"))?;
    let line = line.strip_prefix("PROXY ").ok_or(ProxyError::Missing)?;
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return Ok(None);
    }
    let parts: Vec<_> = line.split(' ').collect();
    let [family, source, destination, source_port, destination_port] = parts[..] else {
        return Err(wrong("it does not have two addresses and two ports"));
    };
    let address = |text: &str| -> Option<IpAddr> {
        match family {
            "TCP4" => Some(text.parse::<Ipv4Addr>().ok()?.into()),
            "TCP6" => Some(text.parse::<Ipv6Addr>().ok()?.into()),
            _ => None,
        }
    };
    if !["TCP4", "TCP6"].contains(&family) {
        return Err(wrong("it names neither TCP4, TCP6 nor UNKNOWN"));
    }
    let (Some(source), Some(_)) = (address(source), address(destination)) else {
        return Err(wrong("an address is not one of its family"));
    };
    match (port(source_port), port(destination_port)) {
        (Some(port), Some(_)) => Ok(Some(SocketAddr::new(source, port))),
        _ => Err(wrong("a port is not a number from 0 to 65535")),
    }
}

/// A port in digits, without leading zeros.
fn port(text: &str) -> Option<u16> {
    let port = text.parse::<u16>().ok()?;
    (port.to_string() == text).then_some(port)
}

/// The length of a whole header of version 2, by its fixed part.
fn length(fixed: &[u8]) -> Result<usize, ProxyError> {
    match usize::from(u16_at(fixed, SIGNATURE.len() + 2)) + FIXED {
        length if length > MAX_BINARY => Err(ProxyError::Malformed("it is too long")),
        length => Ok(length),
    }
}

/// Reads a whole header of version 2.
fn binary(header: &[u8]) -> Result<Option<SocketAddr>, ProxyError> {
    let wrong = ProxyError::Malformed;
    let (version_and_command, family) = (header[12], header[13]);
    let local = match version_and_command {
        0x20 => true,
        0x21 => false,
        0x22..=0x2f => return Err(wrong("its command is neither LOCAL nor PROXY")),
        _ => return Err(wrong("its version is not 2")),
    };
    if local {
        return Ok(None);
    }
    let rest = &header[FIXED..];
    // UNSPEC, and the families of IPv4, IPv6 and Unix sockets, each with STREAM or DGRAM.
    let addresses = match family {
        0x00 => return Ok(None),
        0x11 | 0x12 => 12,
        0x21 | 0x22 => 36,
        0x31 | 0x32 => 216,
        _ => return Err(wrong("its address family is unknown")),
    };
    let (addresses, fields) =
        rest.split_at_checked(addresses).ok_or(wrong("it is too short for its addresses"))?;
    check(header, fields)?;
    Ok(match family {
        0x11 => {
            let source: [u8; 4] = std::array::from_fn(|n| addresses[n]);
            Some(SocketAddr::new(source.into(), u16_at(addresses, 8)))
        }
        0x21 => {
            let source: [u8; 16] = std::array::from_fn(|n| addresses[n]);
            Some(SocketAddr::new(source.into(), u16_at(addresses, 32)))
        }
        // A Unix socket has no address that could be shown, and a datagram is not this connection.
        _ => None,
    })
}

/// Walks through the fields after the addresses, and verifies the checksum if there is one.
fn check(header: &[u8], fields: &[u8]) -> Result<(), ProxyError> {
    let mut rest = fields;
    while !rest.is_empty() {
        let wrong = ProxyError::Malformed("a field after its addresses is cut off");
        if rest.len() < 3 {
            return Err(wrong);
        }
        let (kind, length) = (rest[0], usize::from(u16_at(rest, 1)));
        let (value, after) = rest[3..].split_at_checked(length).ok_or(wrong)?;
        if kind == CRC32C {
            let start = header.len() - after.len() - value.len();
            let given: [u8; 4] = value
                .try_into()
                .map_err(|_| ProxyError::Malformed("its checksum does not have 4 bytes"))?;
            let mut zeroed = header.to_vec();
            zeroed[start..start + 4].fill(0);
            if crc32c(&zeroed) != u32::from_be_bytes(given) {
                return Err(ProxyError::Malformed("its checksum is wrong"));
            }
        }
        rest = after;
    }
    Ok(())
}

/// The checksum of RFC 3720, appendix B.4. Headers are short, so that it needs no table.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 }
        })
    })
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A header of version 2.
    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[0x20 | command, family], &length, rest].concat()
    }

    fn field(kind: u8, value: &[u8]) -> Vec<u8> {
        [&[kind][..], &u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
    }

    /// The header, with a field for its checksum.
    fn summed(family: u8, addresses: &[u8]) -> Vec<u8> {
        let mut header = v2(1, family, &[addresses, &field(CRC32C, &[0; 4])].concat());
        let sum = crc32c(&header).to_be_bytes();
        let end = header.len() - 4;
        header[end..].copy_from_slice(&sum);
        header
    }

    const V4: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 2, 0x13, 0x88, 0, 80];

    #[track_caller]
    fn malformed(result: Result<Option<SocketAddr>, ProxyError>, part: &str) {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }

    #[test]
    fn version_1_is_read_by_the_letter() {
        let read = |line: &str| text(line.as_bytes());
        let is = |line: &str, address: &str| {
            assert_eq!(read(line).unwrap(), Some(address.parse().unwrap()), "{line}");
        };
        is("PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r\n", "192.0.2.1:5000");
        is("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535");
        is("PROXY TCP6 2001:db8::1 ::1 0 443\r\n", "[2001:db8::1]:0");
        for line in ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff:: ::1 65535 65535\r\n"] {
            assert_eq!(read(line).unwrap(), None, "{line}");
        }
        for (line, part) in [
            ("PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\n", "CR LF"),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 5000\r\n", "two addresses and two ports"),
            ("PROXY TCP4 192.0.2.1  192.0.2.2 5000 80\r\n", "two addresses and two ports"),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 5000 80 \r\n", "two addresses and two ports"),
            ("PROXY TCP4 ::1 ::1 5000 80\r\n", "of its family"),
            ("PROXY TCP6 192.0.2.1 192.0.2.2 5000 80\r\n", "of its family"),
            ("PROXY TCP4 192.0.2.01 192.0.2.2 5000 80\r\n", "of its family"),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 05000 80\r\n", "a port"),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 +5 80\r\n", "a port"),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 5 65536\r\n", "a port"),
            ("PROXY UDP4 192.0.2.1 192.0.2.2 5 6\r\n", "neither TCP4"),
            ("PROXY UNKNOWNS\r\n", "two addresses"),
            ("PROXY tcp4 192.0.2.1 192.0.2.2 5 6\r\n", "neither TCP4"),
        ] {
            malformed(read(line), part);
        }
        malformed(text(b"PROXY TCP4 \xff\r\n"), "ASCII");
    }

    #[test]
    fn version_2_states_an_address_or_leaves_it_to_the_connection() {
        let v6: Vec<_> = [&Ipv6Addr::LOCALHOST.octets()[..], &[9; 16], &[0, 7, 0, 8]].concat();
        let noop = field(0x04, &[0; 3]);
        for (header, address) in [
            (v2(1, 0x11, &V4), Some("192.0.2.1:5000")),
            (v2(1, 0x11, &[&V4[..], &noop].concat()), Some("192.0.2.1:5000")),
            (v2(1, 0x21, &v6), Some("[::1]:7")),
            (summed(0x11, &V4), Some("192.0.2.1:5000")),
            (v2(1, 0x12, &V4), None),
            (v2(1, 0x31, &[b'/'; 216]), None),
            (v2(1, 0x00, b"anything"), None),
            (v2(0, 0x00, b""), None),
            (v2(0, 0x11, &V4), None),
            (v2(0, 0xff, b"x"), None),
        ] {
            let address = address.map(|address| address.parse().unwrap());
            assert_eq!(binary(&header).unwrap(), address, "{header:x?}");
        }
        let mut flipped = summed(0x11, &V4);
        flipped[FIXED] ^= 1;
        let mut old = v2(1, 0x11, &V4);
        old[12] = 0x11;
        for (header, part) in [
            (v2(2, 0x11, &V4), "neither LOCAL nor PROXY"),
            (old, "version is not 2"),
            (v2(1, 0x11, &V4[..11]), "too short"),
            (v2(1, 0x41, &V4), "family is unknown"),
            (v2(1, 0x13, &V4), "family is unknown"),
            (v2(1, 0x11, &[&V4[..], &[4, 0]].concat()), "cut off"),
            (v2(1, 0x11, &[&V4[..], &[4, 0, 1]].concat()), "cut off"),
            (v2(1, 0x11, &[&V4[..], &field(CRC32C, b"abc")].concat()), "4 bytes"),
            (flipped, "checksum is wrong"),
        ] {
            malformed(binary(&header), part);
        }
        malformed(length(&v2(1, 0, &[0; MAX_BINARY])).map(|_| None), "too long");
    }

    #[test]
    fn the_checksum_is_the_one_of_the_standard() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa, "RFC 3720, B.4");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            words in "(PROXY )?(TCP4|TCP6|UNKNOWN)?[ 0-9.:a-f]{0,60}(\r\n)?",
            command in any::<u8>(),
            family in any::<u8>(),
        ) {
            let _ = binary(&v2(command & 1, family, &bytes));
            let _ = binary(&v2(1, [0x11, 0x21, 0x31][usize::from(family % 3)], &bytes));
            let _ = (text(&bytes), text(words.as_bytes()));
        }

        #[test]
        fn what_is_stated_is_read(source in any::<SocketAddr>(), to in any::<SocketAddr>()) {
            prop_assume!(source.is_ipv4() == to.is_ipv4());
            let source = SocketAddr::new(source.ip(), source.port());
            let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
            let line = format!(
                "PROXY {family} {} {} {} {}\r\n", source.ip(), to.ip(), source.port(), to.port()
            );
            prop_assert!(line.len() <= MAX_TEXT);
            prop_assert_eq!(text(line.as_bytes()).unwrap(), Some(source));
            let octets = |address: SocketAddr| match address.ip() {
                IpAddr::V4(ip) => ip.octets().to_vec(),
                IpAddr::V6(ip) => ip.octets().to_vec(),
            };
            let ports = [source.port().to_be_bytes(), to.port().to_be_bytes()].concat();
            let addresses = [octets(source), octets(to), ports].concat();
            let family = if source.is_ipv4() { 0x11 } else { 0x21 };
            prop_assert_eq!(binary(&v2(1, family, &addresses)).unwrap(), Some(source));
            prop_assert_eq!(binary(&summed(family, &addresses)).unwrap(), Some(source));
        }

        #[test]
        fn a_flipped_bit_is_noticed_if_there_is_a_checksum(bit in 0usize..12 * 8) {
            let mut header = summed(0x11, &V4);
            header[FIXED + bit / 8] ^= 1 << (bit % 8);
            prop_assert!(binary(&header).is_err());
        }
    }
}
