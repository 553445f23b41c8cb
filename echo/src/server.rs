//! The listeners and the life cycle: ready when all ports listen; after the stop, unready at
//! once, then the drain. The admin port answers until the end.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use echo_reply::Identity;
use futures_util::future::join_all;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tracing::{debug, info, warn};

use crate::accounts::{Accounts, Admission, MOST_HELD, must_leave};
use crate::admin;
use crate::answer;
use crate::app::{App, Options};
use crate::cli::{Cli, LimitFlags, ListenFlags, RunningFlags};
use crate::connection::{self, Ids, Protocol, proxy_protocol};
use crate::describe::{Connection, Describer};
use crate::descriptors::{Spare, most_connections, none_left};
use crate::tcp;
use crate::tls::{self, Tls, TlsError};

mod admin_port;
use admin_port::AdminPort;

/// The length of the accept queue.
const BACKLOG: u32 = 4096;
/// The most that is held for all clients of the admin port, in bytes.
const ADMIN_HELD: usize = 4 << 20;
/// The pause after a failed accept, for example without a free file descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error(
        "the {} port and the {} port are both {port}; choose another with {} or {}",
        two[0].0, two[1].0, two[0].1, two[1].1
    )]
    SamePort {
        port: u16,
        /// Both uses of the port, with their flags.
        two: [(&'static str, &'static str); 2],
    },
    /// The message holds the reason already, so the reason is not a `source`.
    #[error(
        "cannot listen on {address}: {}; choose another with {}",
        usage::why_not_listening(refusal),
        remedy(refusal, flag)
    )]
    Refused { address: SocketAddr, flag: &'static str, refusal: io::Error },
    #[error(transparent)]
    Tls(#[from] TlsError),
}

fn remedy(error: &io::Error, flag: &'static str) -> &'static str {
    if error.kind() == io::ErrorKind::AddrNotAvailable { "--host" } else { flag }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    pub echo: SocketAddr,
    pub admin: SocketAddr,
    pub tls: Option<SocketAddr>,
    pub tcp: Option<SocketAddr>,
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{} (admin http://{})", self.echo, self.admin)?;
        let further = [("https", self.tls), ("tcp", self.tcp)].into_iter();
        further
            .filter_map(|(scheme, address)| Some((scheme, address?)))
            .try_for_each(|(scheme, address)| write!(f, " and {scheme}://{address}"))
    }
}

/// A port other than the admin port.
#[derive(Debug)]
struct Door {
    listener: TcpListener,
    kind: Kind,
}

/// What a port serves.
#[derive(Clone, Debug)]
enum Kind {
    /// HTTP/1 and HTTP/2, with gRPC and WebSockets.
    Plain,
    /// The same over TLS.
    Tls(Arc<Tls>),
    Tcp,
}

/// A server that listens but does not answer yet.
#[derive(Debug)]
pub struct Server {
    doors: Vec<Door>,
    admin: TcpListener,
    addresses: Addresses,
    app: Arc<App>,
    running: RunningFlags,
    limits: LimitFlags,
    /// Whether connections start with a PROXY header.
    proxied: bool,
}

impl Server {
    /// Reads the TLS files, and listens on all ports.
    ///
    /// # Errors
    ///
    /// If a port cannot be used, or the TLS files are invalid.
    pub fn bind(cli: &Cli, identity: Identity) -> Result<Self, BindError> {
        let ListenFlags { host, port, admin_port, tcp_port, proxy_protocol } = cli.listen;
        let tls_port = cli.tls.tls_port;
        distinct(&[
            ("echo", "--port", Some(port)),
            ("admin", "--admin-port", Some(admin_port)),
            ("TLS", "--tls-port", tls_port),
            ("TCP", "--tcp-port", tcp_port),
        ])?;
        let tls = match (tls::Plan::from_flags(&cli.tls)?, tls_port) {
            (Some(plan), Some(port)) => Some((Arc::new(Tls::load(plan)?), port)),
            _ => None,
        };
        let (listener, echo) = listen(host, port, "--port")?;
        let (admin, admin_address) = listen(host, admin_port, "--admin-port")?;
        let mut addresses = Addresses { echo, admin: admin_address, tls: None, tcp: None };
        let mut doors = vec![Door { listener, kind: Kind::Plain }];
        if let Some((tls, port)) = tls {
            let (listener, address) = listen(host, port, "--tls-port")?;
            addresses.tls = Some(address);
            doors.push(Door { listener, kind: Kind::Tls(tls) });
        }
        if let Some(port) = tcp_port {
            let (listener, address) = listen(host, port, "--tcp-port")?;
            addresses.tcp = Some(address);
            doors.push(Door { listener, kind: Kind::Tcp });
        }
        let app = Arc::new(App::new(Describer::new(identity), Options::from(cli)));
        let (running, limits) = (cli.running.clone(), cli.limits.clone());
        let proxied = proxy_protocol;
        Ok(Self { doors, admin, addresses, app, running, limits, proxied })
    }

    /// The actual addresses: port 0 is replaced by the chosen port.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Answers until `stop` completes, then during the drain delay, unready. Then drains:
    /// requests in flight may finish within the drain timeout. Returns when every connection
    /// has ended.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { doors, admin, app, running, limits, proxied, .. } = self;
        let protocol = Arc::new(connection::protocol(limits.max_head, limits.idle_timeout));
        let most = most_connections(limits.max_connections);
        if (most.others as u64) < limits.max_connections {
            warn!("at most {} connections: the limit of open files allows no more", most.others);
        }
        let spare = Arc::new(Spare::new());
        let (admin_drain, _) = watch::channel(());
        let admin_port = AdminPort {
            listener: admin,
            router: admin::router(Arc::clone(&app)),
            accounts: Accounts::new(most.admin, ADMIN_HELD),
            spare: Arc::clone(&spare),
            idle: limits.idle_timeout,
            drain: admin_drain.clone(),
        };
        let admin = tokio::spawn(admin_port.serve());
        let (drain, _) = watch::channel(());
        app.readiness.set(true);
        let (accounts, idle) = (Accounts::new(most.others, MOST_HELD), limits.idle_timeout);
        let reception =
            Reception { app, protocol, accounts, spare, idle, proxied, ids: Ids::new() };
        let unready_then_stop = async {
            stop.await;
            reception.app.readiness.set(false);
            if !running.drain_delay.is_zero() {
                info!("unready; still serving for {:?}", running.drain_delay);
            }
            tokio::time::sleep(running.drain_delay).await;
        };
        reception.accept(doors, &drain, unready_then_stop).await;
        finish(drain, running.drain_timeout).await;
        admin.abort();
        drop(admin_drain);
    }
}

/// Refuses equal ports. Port 0 may be given more than once.
fn distinct(ports: &[(&'static str, &'static str, Option<u16>)]) -> Result<(), BindError> {
    for (index, (what, flag, port)) in ports.iter().enumerate() {
        let Some(port) = port.filter(|port| *port != 0) else { continue };
        let earlier = ports[..index].iter().find(|(.., other)| *other == Some(port));
        if let Some((other, other_flag, _)) = earlier {
            return Err(BindError::SamePort { port, two: [(other, other_flag), (what, flag)] });
        }
    }
    Ok(())
}

/// Lets every connection finish its requests in flight; ends those that take longer.
async fn finish(drain: watch::Sender<()>, within: Duration) {
    info!(connections = drain.receiver_count(), "draining for at most {within:?}");
    drain.send_replace(());
    if tokio::time::timeout(within, drain.closed()).await.is_err() {
        warn!(connections = drain.receiver_count(), "connections cut off after {within:?}");
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

/// Accepts connections.
struct Reception {
    app: Arc<App>,
    protocol: Arc<Protocol>,
    accounts: Arc<Accounts>,
    spare: Arc<Spare>,
    idle: Duration,
    /// Whether HTTP connections start with a PROXY header.
    proxied: bool,
    ids: Ids,
}

impl Reception {
    /// Accepts until `stop` completes, then becomes unready and accepts what is still queued:
    /// closing the listeners would reset those connections.
    async fn accept(
        &self,
        doors: Vec<Door>,
        drain: &watch::Sender<()>,
        stop: impl Future<Output = ()>,
    ) {
        let accept_all = join_all(doors.iter().map(async |door| {
            loop {
                match accept(&door.listener).await {
                    Ok(arrived) if self.spare.refill() => self.take(arrived, &door.kind, drain),
                    // It has the descriptor that the admin port needs.
                    Ok(arrived) => {
                        drop(arrived);
                        self.spare.refill();
                        self.app.metrics.refused();
                        self.make_room();
                    }
                    Err(error) => {
                        if none_left(&error) {
                            self.make_room();
                        }
                        failed(&error).await;
                    }
                }
            }
        }));
        let follow = join_all(doors.iter().map(async |door| match &door.kind {
            Kind::Tls(tls) => tls.follow().await,
            Kind::Plain | Kind::Tcp => std::future::pending().await,
        }));
        tokio::select! {
            () = stop => {}
            _ = accept_all => {}
            _ = follow => {}
        }
        self.app.readiness.set(false);
        for Door { listener, kind } in doors {
            waiting(listener).into_iter().for_each(|one| self.take(one, &kind, drain));
        }
    }

    /// Closes the quietest connection.
    fn make_room(&self) {
        if self.accounts.make_room() {
            self.app.metrics.evicted();
        }
    }

    /// Serves a connection. At the limit, another one is closed for it, or else this one.
    fn take(
        &self,
        (stream, peer): (TcpStream, SocketAddr),
        kind: &Kind,
        drain: &watch::Sender<()>,
    ) {
        let metrics = &self.app.metrics;
        let account = match self.accounts.admit() {
            Admission::Free(account) => account,
            Admission::InsteadOfAnother(account) => {
                metrics.evicted();
                account
            }
            Admission::Refused => {
                metrics.refused();
                return debug!(%peer, "too many connections");
            }
        };
        let draining = drain.subscribe();
        let mut facts = connection::facts(&self.ids, &stream, peer);
        facts.open = Some(metrics.connection());
        facts.drain = Some(draining.clone());
        facts.account = Some(account);
        let (protocol, app) = (Arc::clone(&self.protocol), Arc::clone(&self.app));
        let answer = move |request, arrival| answer::answer(&app, request, arrival);
        let client = self.proxied.then(|| drain.subscribe());
        match kind {
            Kind::Plain => {
                tokio::spawn(async move {
                    let Some((stream, facts)) = introduced(stream, facts, client).await else {
                        return;
                    };
                    connection::serve(stream, facts, &protocol, answer, draining).await;
                });
            }
            Kind::Tls(tls) => {
                let tls = Arc::clone(tls);
                tokio::spawn(async move {
                    let introduced = introduced(stream, facts, client).await;
                    let Some((stream, mut facts)) = introduced else { return };
                    let shaken = tokio::select! {
                        shaken = connection::shake_hands(&tls, stream) => shaken,
                        () = must_leave(facts.account.as_deref()) => return,
                    };
                    match shaken {
                        Ok(stream) => {
                            facts.tls = Some(tls::facts(stream.get_ref().1));
                            connection::serve(stream, facts, &protocol, answer, draining).await;
                        }
                        Err(error) => debug!(%peer, %error, "the TLS handshake failed"),
                    }
                });
            }
            Kind::Tcp => {
                let url = facts.local.map(|local| format!("tcp://{local}")).unwrap_or_default();
                let line = self.app.describer.text(&url);
                tokio::spawn(tcp::serve(stream, facts, line.into(), self.idle));
            }
        }
    }
}

/// The connection with the client that its PROXY header names, if it must have one; `None` if it has none
/// that is valid. `drain` ends the wait for it.
async fn introduced(
    mut stream: TcpStream,
    mut facts: Connection,
    drain: Option<watch::Receiver<()>>,
) -> Option<(TcpStream, Connection)> {
    let Some(drain) = drain else { return Some((stream, facts)) };
    let peer = facts.peer;
    let client = tokio::select! {
        client = proxy_protocol::client(&mut stream, drain) => client,
        () = must_leave(facts.account.as_deref()) => return None,
    };
    match client {
        Ok(client) => {
            facts.peer = client.or(peer);
            return Some((stream, facts));
        }
        Err(error) if error.is_notable() => {
            warn!(peer = peer.map(tracing::field::display), "connection closed: {error}");
        }
        Err(error) => debug!(peer = peer.map(tracing::field::display), "{error}"),
    }
    None
}

/// The queued connections of a listener, which is then closed.
fn waiting(listener: TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    let Ok(listener) = listener.into_std() else { return Vec::new() };
    let next = || {
        // The listener does not block: with an empty queue, this fails.
        let (stream, peer) = listener.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        let stream = TcpStream::from_std(stream).ok()?;
        let _ = stream.set_nodelay(true);
        Some((stream, peer))
    };
    std::iter::from_fn(next).take(BACKLOG as usize).collect()
}

/// The next connection.
async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = listener.accept().await?;
    // Without Nagle's delay. If this fails, answers are only slower.
    let _ = stream.set_nodelay(true);
    Ok((stream, peer))
}

/// Says why a connection was not accepted, and pauses, unless only the client gave up.
async fn failed(error: &io::Error) {
    if error.kind() != io::ErrorKind::ConnectionAborted {
        warn!(%error, "cannot accept connections");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use std::io::{Read as _, Write as _};

    #[tokio::test]
    async fn queued_connections_are_served_despite_the_stop() {
        let (listener, address) = listen([127, 0, 0, 1].into(), 0, "--port").unwrap();
        let clients: Vec<_> = (0..50)
            .map(|_| {
                let mut client = std::net::TcpStream::connect(address).unwrap();
                client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
                client
            })
            .collect();
        let cli = Cli::try_parse_from(["echo"]).unwrap();
        let describer = Describer::new(Identity::new("pod-1", "kops"));
        let app = Arc::new(App::new(describer, Options::from(&cli)));
        let (drain, _) = watch::channel(());
        let protocol = Arc::new(connection::protocol(64 << 10, cli.limits.idle_timeout));
        let (accounts, idle) = (Accounts::new(50, MOST_HELD), cli.limits.idle_timeout);
        let (spare, ids) = (Arc::new(Spare::new()), Ids::new());
        let reception = Reception { app, protocol, accounts, spare, idle, proxied: false, ids };
        let doors = vec![Door { listener, kind: Kind::Plain }];
        reception.accept(doors, &drain, std::future::ready(())).await;
        finish(drain, Duration::from_secs(5)).await;
        for mut client in clients {
            let mut said = String::new();
            client.read_to_string(&mut said).unwrap();
            assert!(said.starts_with("HTTP/1.0 200 "), "{said:?}");
        }
    }

    #[test]
    fn the_reason_of_the_system_is_printed_once() {
        let refusal = io::Error::from(io::ErrorKind::AddrInUse);
        let address = SocketAddr::from(([127, 0, 0, 1], 80));
        let error = BindError::Refused { address, flag: "--port", refusal };
        assert!(std::error::Error::source(&error).is_none());
    }
}
