//! Why a name has no address.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;
use usage::duration::format;

use super::family::Family;

/// Why there is no [`Names`](super::Names). `Display` is one line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NamesError {
    #[error(
        "--dns-servers '{flag}': '{item}' is not an IP address; \
         write IP[:PORT][,IP[:PORT]…], such as '10.96.0.10,[2001:db8::1]:53'"
    )]
    Server { flag: String, item: String },
    #[error("cannot use DNS: {0}")]
    Resolver(String),
}

impl NamesError {
    pub(super) fn server(flag: &str, item: &str) -> Self {
        let printable = |text: &str| text.escape_debug().to_string();
        Self::Server { flag: printable(flag), item: printable(item) }
    }
}

/// Why a name has no address. In all variants, `name` is the name that was looked up. `Display` is one
/// line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LookupError {
    /// The name does not exist, under no search domain either.
    #[error("name '{name}' not found (NXDOMAIN{})", Tried(name, tried))]
    NotFound {
        name: String,
        /// The full names that were looked up, in order.
        tried: Vec<String>,
    },
    /// The name, or the literal, has only addresses of another family, or none.
    #[error("name '{name}' has no {family} address")]
    NoAddress { name: String, family: Family },
    /// No server answered in time.
    #[error("name '{name}': no answer within {} from {}", format(*after), Servers(servers))]
    Timeout { name: String, after: Duration, servers: Vec<SocketAddr> },
    /// A server answered with an error.
    #[error("name '{name}': {code} from {}", Servers(servers))]
    ServerFailure {
        name: String,
        /// Such as `SERVFAIL`.
        code: String,
        servers: Vec<SocketAddr>,
    },
    /// No server could be reached, or an answer was malformed.
    #[error("name '{name}': {reason} ({})", Servers(servers))]
    Broken { name: String, reason: String, servers: Vec<SocketAddr> },
    #[error("name '{name}': no DNS server is configured ({reason}); add --dns-servers")]
    NoServers {
        name: String,
        /// What is wrong with resolv.conf.
        reason: String,
    },
    /// DNS cannot hold such a name.
    #[error("'{name}' is not a name that can be looked up: {reason}")]
    BadName {
        /// With control characters escaped.
        name: String,
        reason: String,
    },
}

/// Why a text has no host, in words.
#[must_use]
pub(crate) fn not_a_host(error: url::ParseError) -> &'static str {
    use url::ParseError as E;
    match error {
        E::EmptyHost | E::RelativeUrlWithoutBase => "it has no host",
        E::InvalidIpv4Address => "its numbers are not an IPv4 address",
        E::InvalidIpv6Address => "the brackets do not contain an IPv6 address",
        E::InvalidDomainCharacter | E::IdnaError => {
            "its host has characters that a host name cannot have"
        }
        E::Overflow => "it is too long",
        _ => "its host is not a name or an address",
    }
}

/// `; tried a.x, a.y`, unless only the name itself was tried.
struct Tried<'a>(&'a str, &'a [String]);

impl fmt::Display for Tried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(name, tried) = self;
        let plain = |name: &str| name.trim_end_matches('.').to_ascii_lowercase();
        if tried.iter().all(|tried| plain(tried) == plain(name)) {
            return Ok(());
        }
        write!(f, "; tried {}", tried.join(", "))
    }
}

/// `DNS server 10.0.0.1`, or several; the port only if it is not 53.
struct Servers<'a>(&'a [SocketAddr]);

impl fmt::Display for Servers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |server: &SocketAddr| match server.port() {
            53 => server.ip().to_string(),
            _ => server.to_string(),
        };
        let list: Vec<_> = self.0.iter().map(shown).collect();
        write!(f, "DNS server{} {}", if list.len() == 1 { "" } else { "s" }, list.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_is_one_plain_line() {
        let name = || "a".to_owned();
        let servers = || vec!["10.0.0.1:53".parse().unwrap(), "[::1]:54".parse().unwrap()];
        let not_found = |name: &str, tried: &[&str]| LookupError::NotFound {
            name: name.into(),
            tried: tried.iter().map(|&tried| tried.into()).collect(),
        };
        for (error, line) in [
            (not_found("nope.test", &["nope.test"]), "name 'nope.test' not found (NXDOMAIN)"),
            (not_found("A.", &["a"]), "name 'A.' not found (NXDOMAIN)"),
            (not_found("a", &["a.x", "a"]), "name 'a' not found (NXDOMAIN; tried a.x, a)"),
            (
                LookupError::NoAddress { name: name(), family: Family::V6 },
                "name 'a' has no IPv6 address",
            ),
            (
                LookupError::Timeout {
                    name: name(),
                    after: Duration::from_secs(5),
                    servers: servers(),
                },
                "name 'a': no answer within 5s from DNS servers 10.0.0.1, [::1]:54",
            ),
            (
                LookupError::ServerFailure {
                    name: name(),
                    code: "SERVFAIL".into(),
                    servers: servers()[..1].to_vec(),
                },
                "name 'a': SERVFAIL from DNS server 10.0.0.1",
            ),
            (
                LookupError::NoServers { name: name(), reason: "it is empty".into() },
                "name 'a': no DNS server is configured (it is empty); add --dns-servers",
            ),
        ] {
            assert_eq!(error.to_string(), line);
        }
    }
}
