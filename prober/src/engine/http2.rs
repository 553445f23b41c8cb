//! HTTP/2: connections that several lanes share; each request is a stream.
//!
//! A response is written into the buffers as HTTP/1.1, with trailers after the headers, so that
//! one reader serves both protocols.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header};

use crate::clock;
use crate::engine::connect::Stream;
use crate::engine::response::{Buffers, EchoNumbers, MAX_HEAD, Response, Stage, broken};
use crate::engine::wire::{Ending, Head, probe_id};
use crate::plan::{ProbePlan, Protocol};
use crate::tally::outcome::{Failure, FailureKind};

/// An empty gRPC message: not compressed, zero bytes long. Every field of the request has its
/// default value.
const EMPTY_MESSAGE: [u8; 5] = [0; 5];

/// Connection headers, which HTTP/1.1 has and HTTP/2 forbids (RFC 9113, 8.2.2).
const CONNECTION_HEADERS: [&str; 5] =
    ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// A request without its number.
#[derive(Debug)]
pub(super) struct Template {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Option<Bytes>,
    run_id: String,
    id: String,
}

impl Template {
    /// The request of a plan; its probe id starts with `run_id`.
    #[must_use]
    pub(super) fn new(plan: &ProbePlan, run_id: &str) -> Self {
        let mut headers = plan.request.headers.to_map();
        let host = headers.remove(header::HOST);
        let authority = host.as_ref().map_or(plan.target.authority.as_bytes(), |h| h.as_bytes());
        for name in CONNECTION_HEADERS {
            headers.remove(name);
        }
        let grpc = matches!(plan.protocol, Protocol::Grpc(_));
        if grpc {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        }
        if grpc || headers.contains_key(header::TE) {
            // The only value that HTTP/2 allows.
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
        }
        let uri = Uri::builder()
            .scheme(if plan.target.tls { "https" } else { "http" })
            .authority(authority)
            .path_and_query(plan.target.path.as_str())
            .build()
            .expect("the plan holds a path, and a Host header that is an authority");
        Self {
            method: if grpc { Method::POST } else { plan.request.method.clone() },
            uri,
            headers,
            body: if grpc {
                Some(Bytes::from_static(&EMPTY_MESSAGE))
            } else {
                plan.request.body.clone()
            },
            run_id: run_id.to_owned(),
            id: String::new(),
        }
    }

    fn numbered(&mut self, sequence: u64) -> Request<()> {
        self.id = probe_id(&self.run_id, sequence);
        let mut request = Request::new(());
        *request.version_mut() = Version::HTTP_2;
        request.method_mut().clone_from(&self.method);
        request.uri_mut().clone_from(&self.uri);
        request.headers_mut().clone_from(&self.headers);
        if let Ok(id) = HeaderValue::from_str(&self.id) {
            let name = HeaderName::from_static(echo_reply::headers::PROBE_ID);
            request.headers_mut().insert(name, id);
        }
        request
    }

    /// The probe id of the request that was numbered last.
    #[must_use]
    pub(super) fn id(&self) -> &[u8] {
        self.id.as_bytes()
    }
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Bytes>,
    opened: Instant,
    /// Where it leads.
    pub remote: Option<SocketAddr>,
    /// How many more requests may start on it.
    uses: Cell<u64>,
    numbers: EchoNumbers,
}

impl Connection {
    /// Starts HTTP/2 on a stream, for up to `uses` requests, without waiting for the server's
    /// settings.
    pub(super) async fn new(
        stream: Stream,
        uses: u64,
        remote: Option<SocketAddr>,
    ) -> Result<Self, Failure> {
        let opened = clock::now();
        let mut builder = Builder::new();
        builder.enable_push(false).max_header_list_size(MAX_HEAD as u32);
        let started = builder.handshake(stream).await;
        let (sender, connection) = started.map_err(|error| failed(&error, None))?;
        // Ends when the last sender is dropped, or with the runtime. Its streams report its
        // errors.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        let numbers = EchoNumbers::default();
        Ok(Self { sender, opened, remote, uses: Cell::new(uses), numbers })
    }

