//! Makes the calls, with one connection per call, and reads the answers.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{ACCEPT, HOST, LOCATION, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request, Response};
use echo_reply::{Called, Reply, SCHEMA, headers as names, printable};
use http_body_util::{BodyExt as _, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::{AT_ONCE, CALLS_LEFT, DEPTH, List, MAX_DEPTH, Refusal, Target, may_lead_to};

/// The time limit of one call, including redirects.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// The time limit of all calls of a request together.
const ALL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a request waits until it may make calls.
const SLOT_TIMEOUT: Duration = Duration::from_secs(5);
/// The time limit for connecting to one address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const MAX_REDIRECTS: usize = 5;
/// The maximum size of the answers to all calls of a request together, in bytes.
const MAX_ANSWERS: usize = 256 << 10;
/// The maximum size of the head of an answer, in bytes.
const MAX_HEAD: usize = 32 << 10;
/// How much is kept of an answer that is not an echo's, in bytes.
const MAX_TEXT: usize = 4 << 10;
/// The maximum number of headers, certificates and calls in the answer of an echo. Each costs
/// more memory than it has bytes.
const MAX_ITEMS: usize = 4096;
/// The maximum size of the trace headers that are passed on, in bytes. W3C baggage has at most
/// 8192.
const MAX_TRACE: usize = 16 << 10;
const AGENT: &str = concat!("echo/", env!("CARGO_PKG_VERSION"));

/// Calls the hosts on the list.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) list: List,
    /// By depth.
    slots: [Semaphore; MAX_DEPTH as usize],
}

/// The results of calls, and the slot that limits how many of them are in memory.
pub(crate) struct Calls<'a> {
    pub(crate) made: Vec<Called>,
    pub(crate) slot: SemaphorePermit<'a>,
}

/// What the calls of a request may still cost.
struct Budget {
    /// The calls that the current call may cause, itself included.
    calls: u32,
    /// The size of all further answers.
    bytes: usize,
    /// The end of all calls.
    end: Instant,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot resolve {}: {}", .0, usage::system_error(.1))]
    NoAddress(String, io::Error),
    #[error("{0} resolves to {1}, which is a local address; allow the address instead of the name")]
    Forbidden(String, IpAddr),
    #[error("cannot connect: {}", usage::local_limit(.0))]
    Connect(io::Error),
    #[error("no answer: {}", usage::why_no_answer(.0))]
    Exchange(#[from] hyper::Error),
    #[error(
        "the answer broke off, or all answers to this request are longer than {MAX_ANSWERS} bytes"
    )]
    Body,
    #[error("redirected, but {0}")]
    Redirect(Refusal),
    #[error("redirected more than {MAX_REDIRECTS} times")]
    Redirects,
    #[error("redirected, but no call is left; write a smaller n")]
    Spent,
    #[error("not called: the calls of a request may take {ALL_TIMEOUT:?} in all")]
    TooLate,
    #[error("timed out after {CALL_TIMEOUT:?}")]
    TimedOut,
}

impl Caller {
    pub(crate) fn new(list: List) -> Self {
        Self { list, slots: std::array::from_fn(|_| Semaphore::new(AT_ONCE)) }
    }

    /// Makes all calls that a request asks for, one after the other. Its trace headers are
    /// passed on.
    ///
    /// # Errors
    /// If the request may not make these calls, or if too many others make calls.
    pub(crate) async fn call(&self, head: &Parts) -> Result<Calls<'_>, Refusal> {
        let asked = self.list.asked(head)?;
        let slots = usize::try_from(asked.depth - 1).ok().and_then(|depth| self.slots.get(depth));
        let slot = slots.ok_or(Refusal::TooDeep)?.acquire();
        let slot = tokio::time::timeout(SLOT_TIMEOUT, slot).await;
        let Ok(Ok(slot)) = slot else { return Err(Refusal::Busy) };
        let headers = passed_on(&head.headers, asked.depth);
        let mut made = Vec::new();
        let end = Instant::now() + ALL_TIMEOUT;
        let mut budget = Budget { calls: 0, bytes: MAX_ANSWERS, end };
        for calls in &asked.budgets {
            budget.calls = *calls;
            made.push(self.once(&asked.target, &headers, &mut budget).await);
        }
        Ok(Calls { made, slot })
    }

    async fn once(&self, target: &Target, headers: &HeaderMap, budget: &mut Budget) -> Called {
        let started = Instant::now();
        let mut called = Called { url: target.url.clone(), ..Called::default() };
        if started >= budget.end {
            called.error = Some(Failure::TooLate.to_string());
            return called;
        }
        let end = budget.end.min(started + CALL_TIMEOUT);
        let answered = self.follow(target, headers, budget, &mut called.url);
        let answered = tokio::time::timeout_at(end, answered).await;
        called.duration_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        match answered.unwrap_or(Err(Failure::TimedOut)) {
            Ok((head, body)) => {
                called.status = Some(head.status().as_u16());
                match echo_reply(&body) {
                    Some(reply) => {
                        budget.bytes -= body.len();
                        called.reply = Some(Box::new(reply));
                    }
                    None => {
                        let start = body.get(..MAX_TEXT).unwrap_or(&body);
                        let text = String::from_utf8_lossy(start);
                        called.text = Some(printable(text.trim_end()).into_owned());
                    }
                }
            }
            Err(failure) => called.error = Some(failure.to_string()),
        }
        called
    }

    /// Sends a request and follows redirects. `url` is set to the last URL that was asked.
    async fn follow(
        &self,
        target: &Target,
        headers: &HeaderMap,
        budget: &mut Budget,
        url: &mut String,
    ) -> Result<(Response<()>, Bytes), Failure> {
        let (mut target, mut headers) = (target.clone(), headers.clone());
        for _ in 0..=MAX_REDIRECTS {
            url.clone_from(&target.url);
            // What the next one may spend. An echo never redirects, so who did has called nobody.
            budget.calls = budget.calls.checked_sub(1).ok_or(Failure::Spent)?;
            headers.insert(CALLS_LEFT, budget.calls.into());
            let (head, body) = ask(&target, &headers, budget.bytes).await?;
            let location = head.headers().get(LOCATION).filter(|_| head.status().is_redirection());
            let Some(location) = location else { return Ok((head, body)) };
            let location = String::from_utf8_lossy(location.as_bytes());
            let location = if location.starts_with('/') && !location.starts_with("//") {
                format!("http://{}{location}", target.authority)
            } else {
                location.into_owned()
            };
            target = self.list.target(&location).map_err(Failure::Redirect)?;
        }
        Err(Failure::Redirects)
    }
}

