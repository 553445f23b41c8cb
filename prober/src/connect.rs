//! From a plan's target to an open connection: addresses, TCP, TLS, each phase
//! timed; and request and response on it as bytes.

pub mod exchange;
pub mod tls;

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;

use crate::clock;
use crate::outcome::{Failure, FailureKind};
use crate::plan::ProbePlan;
use crate::resolve::Names;

/// How far opening a connection came, also where it failed.
#[derive(Debug, Default)]
pub struct Opening {
    /// Time until the addresses were known.
    pub dns: Option<Duration>,
    /// Time for TCP, addresses that were passed over included.
    pub connect: Option<Duration>,
    /// Time for the TLS handshake.
    pub tls: Option<Duration>,
    /// Addresses that were tried first and failed, and why.
    pub passed_over: Vec<(SocketAddr, String)>,
}

/// A stream of bytes, encrypted or not.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// What opening a connection waits for.
#[derive(Clone, Copy, Debug)]
enum Wait {
    Addresses,
    Accept(SocketAddr),
    Handshake,
}

impl Wait {
    /// The failure that it is if `limit` runs out; a name without address in time is one of DNS.
    fn overdue(self, limit: Duration) -> Failure {
        let (kind, what) = match self {
            Self::Addresses => (FailureKind::Dns, "no address of the name was found".to_owned()),
            Self::Accept(address) => (FailureKind::Timeout, unaccepted(address)),
            Self::Handshake => (FailureKind::Timeout, "the TLS handshake did not end".to_owned()),
        };
        Failure::new(kind, format!("{what} within {limit:?}"))
    }
}

fn unaccepted(address: SocketAddr) -> String {
    format!("{address} did not accept a connection")
}

/// Opens a connection to the plan's target, within its connect limit.
pub async fn open(
    plan: &ProbePlan,
    names: &Names,
    tls: Option<&Arc<ClientConfig>>,
    opening: &mut Opening,
) -> Result<Stream, Failure> {
    let limit = plan.limits.connect;
    let mut wait = Wait::Addresses;
    let work = async {
        let start = clock::now();
        let (host, port) = plan.overrides.connect_to(&plan.target.host, plan.target.port);
        let addresses = addresses(plan, names, &host, port).await?;
        let found = clock::now();
        opening.dns = Some(found - start);
        let stream = tcp(plan, &addresses, port, &mut wait, &mut opening.passed_over).await?;
        let connected = clock::now();
        opening.connect = Some(connected - found);
        let Some(config) = tls else { return Ok(Stream::Plain(stream)) };
        wait = Wait::Handshake;
        let stream = encrypt(plan, config, stream).await?;
        opening.tls = Some(clock::now() - connected);
        Ok(Stream::Tls(Box::new(stream)))
    };
    match timeout(limit, work).await {
        Ok(opened) => opened,
        Err(_) => Err(wait.overdue(limit)),
    }
}

/// The addresses to try, in order: the overrides', else what the name resolves to.
async fn addresses(
    plan: &ProbePlan,
    names: &Names,
    host: &str,
    port: u16,
) -> Result<Vec<IpAddr>, Failure> {
    // As in curl, an override without an address of the family asked for is none.
    let given = plan.overrides.addresses(host, port).unwrap_or_default();
    let wanted = plan.names.family.of(given.iter().copied());
    if !wanted.is_empty() {
        return Ok(wanted);
    }
    let found = names.lookup(host).await;
    let found = found.map_err(|error| Failure::new(FailureKind::Dns, error.to_string()))?;
    Ok(found.to_vec())
}

/// Connects to the first address that accepts, as curl does; the time left is
/// shared among the addresses left, so that a dead first one leaves time for the rest.
async fn tcp(
    plan: &ProbePlan,
    addresses: &[IpAddr],
    port: u16,
    wait: &mut Wait,
    passed_over: &mut Vec<(SocketAddr, String)>,
) -> Result<TcpStream, Failure> {
    let Some((last, others)) = addresses.split_last() else {
        return Err(Failure::new(FailureKind::Dns, "the name has no address"));
    };
    let start = clock::now();
    for (n, address) in others.iter().enumerate() {
        let address = SocketAddr::new(*address, port);
        *wait = Wait::Accept(address);
        let left = plan.limits.connect.saturating_sub(clock::now() - start);
        let share = left / u32::try_from(addresses.len() - n).unwrap_or(u32::MAX);
        let why = match timeout(share, TcpStream::connect(address)).await {
            // Nagle's delay is left on: a request is one write, and waits for nothing.
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => refused(address, &error),
            Err(_) => {
                format!("{} within its share of {:?}", unaccepted(address), plan.limits.connect)
            }
        };
        passed_over.push((address, why));
    }
    // The last one has all the time that is left, which the caller measures.
    let address = SocketAddr::new(*last, port);
    *wait = Wait::Accept(address);
    let connected = TcpStream::connect(address).await;
    connected.map_err(|error| Failure::new(FailureKind::Connect, refused(address, &error)))
}

/// What the system said, with what to do where it is this machine's limit.
fn refused(address: SocketAddr, error: &std::io::Error) -> String {
    const EMFILE: i32 = 24;
    const EADDRNOTAVAIL: i32 = 99;
    match error.raw_os_error() {
        Some(EMFILE) => {
            "no file descriptor left on this machine; raise 'ulimit -n' or lower -c".into()
        }
        Some(EADDRNOTAVAIL) => format!("{address}: no local port left, or no such address here"),
        _ => match error.kind() {
            std::io::ErrorKind::ConnectionRefused => format!("{address} refused the connection"),
            _ => format!("{address}: {error}"),
        },
    }
}

async fn encrypt(
    plan: &ProbePlan,
    config: &Arc<ClientConfig>,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, Failure> {
    let failed = |what: String| Failure::new(FailureKind::Tls, what);
    // As in curl the name is the URL's, wherever --connect-to leads.
    let name = tls::server_name(&plan.target.host).map_err(|error| failed(error.to_string()))?;
    let connector = TlsConnector::from(Arc::clone(config));
    connector.connect(name, stream).await.map_err(|error| failed(tls::explain(&error)))
}