    /// Whether the server has announced a graceful end (GOAWAY with NO_ERROR).
    async fn is_ending(&self) -> bool {
        let mut sender = self.sender.clone();
        poll_fn(|cx| {
            Poll::Ready(match sender.poll_ready(cx) {
                Poll::Ready(Err(error)) => {
                    error.is_go_away() && error.reason() == Some(Reason::NO_ERROR)
                }
                _ => false,
            })
        })
        .await
    }
}

/// Holds the connection that lanes share: one at a time takes new requests.
#[derive(Debug, Default)]
pub(super) struct ConnectionSlot {
    current: RefCell<Option<Rc<Connection>>>,
    opening: tokio::sync::Mutex<()>,
    /// How many connections were opened.
    opened: Cell<u64>,
}

impl ConnectionSlot {
    /// The connection for one more request, and whether it was already open. Otherwise `open`
    /// opens one; if several lanes need one at the same time, one opens it and the others wait.
    pub(super) async fn take<F: Future<Output = Result<Connection, Failure>>>(
        &self,
        lifetime: Option<Duration>,
        open: impl FnOnce(u64) -> F,
    ) -> Result<(Rc<Connection>, bool), Failure> {
        if let Some(connection) = self.usable(lifetime).await {
            return Ok((connection, true));
        }
        let _opening = self.opening.lock().await;
        if let Some(connection) = self.usable(lifetime).await {
            return Ok((connection, true));
        }
        self.opened.set(self.opened.get() + 1);
        let connection = Rc::new(open(self.opened.get()).await?);
        let left = connection.uses.get().saturating_sub(1);
        connection.uses.set(left);
        *self.current.borrow_mut() = (left > 0).then(|| Rc::clone(&connection));
        Ok((connection, false))
    }

    async fn usable(&self, lifetime: Option<Duration>) -> Option<Rc<Connection>> {
        let connection = Rc::clone(self.current.borrow().as_ref()?);
        let age = || clock::now().saturating_duration_since(connection.opened);
        if lifetime.is_some_and(|most| age() >= most) || connection.is_ending().await {
            self.retire(&connection);
            return None;
        }
        let left = connection.uses.get().checked_sub(1)?;
        connection.uses.set(left);
        if left == 0 {
            self.retire(&connection);
        }
        Some(connection)
    }

    /// Starts no further request on a connection; those in flight continue.
    pub(super) fn retire(&self, connection: &Rc<Connection>) {
        let mut current = self.current.borrow_mut();
        if current.as_ref().is_some_and(|known| Rc::ptr_eq(known, connection)) {
            *current = None;
        }
    }
}

/// Why a stream gave no response.
#[derive(Debug)]
pub(super) struct StreamFailure {
    pub failure: Failure,
    /// Whether only the stream failed, so that the connection can carry other requests.
    pub stream_only: bool,
}

impl StreamFailure {
    fn of(error: &h2::Error, in_body: Option<usize>) -> Self {
        Self { failure: failed(error, in_body), stream_only: error.is_reset() }
    }
}

impl Connection {
    /// Sends a request and reads its response into `buffers`, of which the body up to `limit`
    /// bytes.
    pub(super) async fn exchange(
        &self,
        template: &mut Template,
        sequence: u64,
        limit: usize,
        buffers: &mut Buffers,
        stage: &mut Stage,
    ) -> Result<Response, StreamFailure> {
        buffers.buffer.clear();
        buffers.unchunked.clear();
        *stage = Stage::Head;
        let sent_at = clock::now();
        let response =
            self.send(template, sequence).await.map_err(|e| StreamFailure::of(&e, None))?;
        let (parts, mut body) =
            response.await.map_err(|error| StreamFailure::of(&error, None))?.into_parts();
        let first_byte = clock::now().saturating_duration_since(sent_at);
        *stage = Stage::Body;
        let body_error =
            |error, buffers: &Buffers| StreamFailure::of(&error, Some(buffers.unchunked.len()));
        let cut = read_body(&mut body, limit, &mut buffers.unchunked)
            .await
            .map_err(|error| body_error(error, buffers))?;
        let trailers = match cut {
            // Does not wait for the rest of the body.
            true => None,
            false => body.trailers().await.map_err(|error| body_error(error, buffers))?,
        };
        let end = clock::now();
        write_head(parts.status.as_u16(), [Some(&parts.headers), trailers.as_ref()], buffers);
        let head = Head::read(&buffers.buffer, template.method == Method::HEAD);
        let mut head = head.ok().flatten().ok_or_else(|| StreamFailure {
            failure: Failure::new(FailureKind::Protocol, "the response has too many headers"),
            stream_only: true,
        })?;
        head.ending = Ending::Chunked;
        let body = buffers.unchunked.len();
        let repeated = self.numbers.repeated(&head, &buffers.buffer);
        let interim = 0;
        Ok(Response { head, body, cut, repeated, interim, first_byte, end, keep_alive: true })
    }

