//! One connection: its id, the numbers of its requests, its limits and its graceful end.
//! HTTP/1 and HTTP/2 with prior knowledge share the port.

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::Poll;

use axum::http::{HeaderValue, Request, Response};
use futures_util::future::{Either, ready};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use hyper::body::Incoming;
use hyper::service::service_fn;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;
use tracing::debug;

use crate::answer::{Answering, Content, Ending};
use crate::describe::{Arrival, Connection};
use crate::tls::Tls;

mod activity;
mod buffers;
mod held;
mod protocol;
pub(crate) mod proxy_protocol;
mod sending;
mod serving;
mod supervision;
use activity::{Activity, Watched};
use buffers::Buffers;
use held::{Held, HeldFor};
pub(crate) use protocol::{Protocol, admin_protocol, protocol};
use serving::{Serving, Sniff};
use supervision::{Order, Supervision};

/// What TLS buffers to be written, in bytes.
const TLS_BUFFER: usize = 16 << 10;

/// Makes connection ids: a random prefix per run, so that the ids of two processes differ,
/// and a counter.
#[derive(Debug)]
pub(crate) struct Ids {
    run: u64,
    next: AtomicU64,
}

impl Ids {
    pub(crate) fn new() -> Self {
        Self { run: RandomState::new().hash_one(std::process::id()) >> 40, next: AtomicU64::new(1) }
    }

    pub(crate) fn next(&self) -> HeaderValue {
        let id = format!("{:06x}-{:x}", self.run, self.next.fetch_add(1, Relaxed));
        HeaderValue::try_from(id).unwrap_or_else(|_| HeaderValue::from_static("-"))
    }
}

pub(crate) fn facts(ids: &Ids, stream: &TcpStream, peer: SocketAddr) -> Connection {
    let local = stream.local_addr().ok();
    Connection { peer: Some(peer), local, ..Connection::new(ids.next()) }
}

/// The TLS handshake, with the same time limit as a request head.
pub(crate) async fn shake_hands(tls: &Tls, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    let handshake = tls.acceptor().accept_with(stream, |session| {
        session.set_buffer_limit(Some(TLS_BUFFER));
    });
    tokio::time::timeout(activity::HEAD_TIMEOUT, handshake).await?
}

/// Serves a connection until it ends. After the first change of `drain`, it finishes the
/// requests in flight, including a first request that has not arrived yet. When the sender
/// of `drain` is dropped, it ends at once. Long because everything that it polls borrows
/// from it.
pub(crate) async fn serve(
    stream: impl Sniff,
    facts: Connection,
    protocol: &Protocol,
    answer: impl Fn(Request<Incoming>, Arrival) -> Answering,
    drain: watch::Receiver<()>,
) {
    let facts = Arc::new(facts);
    let activity = Arc::new(Activity::new(Instant::now(), protocol.idle));
    let buffers = facts.account.as_ref().map(|account| Buffers::new(account, protocol.max_head));
    let stream = Watched::new(stream, Arc::clone(&activity), buffers);
    let requests = AtomicU64::new(0);
    let (first, close) = (Notify::new(), Arc::new(Notify::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let number = requests.fetch_add(1, Relaxed) + 1;
        if number == 1 {
            first.notify_one();
        }
        let busy = activity.begin(request.version());
        let Some(busy) = HeldFor::begin(busy, facts.account.as_ref(), &request) else {
            // An answer would have to be held as well, and a stream that is reset keeps its room.
            facts.account.iter().for_each(|account| account.close());
            return Either::Left(ready(Err(io::Error::other("too much is held for all"))));
        };
        match answer(request, Arrival { connection: Arc::clone(&facts), number }) {
            Answering::Now(answer) => Either::Left(ready(held(answer, busy, &close))),
            Answering::Later(answer) => {
                let close = Arc::clone(&close);
                Either::Right(answer.map(move |answer| held(answer, busy, &close)))
            }
        }
    });
    let mut serving = Serving::new(protocol, stream, service);
    let supervision = Supervision {
        close: &close,
        first: &first,
        requests: &requests,
        activity: &activity,
        account: facts.account.as_deref(),
        drain,
        check: Box::pin(tokio::time::sleep(activity.check())),
        finishing: false,
    };
    // FuturesUnordered polls the supervision only when it was woken, not for each request.
    let mut orders = FuturesUnordered::from_iter([supervision.next()]);
    let ended = std::future::poll_fn(|cx| {
        loop {
            let order = match orders.poll_next_unpin(cx) {
                Poll::Ready(Some((order, supervision))) => {
                    orders.push(supervision.next());
                    Some(order)
                }
                _ => None,
            };
            // Before the answer is sent: a client that has the answer could otherwise send its
            // next request on this connection just as GOAWAY arrives.
            if order == Some(Order::Close) {
                serving.finish();
            }
            if let Poll::Ready(result) = serving.poll(cx) {
                return Poll::Ready(result);
            }
            activity.looked(Instant::now);
            if facts.account.as_ref().is_some_and(|account| account.is_closing()) {
                return Poll::Ready(Err("closed to make room".into()));
            }
            match order {
                Some(Order::End(why)) => return Poll::Ready(Err(why.into())),
                Some(Order::Finish) => serving.finish(),
                Some(Order::Close) => {}
                None => return Poll::Pending,
            }
        }
    });
    if let Err(error) = ended.await {
        debug!(connection = ?facts.id, %error, "the connection failed");
    }
}

