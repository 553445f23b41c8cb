//! Whether a kept connection can still carry a request.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use tokio::io::{AsyncRead as _, Interest, ReadBuf};

use super::Stream;

impl Stream {
    /// Whether the server has ended the connection since its last response, or has sent bytes that no
    /// request asked for. Call it between two requests only: it may consume such bytes.
    ///
    /// Costs no system call unless something has arrived. It sees what had arrived when the runtime last
    /// polled its event queue, as it does whenever a lane waits.
    pub(in crate::engine) async fn has_ended(&mut self) -> bool {
        if self.is_quiet() {
            return false;
        }
        // With TLS, a session ticket may be all that has arrived: reading takes it and finds no data.
        let mut byte = [0];
        let mut data = ReadBuf::new(&mut byte);
        poll_fn(|cx| Poll::Ready(Pin::new(&mut *self).poll_read(cx, &mut data).is_ready())).await
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
