//! The HTTP server of `prober watch`: metrics, health, readiness and the live page. It has a thread and
//! file descriptors of its own, so that no client delays probing. A connection carries one request.

pub(crate) mod hosts;
mod request;
mod reserve;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use rustix::process::{Resource, getrlimit};
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Live, page};
use crate::clock;
use crate::descriptors;
use crate::report::prometheus;
use hosts::Hosts;
use request::{Asked, Document, MAX_HEAD, Refusal};
use reserve::{Held, Reserve};

/// The most connections at the same time. A further one ends the oldest of the client with the most.
const MOST_CONNECTIONS: u64 = 32;
/// The time limit for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// The time limit for sending an answer, as long as Prometheus waits by default.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long, and how much in bytes, is read after an answer. A connection that is closed with unread
/// data is reset, and the client may lose the answer.
const LINGER: Duration = Duration::from_secs(1);
const MAX_LINGER: usize = 64 << 10;
/// The pause after the system refuses a connection.
const PAUSE: Duration = Duration::from_millis(20);
const TEXT: &str = "text/plain; charset=utf-8";
/// The Content-Security-Policy of everything but the page.
const NO_CONTENT: &str = "default-src 'none'; frame-ancestors 'none'";
/// What pages of other sites may do with any answer: nothing.
const FOR_BROWSERS: &str = "cache-control: no-store\r\nx-content-type-options: nosniff\r\n\
    x-frame-options: DENY\r\ncross-origin-resource-policy: same-origin\r\n\
    cross-origin-opener-policy: same-origin\r\nreferrer-policy: no-referrer\r\n";

/// The message includes the system's error, so it is not a `source`.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {}; choose another with --listen", usage::why_not_listening(.refusal))]
pub struct ListenError {
    address: SocketAddr,
    refusal: io::Error,
}

/// Listens on an address. A restart does not wait for old connections.
pub(crate) fn bind(address: SocketAddr) -> Result<std::net::TcpListener, ListenError> {
    let listen = || {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    listen().map_err(|refusal| ListenError { address, refusal })
}

/// Serves on a thread of its own until the guard is dropped.
pub(crate) fn start(
    listener: std::net::TcpListener,
    live: Live,
    hosts: Hosts,
) -> io::Result<DropGuard> {
    let over = CancellationToken::new();
    let guard = over.clone().drop_guard();
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX) / 4;
    let most = usize::try_from(most.clamp(1, MOST_CONNECTIONS)).unwrap_or(1);
    let reserve = Arc::new(Reserve::new(listener.try_clone()?, most));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let own_name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let site = Arc::new(Site { live, hosts: hosts.and(own_name) });
    let listener = {
        let _context = runtime.enter();
        TcpListener::from_std(listener)?
    };
    let serve = async move { over.run_until_cancelled(serve(&listener, &reserve, &site)).await };
    std::thread::Builder::new().name("server".to_owned()).spawn(move || runtime.block_on(serve))?;
    Ok(guard)
}

/// What is served, and by which names.
struct Site {
    live: Live,
    hosts: Hosts,
}

/// A connection. The oldest is the first of all.
struct Open {
    client: u64,
    task: AbortHandle,
}

/// What tells clients apart. An IPv6 network of 64 bits is one client, which can have all its addresses.
fn client(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(v4) => u64::from(v4.to_bits()),
        IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64,
    }
}

/// The place of the oldest connection of the client that has the most.
fn oldest_of_most(clients: &[u64]) -> Option<usize> {
    let count = |client: u64| clients.iter().filter(|other| **other == client).count();
    let most = clients.iter().map(|client| count(*client)).max()?;
    clients.iter().position(|client| count(*client) == most)
}

/// Never returns.
async fn serve(listener: &TcpListener, reserve: &Arc<Reserve>, site: &Arc<Site>) {
    let mut tasks = JoinSet::new();
    let mut open = Vec::new();
    loop {
        while tasks.try_join_next().is_some() {}
        open.retain(|connection: &Open| !connection.task.is_finished());
        let accepted = accept(listener, reserve, &mut open).await;
        let Some((stream, peer)) = accepted else { continue };
        let (held, site) = (reserve.hold(stream), Arc::clone(site));
        let task = tasks.spawn(async move { site.answer(held).await });
        open.push(Open { client: client(peer.ip()), task });
        // Lets it read before the next one is accepted, which may end it.
        tokio::task::yield_now().await;
    }
}

/// Accepts a connection on a descriptor of the reserve.
async fn accept(
    listener: &TcpListener,
    reserve: &Reserve,
    open: &mut Vec<Open>,
) -> Option<(TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok(accepted) => {
            make_room(reserve, open).await;
            reserve.release();
            Some(accepted)
        }
        Err(error) if usage::out_of_descriptors(&error) => {
            make_room(reserve, open).await;
            let accepted = on_reserve(listener, reserve);
            if accepted.is_none() {
                sleep(PAUSE).await;
            }
            accepted
        }
        Err(_) => {
            sleep(PAUSE).await;
            None
        }
    }
}

