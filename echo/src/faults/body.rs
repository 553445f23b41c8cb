//! Faulty bodies: slow, padded or broken off. Only one chunk is in memory at a time.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::stream;

use super::{Abort, Drawn};

/// The largest chunk, in bytes.
const CHUNK: u64 = 16 << 10;
/// The number of chunks of a dripping body, if it has as many bytes.
const DRIP_CHUNKS: u64 = 100;
static PADDING: [u8; CHUNK as usize] = [b'x'; CHUNK as usize];

/// The length of the body that [`shaped`] makes, in bytes.
#[must_use]
pub(crate) fn length(body: &Bytes, drawn: &Drawn) -> u64 {
    drawn.size.unwrap_or(body.len() as u64)
}

/// The body with its faults. `held` is dropped with it.
pub(crate) fn shaped(body: Bytes, drawn: &Drawn, held: impl Send + 'static) -> Body {
    let length = length(&body, drawn);
    let breaks = drawn.abort == Some(Abort::Body);
    let pause = drawn.drip.map(|whole| whole / DRIP_CHUNKS.min(length).max(1) as u32);
    let chunk = if pause.is_some() { length.div_ceil(DRIP_CHUNKS).clamp(1, CHUNK) } else { CHUNK };
    let end = if breaks { length / 2 } else { length };
    let state = Shaped { body, sent: 0, end, chunk, pause, breaks };
    Body::from_stream(stream::unfold((state, held), |(mut state, held)| async {
        let chunk = state.next().await?;
        Some((chunk, (state, held)))
    }))
}

struct Shaped {
    body: Bytes,
    sent: u64,
    end: u64,
    chunk: u64,
    pause: Option<Duration>,
    breaks: bool,
}

impl Shaped {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.sent >= self.end {
            let broken = std::mem::take(&mut self.breaks);
            if broken {
                // What was sent must leave this machine before the connection is cut.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            return broken.then(|| Err(io::Error::other("broken off by a fault")));
        }
        if let Some(pause) = self.pause {
            tokio::time::sleep(pause).await;
        }
        let length = self.chunk.min(self.end - self.sent) as usize;
        let chunk = if self.body.is_empty() {
            Bytes::from_static(&PADDING[..length])
        } else {
            self.body.split_to(length.min(self.body.len()))
        };
        self.sent += chunk.len() as u64;
        Some(Ok(chunk))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use tokio::time::Instant;

    async fn read(drawn: Drawn) -> (Vec<u8>, bool) {
        let mut body = shaped(Bytes::from_static(b"0123456789"), &drawn, ());
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => bytes.extend_from_slice(frame.data_ref().unwrap()),
                Err(_) => return (bytes, true),
            }
        }
        (bytes, false)
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_are_as_long_and_as_slow_as_asked() {
        let sized = |size| Drawn { size: Some(size), ..Drawn::default() };
        assert_eq!(read(sized(4)).await, (b"0123".to_vec(), false));
        assert_eq!(read(sized(12)).await, (b"0123456789xx".to_vec(), false));
        assert_eq!(read(sized(0)).await, (Vec::new(), false));
        assert_eq!(read(sized(100_000)).await.0.len(), 100_000);

        let start = Instant::now();
        let drip = Some(Duration::from_secs(5));
        assert_eq!(read(Drawn { drip, ..Drawn::default() }).await.0, b"0123456789");
        assert_eq!(start.elapsed(), Duration::from_secs(5));
        let start = Instant::now();
        read(Drawn { drip, size: Some(1000), ..Drawn::default() }).await;
        assert_eq!(start.elapsed(), Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_breaks_off_in_its_middle() {
        let abort = Some(Abort::Body);
        assert_eq!(read(Drawn { abort, ..Drawn::default() }).await, (b"01234".to_vec(), true));
        let (sent, broken) = read(Drawn { abort, size: Some(0), ..Drawn::default() }).await;
        assert!(sent.is_empty() && broken);
    }
}
