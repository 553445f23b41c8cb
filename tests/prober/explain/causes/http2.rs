//! An HTTP/2 server that resets streams, or answers as a rate limit service.

use bytes::Bytes;
use h2::Reason;
use h2::server::SendResponse;
use http::{HeaderMap, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

#[derive(Clone, Copy)]
pub(super) enum Conduct {
    Reset(Reason),
    /// A `RateLimitResponse` of Envoy's protocol whose `overall_code` is OVER_LIMIT.
    OverLimit,
}

/// Listens on a loopback address until it is dropped.
pub(super) struct Http2Server {
    port: u16,
    _stop: oneshot::Sender<()>,
}

impl Http2Server {
    pub(super) fn start(conduct: Conduct) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let port = listener.local_addr().expect("it is bound").port();
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let listener = TcpListener::from_std(listener).expect("a listener");
                let accept = async {
                    while let Ok((stream, _)) = listener.accept().await {
                        tokio::spawn(serve(stream, conduct));
                    }
                };
                tokio::select! { () = accept => {}, _ = stopped => {} }
            });
        });
        Self { port, _stop: stop }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

async fn serve(stream: TcpStream, conduct: Conduct) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((_, mut respond))) = connection.accept().await {
        match conduct {
            Conduct::Reset(reason) => respond.send_reset(reason),
            Conduct::OverLimit => over_limit(respond),
        }
    }
}

fn over_limit(mut respond: SendResponse<Bytes>) {
    let head = Response::builder().header("content-type", "application/grpc");
    let head = head.body(()).expect("a head");
    // The prefix of a message of two bytes, then its first field: 2.
    let message = Bytes::from_static(&[0, 0, 0, 0, 2, 0x08, 2]);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
    // A caller that has gone is not this server's concern.
    if let Ok(mut body) = respond.send_response(head, false) {
        let _ = body.send_data(message, false).and_then(|()| body.send_trailers(trailers));
    }
}