/// Accepts a connection that waits, although the process has only the descriptors of the reserve.
fn on_reserve(listener: &TcpListener, reserve: &Reserve) -> Option<(TcpStream, SocketAddr)> {
    let _taking = descriptors::nobody_else();
    reserve.release();
    if let Some(Ok(accepted)) = listener.accept().now_or_never() {
        return Some(accepted);
    }
    // The client has gone.
    reserve.renew();
    None
}

/// Ends a connection if the reserve is used up.
async fn make_room(reserve: &Reserve, open: &mut Vec<Open>) {
    if reserve.has_free() {
        return;
    }
    let clients: Vec<_> = open.iter().map(|connection| connection.client).collect();
    match oldest_of_most(&clients) {
        Some(place) => {
            open.remove(place).task.abort();
            let _ = timeout(PAUSE, reserve.returned()).await;
        }
        // Its descriptors were lost to other threads.
        None => drop(reserve.renew()),
    }
}

impl Site {
    /// Answers the request of a connection. The caller's reserve has its descriptor afterwards.
    async fn answer(&self, mut held: Held) {
        let Some(stream) = held.stream() else { return };
        let Ok(Some(asked)) = timeout(HEAD_TIMEOUT, self.read(stream)).await else { return };
        let answer = match asked {
            Ok(asked) => self.render(asked),
            Err(refusal) => refuse(&refusal),
        };
        let send = async {
            stream.write_all(&answer).await?;
            stream.shutdown().await
        };
        if let Ok(Ok(())) = timeout(ANSWER_TIMEOUT, send).await {
            let _ = timeout(LINGER, discard(stream)).await;
        }
    }

    /// `None` if the client ends the connection first.
    async fn read(&self, stream: &mut TcpStream) -> Option<Result<Asked, Refusal>> {
        let mut head = Vec::with_capacity(1024);
        loop {
            let left = MAX_HEAD.saturating_sub(head.len()) as u64;
            let read = (&mut *stream).take(left).read_buf(&mut head).await;
            if read.unwrap_or_default() == 0 {
                return None;
            }
            if let Some(asked) = request::read(&head, &self.hosts) {
                return Some(asked);
            }
        }
    }

    fn render(&self, Asked { document, head_only }: Asked) -> Vec<u8> {
        let (status, kind, body) = match document {
            Document::Page => {
                let page = page::render(&self.live.now(), clock::wall());
                ("200 OK", "text/html; charset=utf-8", page.into_bytes())
            }
            Document::Metrics => ("200 OK", prometheus::CONTENT_TYPE, self.live.now().metrics()),
            Document::Health => ("200 OK", TEXT, b"ok\n".to_vec()),
            // Once a round of every target has ended, even if it failed.
            Document::Readiness if self.live.now().is_ready() => {
                ("200 OK", TEXT, b"ready\n".to_vec())
            }
            Document::Readiness => {
                let line = b"the first rounds have not ended yet\n".to_vec();
                ("503 Service Unavailable", TEXT, line)
            }
        };
        let policy = match document {
            Document::Page => page::POLICY,
            _ => NO_CONTENT,
        };
        let mut answer = head(status, kind, policy, body.len()).into_bytes();
        if !head_only {
            answer.extend_from_slice(&body);
        }
        answer
    }
}

fn refuse(refusal: &Refusal) -> Vec<u8> {
    let head = head(refusal.status, TEXT, NO_CONTENT, refusal.line.len() + 1);
    format!("{head}{}\n", refusal.line).into_bytes()
}

fn head(status: &str, kind: &str, policy: &str, length: usize) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\
         allow: GET, HEAD\r\nconnection: close\r\n{FOR_BROWSERS}content-security-policy: {policy}\r\n\r\n"
    )
}

/// Reads what the client still sends, and drops it.
async fn discard(stream: &mut TcpStream) {
    let mut buffer = [0; 4096];
    let mut left = MAX_LINGER;
    while let Ok(read) = stream.read(&mut buffer).await
        && read > 0
        && left > 0
    {
        left = left.saturating_sub(read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_client_ends_only_its_own_connections() {
        assert_eq!(oldest_of_most(&[]), None);
        assert_eq!(oldest_of_most(&[1]), Some(0));
        assert_eq!(oldest_of_most(&[1, 2, 3]), Some(0));
        assert_eq!(oldest_of_most(&[1, 2, 2, 3, 2]), Some(1));
        assert_eq!(oldest_of_most(&[2, 1, 1, 2]), Some(0));
        let of = |address: &str| client(address.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("10.0.0.1"), of("::ffff:10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }
}
