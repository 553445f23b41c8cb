//! Why a name has no address, each in one line.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;

use super::family::Family;

/// What keeps a [`Names`](super::Names) from being made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NamesError {
    /// A value of `--dns-servers` that is not a list of addresses.
    #[error(
        "--dns-servers '{flag}': '{item}' is not an IP address; \
         write IP[:PORT][,IP[:PORT]…], such as '10.96.0.10,[2001:db8::1]:53'"
    )]
    Server {
        /// The flag's value.
        flag: String,
        /// The part that is wrong.
        item: String,
    },
    /// The resolver refuses its configuration.
    #[error("DNS cannot be used: {0}")]
    Resolver(String),
}

impl NamesError {
    pub(super) fn server(flag: &str, item: &str) -> Self {
        let printable = |text: &str| text.escape_debug().to_string();
        Self::Server { flag: printable(flag), item: printable(item) }
    }
}

/// Why a name has no address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LookupError {
    /// No such name, under any search domain either.
    #[error("name '{name}' not found (NXDOMAIN{})", Tried(name, tried))]
    NotFound {
        /// The name as asked for.
        name: String,
        /// The full names that DNS was asked for, in order.
        tried: Vec<String>,
    },
    /// The name exists, but not with an address of the family asked for.
    #[error("name '{name}' has no {family} address")]
    NoAddress {
        /// The name, or the literal, as asked for.
        name: String,
        /// The family asked for.
        family: Family,
    },
    /// No server answered in time.
    #[error("name '{name}': no answer within {after:?} from {}", Servers(servers))]
    Timeout {
        /// The name as asked for.
        name: String,
        /// The time that the lookup had.
        after: Duration,
        /// The servers asked.
        servers: Vec<SocketAddr>,
    },
    /// A server answered, and could not or would not say.
    #[error("name '{name}': {code} from {}", Servers(servers))]
    ServerFailure {
        /// The name as asked for.
        name: String,
        /// The response code by its usual name, such as `SERVFAIL`.
        code: String,
        /// The servers asked.
        servers: Vec<SocketAddr>,
    },
    /// No server could be asked, or an answer could not be understood.
    #[error("name '{name}': {reason}, asking {}", Servers(servers))]
    Broken {
        /// The name as asked for.
        name: String,
        /// What went wrong.
        reason: String,
        /// The servers asked.
        servers: Vec<SocketAddr>,
    },
    /// There is no server to ask.
    #[error("name '{name}': no DNS server is configured ({reason}); name one with --dns-servers")]
    NoServers {
        /// The name as asked for.
        name: String,
        /// What is the matter with resolv.conf.
        reason: String,
    },
    /// Not a name that DNS could hold.
    #[error("'{name}' is not a name that can be looked up: {reason}")]
    BadName {
        /// What was asked for, control characters escaped.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// `, tried a.x, a.y`, if that says more than the name itself.
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

/// `DNS server 10.0.0.1`, or several; the port only where it is not the usual one.
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
                "name 'a': no DNS server is configured (it is empty); name one with --dns-servers",
            ),
        ] {
            assert_eq!(error.to_string(), line);
        }
    }
}
