//! The listeners and the life cycle: ready when both ports listen; once told to
//! stop, unready at once, then the drain. The admin port answers to the end.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use echo_reply::Identity;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::cli::ListenFlags;
use crate::connection::{self, Ids, Protocol};
use crate::describe::Describer;
use crate::routes::{self, App};

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 4096;
/// How long to wait when no connection can be accepted, such as for want of
/// file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// One port cannot serve both.
    #[error(
        "the echo port and the admin port are both {0}; choose another with --port or --admin-port"
    )]
    SamePort(u16),
    /// The operating system refused. Its words are in the message already, so that
    /// it is no `source`.
    #[error(
        "cannot listen on {address}: {}; choose another with {}",
        reason(refusal),
        remedy(refusal, flag)
    )]
    Refused {
        /// Where it should have listened.
        address: SocketAddr,
        /// The flag that says so.
        flag: &'static str,
        /// What the operating system said.
        refusal: io::Error,
    },
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "address in use".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        io::ErrorKind::PermissionDenied => "ports below 1024 need privileges".to_owned(),
        _ => error.to_string(),
    }
}

fn remedy(error: &io::Error, flag: &'static str) -> &'static str {
    if error.kind() == io::ErrorKind::AddrNotAvailable { "--host" } else { flag }
}

/// Where a server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The echo port.
    pub echo: SocketAddr,
    /// The admin port.
    pub admin: SocketAddr,
}

/// A server that listens but does not answer yet.
#[derive(Debug)]
pub struct Server {
    echo: TcpListener,
    admin: TcpListener,
    addresses: Addresses,
    app: Arc<App>,
    drain_timeout: Duration,
}

impl Server {
    /// Listens on both ports.
    ///
    /// # Errors
    ///
    /// When a port cannot be had.
    pub fn bind(
        flags: &ListenFlags,
        identity: Identity,
        drain_timeout: Duration,
    ) -> Result<Self, BindError> {
        if flags.port == flags.admin_port && flags.port != 0 {
            return Err(BindError::SamePort(flags.port));
        }
        let (echo, echo_address) = listen(flags.host, flags.port, "--port")?;
        let (admin, admin_address) = listen(flags.host, flags.admin_port, "--admin-port")?;
        let addresses = Addresses { echo: echo_address, admin: admin_address };
        let app = Arc::new(App::new(Describer::new(identity)));
        Ok(Self { echo, admin, addresses, app, drain_timeout })
    }

    /// The actual addresses, also where port 0 was asked for.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Answers until `stop` is done, then drains: what is in flight may finish
    /// within the drain timeout. Returns when every connection has ended.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { echo, admin, app, drain_timeout, .. } = self;
        let protocol = Arc::new(connection::protocol());
        let (admin_drain, _) = watch::channel(());
        let admin = tokio::spawn(accept_admin(
            admin,
            routes::admin(Arc::clone(&app)),
            Arc::clone(&protocol),
            admin_drain.clone(),
        ));
        let (drain, _) = watch::channel(());
        app.set_ready(true);
        accept_echo(echo, &app, &protocol, &drain, stop).await;
        finish(drain, drain_timeout).await;
        admin.abort();
        drop(admin_drain);
    }
}

/// Lets every connection finish what is in flight, and ends those that take longer.
async fn finish(drain: watch::Sender<()>, within: Duration) {
    info!(connections = drain.receiver_count(), "draining for at most {within:?}");
    drain.send_replace(());
    if tokio::time::timeout(within, drain.closed()).await.is_err() {
        warn!(connections = drain.receiver_count(), "cut off after {within:?}");
    }
}

fn listen(
    host: IpAddr,
    port: u16,
    flag: &'static str,
) -> Result<(TcpListener, SocketAddr), BindError> {
    let address = SocketAddr::new(host, port);
    let listening = || {
        let socket = if host.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let actual = listener.local_addr()?;
        Ok((listener, actual))
    };
    listening().map_err(|refusal| BindError::Refused { address, flag, refusal })
}

