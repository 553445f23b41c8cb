//! From a plan's target to an HTTP connection: addresses, TCP, TLS, handshake.

pub mod tls;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;

use crate::clock;
use crate::outcome::{Failure, FailureKind};
use crate::plan::ProbePlan;
use crate::resolve::Names;

/// The most bytes of response header that are read.
const MAX_HEADER_BYTES: usize = 65_536;
/// The most response headers that are read.
const MAX_HEADERS: usize = 128;

/// The body of a request: none.
pub type Body = Empty<Bytes>;

/// How far opening a connection came, also where it failed.
#[derive(Debug, Default)]
pub struct Progress {
    /// Whether TCP connected.
    pub connected: bool,
    /// Addresses that were tried first and failed, and why.
    pub passed_over: Vec<(SocketAddr, String)>,
}

/// Opens a connection to the plan's target, within its connect limit.
pub async fn open(
    plan: &ProbePlan,
    names: &Names,
    tls: Option<&Arc<ClientConfig>>,
    progress: &mut Progress,
) -> Result<SendRequest<Body>, Failure> {
    let limit = plan.limits.connect;
    let mut stage = (FailureKind::Dns, "no address of the name was found".to_owned());
    let opening = async {
        let (host, port) = plan.overrides.connect_to(&plan.target.host, plan.target.port);
        let addresses = addresses(plan, names, &host, port).await?;
        let stream = tcp(plan, &addresses, port, &mut stage, progress).await?;
        match tls {
            None => handshake(stream).await,
            Some(config) => {
                stage = (FailureKind::Timeout, "the TLS handshake did not end".to_owned());
                handshake(encrypt(plan, config, stream).await?).await
            }
        }
    };
    match timeout(limit, opening).await {
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
    progress: &mut Progress,
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
            Ok(Ok(stream)) => {
                progress.connected = true;
                // Small requests must not wait for an acknowledgement of the one before.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => Failure::new(FailureKind::Connect, refused(address, &error)),
            Err(_) => {
                let share = if n + 1 < addresses.len() { "its share of " } else { "" };
                let what = format!("{unaccepted} within {share}{:?}", plan.limits.connect);
                Failure::new(FailureKind::Timeout, what)
            }
        };
        if n + 1 < addresses.len() {
            progress.passed_over.push((address, last.what.clone()));
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
) -> Result<impl AsyncRead + AsyncWrite + Unpin + 'static, Failure> {
    let failed = |what: String| Failure::new(FailureKind::Tls, what);
    // As in curl the name is the URL's, wherever --connect-to leads.
    let name = tls::server_name(&plan.target.host).map_err(|error| failed(error.to_string()))?;
    let connector = TlsConnector::from(Arc::clone(config));
    connector.connect(name, stream).await.map_err(|error| failed(tls::explain(&error)))
}

async fn handshake<S>(stream: S) -> Result<SendRequest<Body>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEADER_BYTES)
        .max_headers(MAX_HEADERS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| crate::probe::classify(&error))?;
    // The connection's own errors reach the request through its sender.
    tokio::task::spawn_local(connection);
    Ok(sender)
}
