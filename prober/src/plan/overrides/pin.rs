//! One `--resolve` value: `[+]HOST:PORT:ADDRESS[,ADDRESS]…` or `-HOST:PORT`.

use std::net::IpAddr;

use super::error::{ResolveFault, printable};
use super::{is_host_like, port};

/// The addresses of a host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pin {
    host: String,
    port: u16,
    addresses: Vec<IpAddr>,
}

/// How one `--resolve` value changes the pins before it.
#[derive(Debug)]
pub(super) enum Edit {
    /// Adds a pin, or replaces the one for the same host and port.
    Add(Pin),
    /// Removes the pin for this host and port, if there is one.
    Remove(String, u16),
}

impl Pin {
    pub(super) fn is_for(&self, host: &str, port: u16) -> bool {
        self.port == port && self.host.eq_ignore_ascii_case(host)
    }

    pub(super) fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }
}

impl Edit {
    pub(super) fn parse(spec: &str) -> Result<Self, ResolveFault> {
        let removal = spec.strip_prefix('-');
        // In curl, the entry of a `+` expires after a minute; here it does not expire.
        let pinned = spec.strip_prefix('+').unwrap_or(spec);
        // Checked here, because the first colon of the address would end the host.
        if removal.unwrap_or(pinned).starts_with('[') {
            return Err(ResolveFault::Ipv6Host);
        }
        if let Some(removal) = removal {
            let (host, port) = removal.split_once(':').ok_or(ResolveFault::NoPort)?;
            if let Some((_, rest)) = port.split_once(':') {
                return Err(ResolveFault::RemovalWithMore(printable(rest)));
            }
            let (host, port) = key(host, port)?;
            return Ok(Self::Remove(host, port));
        }
        let (host, rest) = pinned.split_once(':').ok_or(ResolveFault::NoPort)?;
        let Some((port, addresses)) = rest.split_once(':') else {
            key(host, rest)?;
            return Err(ResolveFault::NoAddress);
        };
        let (host, port) = key(host, port)?;
        let addresses = addresses
            .split(',')
            .filter(|item| !item.is_empty())
            .map(address)
            .collect::<Result<Vec<_>, _>>()?;
        if addresses.is_empty() {
            return Err(ResolveFault::NoAddress);
        }
        Ok(Self::Add(Pin { host, port, addresses }))
    }

    pub(super) fn key(&self) -> (&str, u16) {
        match self {
            Self::Add(pin) => (&pin.host, pin.port),
            Self::Remove(host, port) => (host, *port),
        }
    }
}

fn key(host: &str, port_text: &str) -> Result<(String, u16), ResolveFault> {
    if host.is_empty() {
        // `::1:80:…` has an IPv6 host, `:80:…` has none.
        return Err(if port_text.is_empty() {
            ResolveFault::Ipv6Host
        } else {
            ResolveFault::NoHost
        });
    }
    if port_text.starts_with("//") {
        return Err(ResolveFault::Url(printable(host)));
    }
    if !is_host_like(host) {
        return Err(ResolveFault::BadHost(printable(host)));
    }
    if host.contains('*') && host != "*" {
        return Err(ResolveFault::PartialWildcard(printable(host)));
    }
    if port_text.is_empty() {
        return Err(ResolveFault::NoPort);
    }
    let port = port(port_text).ok_or_else(|| ResolveFault::BadPort(printable(port_text)))?;
    Ok((host.to_ascii_lowercase(), port))
}

fn address(item: &str) -> Result<IpAddr, ResolveFault> {
    let inner = match (item.strip_prefix('['), item.strip_suffix(']')) {
        (Some(inner), Some(_)) => inner.strip_suffix(']').unwrap_or(inner),
        (None, None) => item,
        _ => return Err(ResolveFault::UnclosedBracket(printable(item))),
    };
    inner.parse().map_err(|_| ResolveFault::NotAnAddress(printable(item)))
}
