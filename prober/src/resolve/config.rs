//! The settings of lookups: servers, family, timeout, and the system's files.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::DNS_PORT;
use super::error::NamesError;
use super::family::Family;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamesConfig {
    /// In the order in which they are asked. If empty, those of resolv.conf.
    pub servers: Vec<SocketAddr>,
    pub family: Family,
    /// The time limit of one lookup.
    pub timeout: Duration,
    /// Whether every lookup sends a query, whatever the TTL of the answer before.
    pub anew: bool,
    pub hosts_file: PathBuf,
    /// Where servers, search domains, ndots and other options come from.
    pub resolv_conf: PathBuf,
}

impl Default for NamesConfig {
    /// The system's files, both families, 5 s.
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            family: Family::Any,
            timeout: Duration::from_secs(5),
            anew: false,
            hosts_file: "/etc/hosts".into(),
            resolv_conf: "/etc/resolv.conf".into(),
        }
    }
}

impl NamesConfig {
    /// Reads the values of all `--dns-servers` flags: `IP[:PORT][,IP[:PORT]]…`, IPv6
    /// in brackets if there is a port. As in curl, the last flag replaces the others.
    ///
    /// # Errors
    /// If an item of any of the flags is not an address.
    pub fn parse_servers(flags: &[String]) -> Result<Vec<SocketAddr>, NamesError> {
        let mut last = Vec::new();
        for flag in flags {
            last = flag
                .split(',')
                .map(|item| server(item).ok_or_else(|| NamesError::server(flag, item)))
                .collect::<Result<_, _>>()?;
        }
        Ok(last)
    }
}

fn server(item: &str) -> Option<SocketAddr> {
    let item = item.trim();
    let bare = item.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(item);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Some(SocketAddr::new(address, DNS_PORT));
    }
    item.parse().ok().filter(|server: &SocketAddr| server.port() != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(flags: &[&str]) -> Result<Vec<SocketAddr>, NamesError> {
        let flags: Vec<_> = flags.iter().map(|&flag| flag.to_owned()).collect();
        NamesConfig::parse_servers(&flags)
    }

    #[test]
    fn servers_are_addresses_with_or_without_a_port() {
        let servers = parse(&["9.9.9.9", "10.0.0.1,10.0.0.2:5353, ::1,[::2],[::3]:54"]).unwrap();
        let text: Vec<_> = servers.iter().map(ToString::to_string).collect();
        assert_eq!(text, ["10.0.0.1:53", "10.0.0.2:5353", "[::1]:53", "[::2]:53", "[::3]:54"]);
        assert_eq!(parse(&[]), Ok(vec![]));
    }

    #[test]
    fn wrong_servers_are_refused_in_one_line() {
        for (flag, item) in [
            ("", ""),
            ("10.0.0.1,", ""),
            ("dns.google", "dns.google"),
            ("10.0.0.1:0", "10.0.0.1:0"),
            ("10.0.0.1:65536", "10.0.0.1:65536"),
            ("10.0.0.1,[::1", "[::1"),
        ] {
            assert_eq!(
                parse(&[flag]).unwrap_err().to_string(),
                format!(
                    "--dns-servers '{flag}': '{item}' is not an IP address; \
                     write IP[:PORT][,IP[:PORT]…], such as '10.96.0.10,[2001:db8::1]:53'"
                )
            );
        }
    }
}
