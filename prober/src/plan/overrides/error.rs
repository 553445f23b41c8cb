//! What can be wrong with a `--resolve` or `--connect-to` value, each said in one
//! line that ends with what would be right.

use thiserror::Error;

/// A value of `--resolve` or `--connect-to` that is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OverrideError {
    /// A `--resolve` value.
    #[error("--resolve '{spec}': {fault}")]
    Resolve {
        /// The value, control characters escaped.
        spec: String,
        /// What is wrong with it.
        fault: ResolveFault,
    },
    /// A `--connect-to` value.
    #[error("--connect-to '{spec}': {fault}")]
    ConnectTo {
        /// The value, control characters escaped.
        spec: String,
        /// What is wrong with it.
        fault: ConnectToFault,
    },
}

/// What is wrong with a `--resolve` value.
///
/// curl takes [`NoHost`](Self::NoHost), [`BadHost`](Self::BadHost),
/// [`PartialWildcard`](Self::PartialWildcard), port 0, signs and blanks before a
/// port, `[]` for an address, and anything at all after `-`; the rest it refuses too.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ResolveFault {
    /// The value begins with a colon.
    #[error("no host before the first colon; {FORM}")]
    NoHost,
    /// The host could not stand in a URL.
    #[error("'{0}' is not a host name; {FORM}")]
    BadHost(String),
    /// A URL; the field is its scheme.
    #[error("this is a URL, and '{0}' is not the host; {FORM}")]
    Url(String),
    /// A `*` that is not the whole host.
    #[error("'{0}' would match nothing; write the whole name, or '*' alone for every host")]
    PartialWildcard(String),
    /// The host is an IPv6 literal.
    #[error(
        "the host cannot be an IPv6 address; write '*' for the host, \
         or use --connect-to '[ADDRESS]:PORT:HOST2:PORT2'"
    )]
    Ipv6Host,
    /// The value ends before a port, or the port is empty.
    #[error("no port; {FORM}")]
    NoPort,
    /// The port is not a number, or out of range.
    #[error("'{0}' is not a port from 1 to 65535; {FORM}")]
    BadPort(String),
    /// The value ends before an address, or every address is empty.
    #[error("no address; {FORM}")]
    NoAddress,
    /// An address is a name, or not an address at all.
    #[error("'{0}' is not an IP address; {FORM} (to connect to another name, use --connect-to)")]
    NotAnAddress(String),
    /// Only one of the two brackets around an address.
    #[error("'{0}' has only one bracket; write '[::1]' or '::1'")]
    UnclosedBracket(String),
    /// Something after the port in `-HOST:PORT`.
    #[error("'{0}' is too much; to remove an earlier --resolve, write -HOST:PORT")]
    RemovalWithMore(String),
}

/// What is wrong with a `--connect-to` value.
///
/// curl, which reads a rule only once a request's host and port match it, takes
/// [`NoTarget`](Self::NoTarget), [`Wildcard`](Self::Wildcard) and all but the last
/// port as rules that never match, and port 0 and open brackets as what they say.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConnectToFault {
    /// Fewer than three parts.
    #[error("no host to connect to; {CONNECT_FORM}")]
    NoTarget,
    /// More than four parts.
    #[error("more than four parts; {CONNECT_FORM}, an IPv6 address in brackets")]
    TooManyParts,
    /// A `*` in a host.
    #[error("'*' would match nothing; leave HOST1 empty for every host")]
    Wildcard,
    /// A part that is no host.
    #[error("'{0}' is not a host name; {CONNECT_FORM}")]
    BadHost(String),
    /// A port that is not a number, or out of range.
    #[error("'{0}' is not a port from 1 to 65535; {CONNECT_FORM}")]
    BadPort(String),
    /// A bracket that is opened and not closed.
    #[error("the bracket in '{0}' is not closed; write '[::1]'")]
    UnclosedBracket(String),
}

const FORM: &str = "write HOST:PORT:ADDRESS[,ADDRESS…], such as 'istio1.xiaowenx.com:80:127.0.0.1'";
const CONNECT_FORM: &str = "write HOST1:PORT1:HOST2:PORT2, such as 'echo:80:127.0.0.1:8080'";

impl OverrideError {
    pub(super) fn resolve(spec: &str, fault: ResolveFault) -> Self {
        Self::Resolve { spec: printable(spec), fault }
    }

    pub(super) fn connect_to(spec: &str, fault: ConnectToFault) -> Self {
        Self::ConnectTo { spec: printable(spec), fault }
    }
}

/// Keeps the message on one line and the terminal as it is.
pub(super) fn printable(spec: &str) -> String {
    let mut out = String::with_capacity(spec.len());
    for c in spec.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}
