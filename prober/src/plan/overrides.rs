//! `--resolve` and `--connect-to`, read and matched as curl does: which host and
//! port to connect to, and at which addresses. Pure: names that nothing here
//! covers are left to `resolve`, and connecting is `connect`'s.

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
/// They decide only where a connection goes; the URL's own host and port stay
/// what the `Host` header, SNI and certificate checks use. Ask [`connect_to`]
/// first, and [`addresses`] with its answer; if that gives `None`, the name is
/// looked up as usual.
///
/// Hosts may be given with or without the brackets of an IPv6 literal, in any
/// case. A trailing dot counts: `echo` and `echo.` are two hosts, as in curl.
///
/// [`connect_to`]: Self::connect_to
/// [`addresses`]: Self::addresses
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    pins: Vec<Pin>,
    connections: Vec<ConnectTo>,
}

impl Overrides {
    /// Reads the values of all `--resolve` and all `--connect-to` flags, each in
    /// the order given.
    ///
    /// # Errors
    /// The first value that is not of the flag's form. A few values that curl
    /// takes without a word, though they cannot do what was meant, are refused:
    /// see [`ResolveFault`] and [`ConnectToFault`].
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

    /// Whether there is no rule at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pins.is_empty() && self.connections.is_empty()
    }

    /// Where to connect to instead of `host` and `port`: the first matching
    /// `--connect-to` that changes anything decides, and only once. An IPv6
    /// literal that a rule puts in comes without brackets.
    #[must_use]
    pub fn connect_to<'a>(&'a self, host: &'a str, port: u16) -> (Cow<'a, str>, u16) {
        let rule = self.connections.iter().find(|rule| rule.changes(host, port));
        let Some(rule) = rule else { return (Cow::Borrowed(host), port) };
        (Cow::Borrowed(rule.to_host().unwrap_or(host)), rule.to_port().unwrap_or(port))
    }

    /// The addresses that `--resolve` gives for `host` and `port`, in the order
    /// given and never empty; `None` if it says nothing of them. A rule for the
    /// very host goes before one for `*`; an IP literal can be overridden too.
    ///
    /// Under `-4` or `-6`, the addresses of the other family do not count; if
    /// none is left, curl forgets the rule and looks the name up.
    #[must_use]
    pub fn addresses(&self, host: &str, port: u16) -> Option<&[IpAddr]> {
        let host = without_brackets(host);
        let pin = |host: &str| self.pins.iter().find(|pin| pin.is_for(host, port));
        pin(host).or_else(|| pin("*")).map(Pin::addresses)
    }

    /// Values for `--resolve` that say the same as these rules.
    pub fn resolve_specs(&self) -> impl Iterator<Item = String> + '_ {
        self.pins.iter().map(Pin::to_string)
    }

    /// Values for `--connect-to` that say the same as these rules.
    pub fn connect_to_specs(&self) -> impl Iterator<Item = String> + '_ {
        self.connections.iter().map(ConnectTo::to_string)
    }
}

/// `[::1]` as `::1`; anything else as it is.
fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host)
}

/// A port, written in digits only. Port 0 cannot be connected to.
fn port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|port| *port != 0)
}

/// Whether `host` can stand in a URL. A URL pasted into a rule, or a blank in
/// it, would only make a rule that never matches.
fn is_host_like(host: &str) -> bool {
    !host.contains(|c: char| c.is_whitespace() || c.is_control() || "/?#@[]\\'\"".contains(c))
}
