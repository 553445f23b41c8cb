//! `--resolve` and `--connect-to`, parsed and matched as in curl: which host, port and addresses to
//! connect to. `resolve` looks up all other names, and `engine` connects. Pure.

mod connect_to;
mod error;
mod pin;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::net::IpAddr;

use connect_to::ConnectTo;
pub(crate) use error::OverrideError;
use pin::{Edit, Pin};

/// The rules from `--resolve` and `--connect-to`.
///
/// They decide only where a connection goes; the `Host` header, SNI and certificate checks use the host
/// and port of the URL. Call [`connect_to`] first, then [`addresses`] with its result; if that returns
/// `None`, the name is looked up as usual.
///
/// Hosts are given in any case, with or without the brackets of an IPv6 literal. As in curl, `echo` and
/// `echo.` are different hosts.
///
/// [`connect_to`]: Self::connect_to
/// [`addresses`]: Self::addresses
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    pins: Vec<Pin>,
    connections: Vec<ConnectTo>,
}

impl Overrides {
    /// Reads the values of all `--resolve` and `--connect-to` flags, in the order given.
    ///
    /// # Errors
    /// If a value does not have the form of its flag. curl accepts a few of these values although they
    /// have no effect: see [`ResolveFault`] and [`ConnectToFault`].
    pub fn parse(resolve: &[String], connect_to: &[String]) -> Result<Self, OverrideError> {
        let mut pins: Vec<Pin> = Vec::new();
        for spec in resolve {
            let edit = Edit::parse(spec).map_err(|fault| OverrideError::resolve(spec, fault))?;
            let (host, port) = edit.key();
            pins.retain(|pin| !pin.is_for(host, port));
            if let Edit::Add(pin) = edit {
                pins.push(pin);
            }
        }
        let connections = connect_to
            .iter()
            .map(|spec| {
                ConnectTo::parse(spec).map_err(|fault| OverrideError::connect_to(spec, fault))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { pins, connections })
    }

    /// Where to connect to instead of `host` and `port`, by the first `--connect-to` that matches and
    /// changes anything. An IPv6 literal of a rule is returned without brackets.
    #[must_use]
    pub fn connect_to<'a>(&'a self, host: &'a str, port: u16) -> (Cow<'a, str>, u16) {
        let rule = self.connections.iter().find(|rule| rule.changes(host, port));
        let Some(rule) = rule else { return (Cow::Borrowed(host), port) };
        (Cow::Borrowed(rule.to_host().unwrap_or(host)), rule.to_port().unwrap_or(port))
    }

    /// The zone of the IPv6 literal that `--connect-to` has instead of `host` and `port`.
    #[must_use]
    pub fn zone(&self, host: &str, port: u16) -> Option<&str> {
        self.connections.iter().find(|rule| rule.changes(host, port))?.to_zone()
    }

    /// The addresses that `--resolve` has for `host` and `port`, in the order given, at least one; `None`
    /// without a rule. A rule for the host precedes one for `*`. The host may be an IP literal.
    ///
    /// With `-4` or `-6`, addresses of the other family are not used; if none is left, curl ignores the
    /// rule and looks the name up.
    #[must_use]
    pub fn addresses(&self, host: &str, port: u16) -> Option<&[IpAddr]> {
        let host = without_brackets(host);
        let pin = |host: &str| self.pins.iter().find(|pin| pin.is_for(host, port));
        pin(host).or_else(|| pin("*")).map(Pin::addresses)
    }
}

/// `[::1]` as `::1`; anything else as it is.
fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host)
}

/// A port from 1 to 65535, in digits only.
fn port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|port| *port != 0)
}

/// Whether `host` can be the host of a URL, or `*`. Otherwise, as with a pasted URL, a space, or the `+` of
/// `--resolve` in a wrong place, the rule would never match.
fn is_host_like(host: &str) -> bool {
    let fits = |c: char| {
        if c.is_ascii() {
            c.is_ascii_alphanumeric() || "-_.*".contains(c)
        } else {
            !printable::is_hidden(c) && !c.is_whitespace()
        }
    };
    !host.starts_with('-') && host.chars().all(fits)
}
