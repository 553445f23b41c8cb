//! Why a name has no address.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;
use usage::duration::format;

use super::DNS_PORT;
use super::family::Family;

/// Why there is no [`Names`](super::Names). `Display` is one line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NamesError {
    #[error(
        "--dns-servers '{flag}': '{item}' is not an IP address; \
         write IP[:PORT][,IP[:PORT]…], such as '10.96.0.10,[2001:db8::1]:53'"
    )]
    Server { flag: String, item: String },
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
    /// No server gave an answer that counts.
    #[error("name '{name}': {}", Unanswered(asked.as_deref(), servers, *within))]
    Unanswered {
        name: String,
        /// The full name that the servers were asked for, if they answered for others.
        asked: Option<String>,
        /// What each server did, in the order in which they were asked.
        servers: Vec<(SocketAddr, ServerFault)>,
        /// How long the servers had.
        within: Duration,
    },
    /// One alias (CNAME) leads to the next, without end.
    #[error("name '{name}': its aliases (CNAME) do not lead to an address")]
    Aliases { name: String },
    /// This machine could not send a query.
    #[error("name '{name}': {reason}")]
    Local { name: String, reason: String },
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

/// What a DNS server did instead of answering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerFault {
    /// It answered with this error, such as `SERVFAIL`.
    Code(String),
    Silent,
    NotListening,
    /// There is no way to it: the words of the system.
    Unreachable(String),
    /// It closed the connection.
    Closed,
    /// Its answer is not valid DNS.
    Malformed,
    /// Its answer does not fit into UDP, and it gave none over TCP.
    OnlyTruncated,
    /// It neither knows the name nor looks it up.
    Lame,
}

impl fmt::Display for ServerFault {
    /// Follows the address of the server.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Code(code) => return write!(f, "answered {code}"),
            Self::Unreachable(why) => return write!(f, "is not reachable ({why})"),
            Self::Silent => "did not answer",
            Self::NotListening => "does not listen on its port",
            Self::Closed => "closed the connection",
            Self::Malformed => "sent an answer that is not valid DNS",
            Self::OnlyTruncated => "sent a truncated answer, and none over TCP",
            Self::Lame => "does not look up names of others",
        })
    }
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

/// What the servers did: said once if it is the same for all, else for each server.
struct Unanswered<'a>(Option<&'a str>, &'a [(SocketAddr, ServerFault)], Duration);

impl fmt::Display for Unanswered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(asked, servers, within) = *self;
        let within = format(within);
        let same = |fault: &ServerFault| servers.iter().all(|(_, other)| other == fault);
        match servers.first().map(|(_, fault)| fault) {
            Some(ServerFault::Code(code)) if same(&ServerFault::Code(code.clone())) => {
                write!(f, "{code} from {}", Servers(servers))?;
            }
            Some(ServerFault::Silent) if same(&ServerFault::Silent) => {
                write!(f, "no answer within {within} from {}", Servers(servers))?;
            }
            _ => {
                let each = servers.iter().map(|(server, fault)| match fault {
                    ServerFault::Silent => format!("{} {fault} within {within}", shown(server)),
                    _ => format!("{} {fault}", shown(server)),
                });
                write!(f, "DNS server {}", each.collect::<Vec<_>>().join(", "))?;
            }
        }
        asked.map_or(Ok(()), |asked| write!(f, " (asked for {asked})"))
    }
}

/// `DNS server 10.0.0.1`, or several.
struct Servers<'a>(&'a [(SocketAddr, ServerFault)]);

impl fmt::Display for Servers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list: Vec<_> = self.0.iter().map(|(server, _)| shown(server)).collect();
        write!(f, "DNS server{} {}", if list.len() == 1 { "" } else { "s" }, list.join(", "))
    }
}

/// The address of a server; the port only if it is not 53.
fn shown(server: &SocketAddr) -> String {
    match server.port() {
        DNS_PORT => server.ip().to_string(),
        _ => server.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_is_one_plain_line() {
        let name = || "a".to_owned();
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
                LookupError::NoServers { name: name(), reason: "it is empty".into() },
                "name 'a': no DNS server is configured (it is empty); add --dns-servers",
            ),
            (
                LookupError::Local { name: name(), reason: "no file descriptor left".into() },
                "name 'a': no file descriptor left",
            ),
            (
                LookupError::Aliases { name: name() },
                "name 'a': its aliases (CNAME) do not lead to an address",
            ),
        ] {
            assert_eq!(error.to_string(), line);
        }
    }

    #[test]
    fn what_servers_did_is_said_once_if_it_is_the_same() {
        use ServerFault::{Code, Lame, Malformed, NotListening, Silent, Unreachable};
        let code = |code: &str| Code(code.to_owned());
        let told = |asked: Option<&str>, faults: &[ServerFault]| {
            let addresses = ["10.0.0.1:53", "[::1]:54", "10.0.0.3:53"].map(|a| a.parse().unwrap());
            LookupError::Unanswered {
                name: "a".into(),
                asked: asked.map(str::to_owned),
                servers: addresses.into_iter().zip(faults.iter().cloned()).collect(),
                within: Duration::from_secs(5),
            }
            .to_string()
        };
        for (faults, line) in [
            (&[code("SERVFAIL")][..], "SERVFAIL from DNS server 10.0.0.1"),
            (&[code("REFUSED"), code("REFUSED")], "REFUSED from DNS servers 10.0.0.1, [::1]:54"),
            (&[Silent], "no answer within 5s from DNS server 10.0.0.1"),
            (&[Silent, Silent], "no answer within 5s from DNS servers 10.0.0.1, [::1]:54"),
            (
                &[code("SERVFAIL"), Silent, NotListening],
                "DNS server 10.0.0.1 answered SERVFAIL, [::1]:54 did not answer within 5s, \
                 10.0.0.3 does not listen on its port",
            ),
            (
                &[code("SERVFAIL"), code("REFUSED")],
                "DNS server 10.0.0.1 answered SERVFAIL, [::1]:54 answered REFUSED",
            ),
            (
                &[Unreachable("No route to host".into()), Malformed, Lame],
                "DNS server 10.0.0.1 is not reachable (No route to host), [::1]:54 sent an answer \
                 that is not valid DNS, 10.0.0.3 does not look up names of others",
            ),
            (&[NotListening], "DNS server 10.0.0.1 does not listen on its port"),
        ] {
            assert_eq!(told(None, faults), format!("name 'a': {line}"));
        }
        assert_eq!(
            told(Some("a.test"), &[code("SERVFAIL")]),
            "name 'a': SERVFAIL from DNS server 10.0.0.1 (asked for a.test)"
        );
    }
}
