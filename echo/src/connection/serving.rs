//! Serves a connection as soon as its HTTP version is known. HTTP/1 has a server of its own:
//! the one for both versions buffers the first bytes and needs memory for both.

use std::error::Error;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::activity::Watched;
use super::held::Held;
use super::protocol::Protocol;

/// The start of every HTTP/2 connection (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream whose HTTP version can be found out before anything is read from it.
pub(crate) trait Sniff: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Whether it may be HTTP/2; ready when that is known.
    fn poll_may_be_http2(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>>;
}

impl Sniff for TcpStream {
    fn poll_may_be_http2(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut bytes = [MaybeUninit::uninit(); PREFACE.len()];
        let mut bytes = ReadBuf::uninit(&mut bytes);
        ready!(self.poll_peek(cx, &mut bytes))?;
        Poll::Ready(Ok(may_be_http2(bytes.filled())))
    }
}

impl Sniff for TlsStream<TcpStream> {
    /// ALPN has chosen the version. Without ALPN, both are possible.
    fn poll_may_be_http2(&mut self, _: &mut Context<'_>) -> Poll<io::Result<bool>> {
        Poll::Ready(Ok(self.get_ref().1.alpn_protocol() != Some(b"http/1.1")))
    }
}

/// Whether a connection that starts with these bytes may be HTTP/2.
fn may_be_http2(beginning: &[u8]) -> bool {
    !beginning.is_empty() && PREFACE.starts_with(beginning)
}

type Io<S> = TokioIo<Watched<S>>;
type Http1<S, V> = http1::UpgradeableConnection<Io<S>, V>;
type Either<'a, S, V> = auto::UpgradeableConnection<'a, Io<S>, V, TokioExecutor>;

/// A connection and the server of its HTTP version.
pub(super) struct Serving<'a, S, V>
where
    V: Service<Request<Incoming>, Response = Response<Held>, Error = io::Error>,
    V::Future: Send + 'static,
{
    protocol: &'a Protocol,
    state: State<'a, S, V>,
}

enum State<'a, S, V>
where
    V: Service<Request<Incoming>, Response = Response<Held>, Error = io::Error>,
    V::Future: Send + 'static,
{
    /// Nothing has arrived yet. Most of the memory is allocated later.
    Silent(Watched<S>, V),
    Http1(Pin<Box<Http1<S, V>>>),
    Either(Pin<Box<Either<'a, S, V>>>),
    Over,
}

impl<'a, S, V> Serving<'a, S, V>
where
    S: Sniff,
    V: Service<Request<Incoming>, Response = Response<Held>, Error = io::Error> + Unpin,
    V::Future: Send + 'static,
{
    pub(super) fn new(protocol: &'a Protocol, stream: Watched<S>, service: V) -> Self {
        Self { protocol, state: State::Silent(stream, service) }
    }

    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Box<dyn Error + Send + Sync>>> {
        loop {
            match &mut self.state {
                State::Silent(stream, _) => {
                    let may_be_http2 = ready!(stream.get_mut().poll_may_be_http2(cx))?;
                    self.begin(may_be_http2);
                }
                State::Http1(connection) => {
                    return connection.as_mut().poll(cx).map_err(Into::into);
                }
                State::Either(connection) => return connection.as_mut().poll(cx),
                State::Over => return Poll::Ready(Ok(())),
            }
        }
    }

    fn begin(&mut self, may_be_http2: bool) {
        let state = std::mem::replace(&mut self.state, State::Over);
        let State::Silent(stream, service) = state else { return };
        let io = TokioIo::new(stream);
        self.state = if may_be_http2 {
            let connection = self.protocol.either.serve_connection_with_upgrades(io, service);
            State::Either(Box::pin(connection))
        } else {
            let connection = self.protocol.http1.serve_connection(io, service);
            State::Http1(Box::pin(connection.with_upgrades()))
        };
    }

    /// Ends the connection after the requests in flight.
    pub(super) fn finish(&mut self) {
        match &mut self.state {
            State::Silent(..) => self.state = State::Over,
            State::Http1(connection) => connection.as_mut().graceful_shutdown(),
            State::Either(connection) => connection.as_mut().graceful_shutdown(),
            State::Over => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_preface_and_its_beginnings_may_be_http2() {
        for length in 1..=PREFACE.len() {
            assert!(may_be_http2(&PREFACE[..length]), "{length}");
        }
        for other in ["", "GET / HTTP/1.1\r\n", "PUT / HTTP/1.1\r\n", "PRI * HTTP/1.1\r\n", "\x16"]
        {
            assert!(!may_be_http2(other.as_bytes()), "{other:?}");
        }
    }
}