/// Accepts until `stop` is done, then turns unready and accepts once more what
/// waits: to close the listener over it would reset it.
async fn accept_echo(
    listener: TcpListener,
    app: &Arc<App>,
    protocol: &Arc<Protocol>,
    drain: &watch::Sender<()>,
    stop: impl Future<Output = ()>,
) {
    let ids = Ids::new();
    let router = routes::echo(Arc::clone(app));
    let serve = |(stream, peer): (TcpStream, SocketAddr)| {
        let facts = connection::facts(&ids, &stream, peer);
        let (app, protocol) = (Arc::clone(app), Arc::clone(protocol));
        let (router, drain) = (router.clone(), drain.subscribe());
        tokio::spawn(async move {
            let _open = app.metrics.connection();
            connection::serve(stream, facts, &protocol, router, drain).await;
        });
    };
    let accept_all = async {
        loop {
            accept(&listener).await.into_iter().for_each(&serve);
        }
    };
    tokio::select! {
        () = stop => {}
        () = accept_all => {}
    }
    app.set_ready(false);
    waiting(listener).into_iter().for_each(serve);
}

/// The connections that wait to be accepted, of a listener that is then closed.
fn waiting(listener: TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    let Ok(listener) = listener.into_std() else { return Vec::new() };
    let next = || {
        // The listener does not block: where nobody waits, this fails.
        let (stream, peer) = listener.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        let stream = TcpStream::from_std(stream).ok()?;
        let _ = stream.set_nodelay(true);
        Some((stream, peer))
    };
    std::iter::from_fn(next).take(BACKLOG as usize).collect()
}

async fn accept_admin(
    listener: TcpListener,
    router: Router,
    protocol: Arc<Protocol>,
    drain: watch::Sender<()>,
) {
    let ids = Ids::new();
    loop {
        let Some((stream, peer)) = accept(&listener).await else { continue };
        let facts = connection::facts(&ids, &stream, peer);
        let (router, protocol, drain) = (router.clone(), Arc::clone(&protocol), drain.subscribe());
        tokio::spawn(async move {
            connection::serve(stream, facts, &protocol, router, drain).await;
        });
    }
}

/// The next connection; `None` if there is none just now.
async fn accept(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok((stream, peer)) => {
            // A small answer must not wait for more; where that cannot be had, it still comes.
            let _ = stream.set_nodelay(true);
            Some((stream, peer))
        }
        // The client was faster in giving up.
        Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => None,
        Err(error) => {
            warn!(%error, "cannot accept connections");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    #[tokio::test]
    async fn connections_that_wait_are_served_though_it_stops() {
        let (listener, address) = listen([127, 0, 0, 1].into(), 0, "--port").unwrap();
        let clients: Vec<_> = (0..50)
            .map(|_| {
                let mut client = std::net::TcpStream::connect(address).unwrap();
                client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
                client
            })
            .collect();
        let app = Arc::new(App::new(Describer::new(Identity::new("pod-1", "kops"))));
        let (drain, _) = watch::channel(());
        let protocol = Arc::new(connection::protocol());
        accept_echo(listener, &app, &protocol, &drain, std::future::ready(())).await;
        finish(drain, Duration::from_secs(5)).await;
        for mut client in clients {
            let mut said = String::new();
            client.read_to_string(&mut said).unwrap();
            assert!(said.starts_with("HTTP/1.0 200 "), "{said:?}");
        }
    }

    #[test]
    fn what_the_system_said_is_told_once() {
        let refusal = io::Error::from(io::ErrorKind::AddrInUse);
        let address = SocketAddr::from(([127, 0, 0, 1], 80));
        let error = BindError::Refused { address, flag: "--port", refusal };
        assert!(std::error::Error::source(&error).is_none());
    }
}
