//! Names → addresses: the hosts file, then DNS, with the servers, search domains and options of
//! resolv.conf as glibc uses them. Names that `--resolve` pins never get here; `engine` connects to
//! the addresses.

mod answer;
mod attempts;
mod cache;
mod config;
mod dns;
mod error;
mod exchange;
mod family;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod hosts;
mod order;
mod resolv_conf;
mod system;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

pub use config::NamesConfig;
use dns::{Dns, Missing};
pub use error::{LookupError, ServerFault};
pub(crate) use error::{NamesError, not_a_host};
pub use family::Family;
use hosts::Hosts;

/// The port of a server that is given without one.
const DNS_PORT: u16 = 53;

/// Looks names up. The hosts file and resolv.conf are read once, in [`Names::new`].
///
/// An answer from DNS is cached for its TTL. With a TTL of 0 every lookup sends a query, but
/// concurrent lookups of the same name share one answer. With [`NamesConfig::anew`] nothing is cached
/// or shared: each lookup sends its own queries.
///
/// Servers are asked as by glibc: in order; the next one if a server answers with an error, with
/// something that is not DNS, or not in time; then all of them again. Unlike glibc, a server that is
/// late still counts while others are asked, and the waits are shortened if a lookup's time limit
/// would leave no time for the last server.
///
/// The sockets of a lookup belong to the runtime that started it, so that each runtime needs its own
/// `Names`.
pub struct Names {
    family: Family,
    timeout: Duration,
    hosts: Hosts,
    /// Only lookups that need DNS fail with this error.
    dns: Result<Dns, String>,
}

impl Names {
    /// Reads the system's files. With a resolv.conf that is missing or without a server, only lookups
    /// that need DNS fail. A missing hosts file counts as empty.
    #[must_use]
    pub fn new(config: &NamesConfig) -> Self {
        let dns = system::read_resolv_conf(&config.resolv_conf, !config.servers.is_empty())
            .map(|system| Dns::new(config, system, system::local_domain()));
        let hosts = system::read_hosts(&config.hosts_file);
        Self { family: config.family, timeout: config.timeout, hosts, dns }
    }

    /// The addresses of `host` in the configured family, at least one, each once. They are in the order
    /// in which to try them, as with `getaddrinfo`: IPv6 first, unless this machine has no route to it;
    /// within a family in the order of DNS or the hosts file.
    ///
    /// `host` is a name or an IP literal, IPv6 with or without brackets; a literal is its own address.
    /// `localhost` and names under it are the loopback addresses without a query (RFC 6761). A trailing
    /// dot turns search domains off.
    ///
    /// # Errors
    /// See [`LookupError`]. No lookup takes longer than the configured timeout.
    pub async fn lookup(&self, host: &str) -> Result<Arc<[IpAddr]>, LookupError> {
        let found = match Target::read(host)? {
            Target::Address(address) => vec![address],
            Target::Localhost => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            Target::Name(name) => {
                let found = self.family.of(self.hosts.addresses(&name));
                let found = if found.is_empty() { self.ask_dns(host, &name).await? } else { found };
                order::by_preference(found, has_route)
            }
        };
        let found = self.family.of(found);
        if found.is_empty() {
            return Err(LookupError::NoAddress { name: host.to_owned(), family: self.family });
        }
        Ok(found.into())
    }

    async fn ask_dns(&self, host: &str, name: &str) -> Result<Vec<IpAddr>, LookupError> {
        let asked = || host.to_owned();
        let dns = self
            .dns
            .as_ref()
            .map_err(|reason| LookupError::NoServers { name: asked(), reason: reason.clone() })?;
        dns.search(name).await.map_err(|missing| match missing {
            Missing::BadName(reason) => LookupError::BadName { name: asked(), reason },
            Missing::NotFound { tried } => LookupError::NotFound { name: asked(), tried },
            Missing::NoAddress => LookupError::NoAddress { name: asked(), family: self.family },
            Missing::Aliases => LookupError::Aliases { name: asked() },
            Missing::Local(reason) => LookupError::Local { name: asked(), reason },
            Missing::Unanswered { asked: full, servers, within } => {
                LookupError::Unanswered { name: asked(), asked: full, servers, within }
            }
        })
    }
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { family, timeout, dns, .. } = self;
        let servers = dns.as_ref().map(Dns::servers);
        f.debug_struct("Names")
            .field("family", family)
            .field("timeout", timeout)
            .field("servers", &servers)
            .finish_non_exhaustive()
    }
}

/// What a host in a URL or in `--connect-to` is.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    Address(IpAddr),
    Localhost,
    /// In lower case and ASCII; an international name is in punycode.
    Name(String),
}

impl Target {
    fn read(host: &str) -> Result<Self, LookupError> {
        if let Ok(address) = host.parse() {
            return Ok(Self::Address(address));
        }
        match url::Host::parse(host) {
            Ok(url::Host::Ipv4(address)) => Ok(Self::Address(address.into())),
            Ok(url::Host::Ipv6(address)) => Ok(Self::Address(address.into())),
            Ok(url::Host::Domain(name)) => {
                let plain = name.strip_suffix('.').unwrap_or(&name);
                let local = plain == "localhost" || plain.ends_with(".localhost");
                Ok(if local { Self::Localhost } else { Self::Name(name) })
            }
            Err(reason) => Err(LookupError::BadName {
                name: host.escape_debug().to_string(),
                reason: not_a_host(reason).to_owned(),
            }),
        }
    }
}

/// Whether the kernel has a route to `address`. Nothing is sent.
fn has_route(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    UdpSocket::bind((any, 0)).and_then(|socket| socket.connect((address, 53))).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_localhost_are_told_from_names() {
        let address = |text: &str| Target::Address(text.parse().unwrap());
        for (host, expected) in [
            ("127.0.0.1", address("127.0.0.1")),
            ("127.1", address("127.0.0.1")),
            ("::1", address("::1")),
            ("[::1]", address("::1")),
            ("LocalHost", Target::Localhost),
            ("localhost.", Target::Localhost),
            ("a.localhost", Target::Localhost),
            ("notlocalhost", Target::Name("notlocalhost".into())),
            ("Echo1", Target::Name("echo1".into())),
            ("echo.", Target::Name("echo.".into())),
            ("a_b.test", Target::Name("a_b.test".into())),
            ("bücher.test", Target::Name("xn--bcher-kva.test".into())),
        ] {
            assert_eq!(Target::read(host), Ok(expected), "{host}");
        }
        for host in ["", "a b", "[::1", "a/b", "a\nb"] {
            let error = Target::read(host).unwrap_err();
            assert!(matches!(error, LookupError::BadName { .. }), "{host}: {error}");
            assert_eq!(error.to_string().lines().count(), 1, "{error}");
        }
    }
}
