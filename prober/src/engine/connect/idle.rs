//! Whether a kept connection can still carry a request.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use tokio::io::{AsyncRead as _, Interest, ReadBuf};

use super::Stream;

/// The most reads for what came between two requests.
const MOST_READS: usize = 64;

/// What a kept connection did between two requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Quiet {
    /// Nothing: it can carry a further request.
    Yes,
    /// The server has ended it.
    Ended,
    /// The server has sent bytes that no request asked for, and has not ended it.
    Unasked,
}

impl Stream {
    /// What the server did since its last response. Call it between two requests only: it consumes bytes
    /// that no request asked for.
    ///
    /// Costs no system call unless something has arrived. It sees what had arrived when the runtime last
    /// polled its event queue, as it does whenever a lane waits.
    pub(in crate::engine) async fn between_requests(&mut self) -> Quiet {
        if self.is_quiet() {
            return Quiet::Yes;
        }
        let mut room = [0; 1_024];
        let mut so_far = Quiet::Yes;
        // With TLS, a session ticket may be all that has arrived: reading takes it and finds no data.
        // Bytes may come before the end: a server says 408, and closes.
        for _ in 0..MOST_READS {
            let mut data = ReadBuf::new(&mut room);
            let read =
                poll_fn(|cx| Poll::Ready(Pin::new(&mut *self).poll_read(cx, &mut data))).await;
            match read {
                Poll::Pending => return so_far,
                Poll::Ready(Ok(())) if !data.filled().is_empty() => so_far = Quiet::Unasked,
                Poll::Ready(_) => return Quiet::Ended,
            }
        }
        so_far
    }

    /// Whether nothing has arrived, as far as the runtime knows.
    fn is_quiet(&self) -> bool {
        let tcp = match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(stream) => {
                let (tcp, session) = stream.get_ref();
                // It holds decrypted bytes, or the end of the stream.
                if !session.wants_read() {
                    return false;
                }
                tcp.stream()
            }
        };
        tcp.try_io(Interest::READABLE, || Ok(())).is_err()
    }
}
