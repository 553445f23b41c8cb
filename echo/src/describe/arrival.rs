//! What the server knows of a request beside what was sent: its connection, and its number
//! there.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::HeaderValue;
use echo_reply::TlsFacts;
use tokio::sync::watch;

use crate::metrics::Ongoing;

/// What is known of a connection of this server.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Its id, unique in one run of the server.
    pub id: HeaderValue,
    /// The other end.
    pub peer: Option<SocketAddr>,
    /// This end.
    pub local: Option<SocketAddr>,
    /// What is known of its TLS session, if it has one.
    pub tls: Option<TlsFacts>,
    /// Changes when the connection is to end soon; answers that go on for long end then.
    pub drain: Option<watch::Receiver<()>>,
    /// Counts it as open, as long as anybody knows of it.
    pub open: Option<Ongoing>,
}

impl Connection {
    /// A connection of which nothing but its id is known.
    #[must_use]
    pub(crate) fn new(id: HeaderValue) -> Self {
        Self { id, peer: None, local: None, tls: None, drain: None, open: None }
    }
}

/// What is known of a request beside its head; the server attaches it to the
/// request's extensions.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// The connection that it came on.
    pub connection: Arc<Connection>,
    /// Its number on that connection, from 1.
    pub number: u64,
}
