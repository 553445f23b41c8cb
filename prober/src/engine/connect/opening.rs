//! A connection while it is opened: how far it got. Pure values.

use std::net::SocketAddr;
use std::time::Duration;

use crate::tally::Transport;

/// How far opening a connection got; filled in as it proceeds, so that it is also known
/// after a failure.
#[derive(Debug, Default)]
pub(in crate::engine) struct Opening {
    /// Time until the addresses were known.
    pub dns: Option<Duration>,
    /// Time for TCP, including addresses that were passed over.
    pub connect: Option<Duration>,
    pub tls: Option<Duration>,
    /// Addresses that would have come first, and why they were not used.
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
