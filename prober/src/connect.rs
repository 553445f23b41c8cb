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

/// Opens a connection to the plan's target, within its connect limit.
pub async fn open(
    plan: &ProbePlan,
    names: &Names,
    tls: Option<&Arc<ClientConfig>>,
    opening: &mut Opening,
) -> Result<Stream, Failure> {
    let limit = plan.limits.connect;
    let mut stage = (FailureKind::Dns, "no address of the name was found".to_owned());
    let work = async {
        let start = clock::now();
        let (host, port) = plan.overrides.connect_to(&plan.target.host, plan.target.port);
        let addresses = addresses(plan, names, &host, port).await?;
        let found = clock::now();
        opening.dns = Some(found - start);
        let stream = tcp(plan, &addresses, port, &mut stage, &mut opening.passed_over).await?;
        let connected = clock::now();
        opening.connect = Some(connected - found);
        let Some(config) = tls else { return Ok(Stream::Plain(stream)) };
        stage = (FailureKind::Timeout, "the TLS handshake did not end".to_owned());
        let stream = encrypt(plan, config, stream).await?;
        opening.tls = Some(clock::now() - connected);
        Ok(Stream::Tls(Box::new(stream)))
    };
    match timeout(limit, work).await {
        Ok(opened) => opened,
        Err(_) => Err(Failure::new(stage.0, format!("{} within {limit:?}", stage.1))),
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
    stage: &mut (FailureKind, String),
    passed_over: &mut Vec<(SocketAddr, String)>,
) -> Result<TcpStream, Failure> {
    let start = clock::now();
    let mut last = Failure::new(FailureKind::Dns, "the name has no address");
    for (n, address) in addresses.iter().enumerate() {
        let address = SocketAddr::new(*address, port);
        let unaccepted = format!("{address} did not accept a connection");
        *stage = (FailureKind::Timeout, unaccepted.clone());
        let left = plan.limits.connect.saturating_sub(clock::now() - start);
        let share = left / u32::try_from(addresses.len() - n).unwrap_or(u32::MAX);
        last = match timeout(share, TcpStream::connect(address)).await {
            // Nagle's delay is left on: a request is one write, and waits for nothing.
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => Failure::new(FailureKind::Connect, refused(address, &error)),
            Err(_) => {
                let share = if n + 1 < addresses.len() { "its share of " } else { "" };
                let what = format!("{unaccepted} within {share}{:?}", plan.limits.connect);
                Failure::new(FailureKind::Timeout, what)
            }
        };
        if n + 1 < addresses.len() {
            passed_over.push((address, last.what.clone()));
        }
    }
    Err(last)
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
