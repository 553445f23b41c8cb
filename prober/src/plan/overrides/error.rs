//! What can be wrong with a value of `--resolve` or `--connect-to`. Each error is one line that ends
//! with what to write instead.

use thiserror::Error;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OverrideError {
    #[error("--resolve '{spec}': {fault}")]
    Resolve {
        /// With control characters escaped.
        spec: String,
        fault: ResolveFault,
    },
    #[error("--connect-to '{spec}': {fault}")]
    ConnectTo {
        /// With control characters escaped.
        spec: String,
        fault: ConnectToFault,
    },
}

/// What is wrong with a `--resolve` value.
///
/// curl accepts [`NoHost`](Self::NoHost), [`BadHost`](Self::BadHost),
/// [`PartialWildcard`](Self::PartialWildcard), a second `+` or `-`, port 0, signs and spaces before a port, `[]` as an
/// address, and anything after `-`. It refuses the others, too.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ResolveFault {
    /// The value starts with a colon.
    #[error("the host before the first colon is missing; {FORM}")]
    NoHost,
    /// The host cannot be in a URL.
    #[error("'{0}' is not a host name; {FORM}")]
    BadHost(String),
    /// The field is the scheme.
    #[error("this is a URL, and '{0}' is not a host; {FORM}")]
    Url(String),
    /// A `*` that is not the whole host.
    #[error("'{0}' matches nothing; write the whole name, or '*' for every host")]
    PartialWildcard(String),
    #[error(
        "the host cannot be an IPv6 address; write '*' for the host, \
         or use --connect-to '[ADDRESS]:PORT:HOST2:PORT2'"
    )]
    Ipv6Host,
    #[error("the port is missing; {FORM}")]
    NoPort,
    #[error("'{0}' is not a port from 1 to 65535; {FORM}")]
    BadPort(String),
    #[error("the address is missing; {FORM}")]
    NoAddress,
    #[error("'{0}' is not an IP address; {FORM} (to connect to another name, use --connect-to)")]
    NotAnAddress(String),
    #[error("'{0}' has only one bracket; write '[::1]' or '::1'")]
    UnclosedBracket(String),
    /// Text after the port in `-HOST:PORT`.
    #[error("remove '{0}'; to undo an earlier --resolve, write -HOST:PORT")]
    RemovalWithMore(String),
}

/// What is wrong with a `--connect-to` value.
///
/// curl parses a rule only when the host and port of a request match it. It accepts
/// [`NoTarget`](Self::NoTarget), [`Wildcard`](Self::Wildcard) and a wrong port other than the last as
/// rules that never match, and takes port 0 and open brackets literally.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConnectToFault {
    #[error("the host to connect to is missing; {CONNECT_FORM}")]
    NoTarget,
    #[error("more than four parts; {CONNECT_FORM}, with IPv6 addresses in brackets")]
    TooManyParts,
    #[error("'*' matches nothing; leave HOST1 empty for every host")]
    Wildcard,
    #[error("'{0}' is not a host name; {CONNECT_FORM}")]
    BadHost(String),
    #[error("'{0}' is not a port from 1 to 65535; {CONNECT_FORM}")]
    BadPort(String),
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

/// Escapes control characters, so that the message is one line and cannot change the terminal.
pub(super) fn printable(spec: &str) -> String {
    let mut out = String::with_capacity(spec.len());
    for c in spec.chars() {
        if printable::is_hidden(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}
