//! Makes the calls, with one connection per call, and reads the answers.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{ACCEPT, HOST, LOCATION, USER_AGENT};
use axum::http::{HeaderMap, Request, Response};
use echo_reply::{Called, Reply, SCHEMA, headers as names, printable};
use http_body_util::{BodyExt as _, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::{Asked, DEPTH, List, Refusal, Target, may_lead_to};

/// The time limit of one call, including redirects.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// The time limit for connecting to one address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const MAX_REDIRECTS: usize = 5;
/// In bytes.
const MAX_ANSWER: usize = 1 << 20;
/// The maximum number of concurrent calls of all requests together.
const AT_ONCE: usize = 64;
const AGENT: &str = concat!("echo/", env!("CARGO_PKG_VERSION"));

/// Calls the hosts on the list.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) list: List,
    slots: Semaphore,
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
    #[error("the answer broke off or is longer than {MAX_ANSWER} bytes")]
    Body,
    #[error("redirected, but {0}")]
    Redirect(Refusal),
    #[error("redirected more than {MAX_REDIRECTS} times")]
    Redirects,
    #[error("timed out after {CALL_TIMEOUT:?}")]
    TimedOut,
}

impl Caller {
    pub(crate) fn new(list: List) -> Self {
        Self { list, slots: Semaphore::new(AT_ONCE) }
    }

    /// Makes all calls, one after the other. The trace headers of the request are passed
    /// on.
    pub(crate) async fn call(&self, asked: &Asked, from: &HeaderMap) -> Vec<Called> {
        let headers = passed_on(from, asked.depth);
        let mut calls = Vec::new();
        for _ in 0..asked.times {
            calls.push(self.once(&asked.target, &headers).await);
        }
        calls
    }

    async fn once(&self, target: &Target, headers: &HeaderMap) -> Called {
        let _slot = self.slots.acquire().await;
        let started = Instant::now();
        let mut url = target.url.clone();
        let answered = tokio::time::timeout(CALL_TIMEOUT, self.follow(target, headers, &mut url));
        let answered = answered.await.unwrap_or(Err(Failure::TimedOut));
        let took = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mut called = Called { url, duration_us: took, ..Called::default() };
        match answered {
            Ok((head, body)) => {
                called.status = Some(head.status().as_u16());
                match echo_reply(&body) {
                    Some(reply) => called.reply = Some(Box::new(reply)),
                    None => {
                        let text = String::from_utf8_lossy(&body);
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
        url: &mut String,
    ) -> Result<(Response<()>, Bytes), Failure> {
        let mut target = target.clone();
        for _ in 0..=MAX_REDIRECTS {
            url.clone_from(&target.url);
            let (head, body) = ask(&target, headers).await?;
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

fn passed_on(from: &HeaderMap, depth: u32) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in names::TRACE {
        for value in from.get_all(name) {
            headers.append(name, value.clone());
        }
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

async fn ask(target: &Target, headers: &HeaderMap) -> Result<(Response<()>, Bytes), Failure> {
    let stream = connect(target).await?;
    let (mut send, connection) =
        hyper::client::conn::http1::handshake::<_, Body>(TokioIo::new(stream)).await?;
    let mut request = Request::new(Body::empty());
    *request.headers_mut() = headers.clone();
    if let Ok(host) = target.authority.parse() {
        request.headers_mut().insert(HOST, host);
    }
    *request.uri_mut() = target.path.parse().unwrap_or_default();
    let exchange = async {
        let response = send.send_request(request).await?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|_| Failure::Body)?;
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
    (reply.schema == SCHEMA && reply.identity.is_printable()).then_some(reply)
}
