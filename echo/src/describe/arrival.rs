//! What the server knows of a request beside what was sent: its connection, and its number
//! there.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::HeaderValue;
use echo_reply::TlsFacts;
use tokio::sync::watch;

use crate::accounts::Account;
use crate::metrics::Ongoing;

#[derive(Debug)]
pub(crate) struct Connection {
    /// Unique within one run of the server.
    pub id: HeaderValue,
    pub peer: Option<SocketAddr>,
    pub local: Option<SocketAddr>,
    /// `None` without TLS.
    pub tls: Option<TlsFacts>,
    /// Changes when the drain starts; long-lived answers end then.
    pub drain: Option<watch::Receiver<()>>,
    /// Counts the connection as open until this is dropped.
    pub open: Option<Ongoing>,
    /// Its place in the limit of connections.
    pub account: Option<Arc<Account>>,
}

impl Connection {
    /// A connection with nothing but an id.
    #[must_use]
    pub(crate) fn new(id: HeaderValue) -> Self {
        Self { id, peer: None, local: None, tls: None, drain: None, open: None, account: None }
    }
}

/// What is known about a request beside its head.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub connection: Arc<Connection>,
    /// The request's number on its connection, from 1.
    pub number: u64,
}
