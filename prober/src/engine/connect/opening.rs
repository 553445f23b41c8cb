//! A connection while it is opened: how far it got, and what it waits for. Pure values.

use std::net::SocketAddr;
use std::time::Duration;

use crate::tally::Transport;
use crate::tally::outcome::{Failure, FailureKind};

/// How far opening a connection got; filled in as it proceeds, so that it is also known
/// after a failure.
#[derive(Debug, Default)]
pub(in crate::engine) struct Opening {
    /// Time until the addresses were known.
    pub dns: Option<Duration>,
    /// Time for TCP, including addresses that were passed over.
    pub connect: Option<Duration>,
    pub tls: Option<Duration>,
    /// Addresses that were tried first and failed, and why.
    pub passed_over: Vec<(SocketAddr, String)>,
    /// How many addresses there are to choose from.
    pub addresses: usize,
    /// The connection's number in the run, from 0; `--select` may choose by it.
    pub number: u64,
    /// The address that accepted.
    pub remote: Option<SocketAddr>,
    /// What this connection, and the one that it replaces, did.
    pub transport: Transport,
}

/// What opening a connection to known addresses waits for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wait {
    Accept(SocketAddr),
    Handshake,
}

impl Wait {
    /// What did not happen in time.
    pub(super) fn missing(self) -> String {
        match self {
            Self::Accept(address) => format!("{address} did not accept a connection"),
            Self::Handshake => "the TLS handshake did not finish".to_owned(),
        }
    }

    /// The failure if `limit` runs out.
    pub(super) fn overdue(self, limit: Duration) -> Failure {
        let what = self.missing();
        Failure::new(FailureKind::Timeout, format!("{what} within {limit:?}"))
    }
}