    async fn send(
        &self,
        template: &mut Template,
        sequence: u64,
    ) -> Result<ResponseFuture, h2::Error> {
        let mut sender = self.sender.clone().ready().await?;
        let body = template.body.clone();
        let (response, mut stream) =
            sender.send_request(template.numbered(sequence), body.is_none())?;
        if let Some(body) = body {
            stream.send_data(body, true)?;
        }
        Ok(response)
    }
}

/// Reads a body up to `limit` bytes. Returns whether there is more of it.
async fn read_body(
    body: &mut RecvStream,
    limit: usize,
    into: &mut Vec<u8>,
) -> Result<bool, h2::Error> {
    while let Some(data) = body.data().await {
        let data = data?;
        let room = limit - into.len();
        into.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            return Ok(true);
        }
        body.flow_control().release_capacity(data.len())?;
    }
    Ok(false)
}

/// Writes a head as HTTP/1.1 without the headers that frame a body.
fn write_head(status: u16, maps: [Option<&HeaderMap>; 2], buffers: &mut Buffers) {
    let buffer = &mut buffers.buffer;
    buffer.extend_from_slice(format!("HTTP/1.1 {status} \r\n").as_bytes());
    for (name, value) in maps.into_iter().flatten().flatten() {
        if *name == header::CONTENT_LENGTH || CONNECTION_HEADERS.contains(&name.as_str()) {
            continue;
        }
        buffer.extend_from_slice(name.as_str().as_bytes());
        buffer.extend_from_slice(b": ");
        buffer.extend_from_slice(value.as_bytes());
        buffer.extend_from_slice(b"\r\n");
    }
    buffer.extend_from_slice(b"\r\n");
}

/// What an HTTP/2 error means.
fn failed(error: &h2::Error, in_body: Option<usize>) -> Failure {
    if let Some(io) = error.get_io() {
        return broken(io, in_body);
    }
    let reason = error.reason().unwrap_or(Reason::INTERNAL_ERROR);
    let place = in_body.map_or_else(String::new, |n| format!(" in the body, after {n} bytes"));
    let (kind, what) = if error.is_remote() && error.is_go_away() {
        (
            FailureKind::Reset,
            format!("the server closed the connection (GOAWAY {}){place}", code(reason)),
        )
    } else if error.is_remote() {
        (FailureKind::Reset, format!("the server reset the stream ({}){place}", code(reason)))
    } else {
        (FailureKind::Protocol, format!("the response is not HTTP/2: {}{place}", violation(reason)))
    };
    Failure::new(kind, what)
}

/// The name of an error code in RFC 9113, or its number.
fn code(reason: Reason) -> String {
    let known = u32::from(reason) <= u32::from(Reason::HTTP_1_1_REQUIRED);
    if known { format!("{reason:?}") } else { format!("error code {}", u32::from(reason)) }
}

/// What is wrong with an answer that is not valid HTTP/2.
fn violation(reason: Reason) -> &'static str {
    match reason {
        Reason::FRAME_SIZE_ERROR => "a frame has a wrong size",
        Reason::COMPRESSION_ERROR => "its headers cannot be decompressed",
        Reason::FLOW_CONTROL_ERROR => "it is longer than the flow control allows",
        Reason::STREAM_CLOSED => "a frame came after the end of its stream",
        Reason::HTTP_1_1_REQUIRED => "the server requires HTTP/1.1",
        Reason::SETTINGS_TIMEOUT => "the server did not confirm the settings",
        _ => "a frame breaks the protocol",
    }
}
