//! From a plan's target to an open connection: addresses, TCP, TLS, each phase timed.

mod dead;
mod dial;
mod idle;
mod local;
mod opening;
mod proxy_header;
pub(super) mod tls;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::HandshakeKind;

use crate::cli::ProxyHeader;
use crate::clock;
use crate::engine::response::broken;
use crate::plan::ProbePlan;
use crate::resolve::Names;
use crate::tally::outcome::{Failure, FailureKind};
pub(super) use dead::DeadAddresses;
use dial::Dial;
pub(crate) use dial::of_target;
pub(super) use idle::Quiet;
pub(super) use local::{LocalEnd, LocalError};
pub(super) use opening::Opening;
use tls::{Client, FirstBytes};

type Encrypted = TlsStream<FirstBytes<TcpStream>>;

/// A stream of bytes, encrypted or not.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<Encrypted>),
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

/// What a connection is opened with, beside its plan.
pub(super) struct ConnectWith<'a> {
    pub names: &'a Names,
    pub dead: &'a Arc<DeadAddresses>,
    pub local: &'a LocalEnd,
    /// For https.
    pub tls: Option<&'a Client>,
}

/// Opens a connection to the plan's target, within the connect timeout.
pub(super) async fn open(
    plan: &ProbePlan,
    with: ConnectWith<'_>,
    opening: &mut Opening,
) -> Result<Stream, Failure> {
    let ConnectWith { names, dead, local, tls } = with;
    let limit = plan.limits.connect;
    let start = clock::now();
    let (host, port) = plan.overrides.connect_to(&plan.target.host, plan.target.port);
    // A look-up keeps to the limit by itself, and its own message says what it waited for.
    let addresses = dial::addresses(plan, names, &host, port, opening.number).await?;
    opening.addresses = addresses.len();
    let found = clock::now();
    opening.dns = Some(found - start);
    let left = limit.saturating_sub(found - start);
    let addresses = local.reached(addresses)?;
    let dial = Dial { addresses: &addresses, port, select: &plan.select, dead, local, limit, left };
    let mut stream = dial.connect(opening).await?;
    let connected = clock::now();
    opening.connect = Some(connected - found);
    let several_writes = plan.proxy_header.is_some() || plan.request.body.is_some();
    if plan.protocol.is_http2() || several_writes {
        // Without the option it is only slower.
        let _ = stream.set_nodelay(true);
    }
    if let Some(version) = plan.proxy_header {
        introduce(&mut stream, version).await.map_err(|error| broken(&error, None))?;
    }
    let Some(client) = tls else { return Ok(Stream::Plain(stream)) };
    let left = limit.saturating_sub(connected - start);
    let Ok(encrypted) = timeout(left, encrypt(plan, client, stream)).await else {
        let what = format!("the TLS handshake did not finish within {limit:?}");
        return Err(Failure::new(FailureKind::Timeout, what));
    };
    let stream = encrypted?;
    opening.tls = Some(clock::now() - connected);
    match stream.get_ref().1.handshake_kind() {
        Some(HandshakeKind::Resumed) => opening.transport.tls_resumed += 1,
        _ => opening.transport.tls_full += 1,
    }
    check_protocol(plan, &stream)?;
    Ok(Stream::Tls(Box::new(stream)))
}

/// Sends the PROXY header, before TLS.
async fn introduce(stream: &mut TcpStream, version: ProxyHeader) -> std::io::Result<()> {
    let (from, to) = (stream.local_addr()?, stream.peer_addr()?);
    stream.write_all(&proxy_header::bytes(version, from, to)).await
}

async fn encrypt(
    plan: &ProbePlan,
    client: &Client,
    stream: TcpStream,
) -> Result<Encrypted, Failure> {
    let failed = |what: String| Failure::new(FailureKind::Tls, what);
    // As in curl, the name is the URL's, whatever --connect-to says.
    let host = &plan.target.host;
    let name = tls::server_name(host).map_err(|_| failed(tls::bad_server_name(host)))?;
    let handshake = client.connector().connect(name, FirstBytes::new(stream)).into_fallible();
    handshake.await.map_err(|(error, stream)| failed(client.failure(&error, stream.bytes(), host)))
}

fn check_protocol(plan: &ProbePlan, stream: &Encrypted) -> Result<(), Failure> {
    if !plan.protocol.is_http2() || stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        return Ok(());
    }
    let what = "the server does not offer HTTP/2 (ALPN did not select h2); try --http1.1";
    Err(Failure::new(FailureKind::Protocol, what))
}