/// The headers of each call. Trace headers that are too large together are left out.
fn passed_on(from: &HeaderMap, depth: u32) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in names::TRACE {
        for value in from.get_all(name) {
            headers.append(name, value.clone());
        }
    }
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if size > MAX_TRACE {
        headers.clear();
    }
    headers.insert(DEPTH, depth.into());
    headers.insert(ACCEPT, axum::http::HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, axum::http::HeaderValue::from_static(AGENT));
    headers
}

/// Resolves a host; refuses it if any of its addresses is not allowed.
async fn addresses(target: &Target) -> Result<Vec<SocketAddr>, Failure> {
    let Target { host, port, .. } = target;
    // An address was allowed as such.
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, *port)]);
    }
    let none = |error| Failure::NoAddress(host.clone(), error);
    let found: Vec<_> = lookup_host((host.as_str(), *port)).await.map_err(none)?.collect();
    match found.iter().find(|address| !may_lead_to(host, address.ip())) {
        // One refused address makes the whole name suspect.
        Some(address) => Err(Failure::Forbidden(host.clone(), address.ip())),
        None if found.is_empty() => Err(none(io::Error::from(io::ErrorKind::NotFound))),
        None => Ok(found),
    }
}

async fn connect(target: &Target) -> Result<TcpStream, Failure> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    // Connects to the checked addresses: the name is not resolved again.
    for address in addresses(target).await? {
        match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(late) => last = late.into(),
        }
    }
    Err(Failure::Connect(last))
}

/// Sends one request; reads at most `most` bytes of the answer's body.
async fn ask(
    target: &Target,
    headers: &HeaderMap,
    most: usize,
) -> Result<(Response<()>, Bytes), Failure> {
    let stream = connect(target).await?;
    let mut http = hyper::client::conn::http1::Builder::new();
    http.max_buf_size(MAX_HEAD);
    let (mut send, connection) = http.handshake::<_, Body>(TokioIo::new(stream)).await?;
    let mut request = Request::new(Body::empty());
    *request.headers_mut() = headers.clone();
    if let Ok(host) = target.authority.parse() {
        request.headers_mut().insert(HOST, host);
    }
    *request.uri_mut() = target.path.parse().unwrap_or_default();
    let exchange = async {
        let response = send.send_request(request).await?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, most).collect().await.map_err(|_| Failure::Body)?;
        Ok((Response::from_parts(head, ()), body.to_bytes()))
    };
    let mut exchange = std::pin::pin!(exchange);
    // Polls the connection here, so that it ends with the call.
    tokio::select! {
        answer = exchange.as_mut() => answer,
        ended = connection => match ended {
            Ok(()) => exchange.await,
            Err(error) => Err(error.into()),
        },
    }
}

/// The answer of an echo; `None` for any other answer.
fn echo_reply(body: &[u8]) -> Option<Reply> {
    let reply: Reply = serde_json::from_slice(body).ok()?;
    let is_echo = reply.schema == SCHEMA && reply.identity.is_printable();
    (is_echo && items(&reply) <= MAX_ITEMS).then_some(reply)
}

/// The headers, certificates and calls in a reply, at any depth.
fn items(reply: &Reply) -> usize {
    let headers: usize = reply.headers.values().map(|values| 1 + values.len()).sum();
    let nested = reply.calls.iter().filter_map(|call| call.reply.as_deref()).map(items);
    headers + reply.xfcc.len() + reply.calls.len() + nested.sum::<usize>()
}