/// An answer as it is sent; applies its [`Ending`] to the connection.
fn held(
    mut answer: Response<Content>,
    request: HeldFor,
    close: &Notify,
) -> io::Result<Response<Held>> {
    match answer.extensions_mut().remove::<Ending>() {
        Some(Ending::Cut) => return Err(io::Error::other("cut by a fault")),
        Some(Ending::Close) => close.notify_one(),
        None => {}
    }
    Ok(answer.map(|body| Held::new(body, request)))
}

#[cfg(test)]
mod tests {
    use super::supervision::FIRST_REQUEST;
    use super::*;
    use crate::answer;
    use crate::app::{App, Options};
    use crate::describe::Describer;
    use axum::body::{Body, Bytes};
    use axum::http::StatusCode;
    use echo_reply::Identity;
    use http_body_util::channel::Channel;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use std::task::Context;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    const IDLE: Duration = Duration::from_mins(65);

    fn usual() -> Protocol {
        protocol(64 << 10, IDLE)
    }

    impl Sniff for DuplexStream {
        fn poll_may_be_http2(&mut self, _: &mut Context<'_>) -> Poll<io::Result<bool>> {
            Poll::Ready(Ok(true))
        }
    }

    /// The client end of a served connection, and its drain.
    fn served() -> (DuplexStream, watch::Sender<()>) {
        let (client, server) = tokio::io::duplex(4096);
        let (drain, draining) = watch::channel(());
        let app =
            Arc::new(App::new(Describer::new(Identity::new("pod-1", "kops")), Options::default()));
        let facts = Connection::new(Ids::new().next());
        tokio::spawn(async move {
            let answer = |request, arrival| answer::answer(&app, request, arrival);
            serve(server, facts, &usual(), answer, draining).await;
        });
        (client, drain)
    }

    async fn answer(client: &mut DuplexStream) -> String {
        let mut buffer = vec![0; 4096];
        let length = client.read(&mut buffer).await.unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_may_be_idle_for_an_hour_but_a_head_must_arrive_soon() {
        let (mut client, _drain) = served();
        for number in 1..=2 {
            client.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
            let said = answer(&mut client).await;
            assert!(said.contains(&format!("x-echo-request: {number}\r\n")), "{said}");
            tokio::time::sleep(Duration::from_hours(1)).await;
        }
        client.write_all(b"GET / HT").await.unwrap();
        let before = Instant::now();
        assert_eq!(answer(&mut client).await, "", "closed without an answer");
        assert!(before.elapsed() <= 2 * activity::HEAD_TIMEOUT, "{:?}", before.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_any_request_is_closed_too() {
        let (mut client, _drain) = served();
        let before = Instant::now();
        assert_eq!(answer(&mut client).await, "");
        assert!(before.elapsed() >= IDLE, "{:?}", before.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stalls_is_answered_408() {
        let (mut client, _drain) = served();
        client
            .write_all(b"PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\nab")
            .await
            .unwrap();
        let said = answer(&mut client).await;
        assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
        assert!(said.contains("connection: close\r\n"), "{said}");
    }

    #[tokio::test]
    async fn http2_requests_are_numbered_and_a_drain_lets_the_last_one_finish() {
        let (client, drain) = served();
        let (mut send, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(client))
                .await
                .unwrap();
        let connection = tokio::spawn(connection);
        let request = |body: Body| Request::post("http://h:1/x").body(body).unwrap();
        let first = send.send_request(request(Body::empty())).await.unwrap();
        assert_eq!(first.headers()["x-echo-request"], "1");

        let (mut rest, half) = Channel::<Bytes>::new(1);
        let second = tokio::spawn(send.send_request(request(Body::new(half))));
        rest.send_data("half".into()).await.unwrap();
        // The channel has room again: the first frame was sent.
        rest.send_data("of it".into()).await.unwrap();
        drain.send_replace(());
        drop(rest);
        let second = second.await.unwrap().unwrap();
        assert_eq!(second.status(), StatusCode::OK);
        assert_eq!(second.headers()["x-echo-request"], "2");
        connection.await.unwrap().unwrap();
        drain.closed().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_waits_briefly_for_the_first_request() {
        let (mut client, drain) = served();
        tokio::task::yield_now().await;
        drain.send_replace(());
        tokio::time::sleep(FIRST_REQUEST / 2).await;
        client.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
        assert!(answer(&mut client).await.starts_with("HTTP/1.1 200 "));
        assert_eq!(answer(&mut client).await, "", "closed after it");

        let (mut silent, drain) = served();
        tokio::task::yield_now().await;
        drain.send_replace(());
        let before = Instant::now();
        assert_eq!(answer(&mut silent).await, "", "closed without an answer");
        assert!(before.elapsed() <= 2 * FIRST_REQUEST, "{:?}", before.elapsed());
    }

    #[test]
    fn ids_are_short_and_differ() {
        let ids = Ids::new();
        let (first, second) = (ids.next(), ids.next());
        assert_ne!(first, second);
        let prefix = |id: &HeaderValue| id.to_str().unwrap().split_once('-').unwrap().0.to_owned();
        assert_eq!(prefix(&first), prefix(&second));
        assert_eq!(prefix(&first).len(), 6);
        assert_ne!(prefix(&Ids::new().next()), prefix(&first), "another run");
    }
}
