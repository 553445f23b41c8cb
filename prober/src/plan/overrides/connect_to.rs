//! One `--connect-to` value: `HOST1:PORT1:HOST2:PORT2`.

use std::net::Ipv6Addr;

use super::error::{ConnectToFault, printable};
use super::{is_host_like, port, without_brackets};
use crate::plan::zone;

/// Which connections go elsewhere, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ConnectTo {
    /// In lower case, without brackets; `None` is any.
    from_host: Option<String>,
    from_port: Option<u16>,
    /// As written, without brackets; `None` is unchanged.
    to_host: Option<String>,
    /// The zone of an IPv6 literal.
    to_zone: Option<String>,
    to_port: Option<u16>,
}

impl ConnectTo {
    pub(super) fn parse(spec: &str) -> Result<Self, ConnectToFault> {
        let parts = Parts::split(spec)?;
        let bad = |_| ConnectToFault::BadHost(printable(parts.to_host));
        let (to_host, to_zone) = zone::split(parts.to_host).map_err(bad)?;
        Ok(Self {
            from_host: host(parts.from_host)?.map(|host| host.to_ascii_lowercase()),
            from_port: optional_port(parts.from_port)?,
            to_host: host(&to_host)?,
            to_zone,
            to_port: optional_port(parts.to_port)?,
        })
    }

    /// Whether the rule matches this host and port and changes any of them. As in curl, a rule that
    /// changes nothing is skipped.
    pub(super) fn changes(&self, host: &str, port: u16) -> bool {
        let host = without_brackets(host);
        self.from_host.as_deref().is_none_or(|from| from.eq_ignore_ascii_case(host))
            && self.from_port.is_none_or(|from| from == port)
            && (self.to_host.is_some() || self.to_port.is_some())
    }

    pub(super) fn to_host(&self) -> Option<&str> {
        self.to_host.as_deref()
    }

    pub(super) fn to_zone(&self) -> Option<&str> {
        self.to_zone.as_deref()
    }

    pub(super) fn to_port(&self) -> Option<u16> {
        self.to_port
    }
}

/// The four parts as written; hosts can be in brackets.
struct Parts<'a> {
    from_host: &'a str,
    from_port: &'a str,
    to_host: &'a str,
    to_port: &'a str,
}

impl<'a> Parts<'a> {
    /// As in curl, only the last part may be missing.
    fn split(spec: &'a str) -> Result<Self, ConnectToFault> {
        let (from_host, rest) = until_colon(spec)?;
        let (from_port, rest) = until_colon(rest.ok_or(ConnectToFault::NoTarget)?)?;
        let (to_host, rest) = until_colon(rest.ok_or(ConnectToFault::NoTarget)?)?;
        let (to_port, more) = until_colon(rest.unwrap_or_default())?;
        match more {
            None => Ok(Self { from_host, from_port, to_host, to_port }),
            Some(_) => Err(ConnectToFault::TooManyParts),
        }
    }
}

/// The text before the next colon outside of brackets, and the text after it.
fn until_colon(text: &str) -> Result<(&str, Option<&str>), ConnectToFault> {
    let unclosed = || ConnectToFault::UnclosedBracket(printable(text));
    let search_from = if text.starts_with('[') { text.find(']').ok_or_else(unclosed)? } else { 0 };
    match text[search_from..].find(':') {
        Some(colon) => {
            let colon = search_from + colon;
            Ok((&text[..colon], Some(&text[colon + 1..])))
        }
        None => Ok((text, None)),
    }
}

fn host(text: &str) -> Result<Option<String>, ConnectToFault> {
    let bad = || ConnectToFault::BadHost(printable(text));
    if text.is_empty() {
        return Ok(None);
    }
    if text.starts_with('[') {
        // In the spelling of normalised URLs.
        let address: Ipv6Addr = without_brackets(text).parse().map_err(|_| bad())?;
        return Ok(Some(address.to_string()));
    }
    if text.contains('*') {
        return Err(ConnectToFault::Wildcard);
    }
    if is_host_like(text) { Ok(Some(text.to_owned())) } else { Err(bad()) }
}

fn optional_port(text: &str) -> Result<Option<u16>, ConnectToFault> {
    if text.is_empty() {
        return Ok(None);
    }
    port(text).map(Some).ok_or_else(|| ConnectToFault::BadPort(printable(text)))
}
