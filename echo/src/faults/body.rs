//! Bodies that misbehave: slow, padded, broken off. They hold no more than a
//! piece in memory, however long they are.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::stream;

use super::{Abort, Drawn};

/// The largest piece that is sent at once, in bytes.
const PIECE: u64 = 16 << 10;
/// In how many pieces a body drips, if it has as many bytes.
const DRIPS: u64 = 100;
/// What pads a body.
static PADDING: [u8; PIECE as usize] = [b'x'; PIECE as usize];

/// How long the body is that [`shaped`] makes, in bytes.
#[must_use]
pub(crate) fn length(body: &Bytes, drawn: &Drawn) -> u64 {
    drawn.size.unwrap_or(body.len() as u64)
}

/// The body as it was asked for. `held` is dropped with it.
pub(crate) fn shaped(body: Bytes, drawn: &Drawn, held: impl Send + 'static) -> Body {
    let length = length(&body, drawn);
    let breaks = drawn.abort == Some(Abort::Body);
    let pause = drawn.drip.map(|whole| whole / DRIPS.min(length).max(1) as u32);
    let piece = if pause.is_some() { length.div_ceil(DRIPS).clamp(1, PIECE) } else { PIECE };
    let end = if breaks { length / 2 } else { length };
    let state = Shaped { body, sent: 0, end, piece, pause, breaks };
    Body::from_stream(stream::unfold((state, held), |(mut state, held)| async {
        let piece = state.next().await?;
        Some((piece, (state, held)))
    }))
}

struct Shaped {
    body: Bytes,
    sent: u64,
    end: u64,
    piece: u64,
    pause: Option<Duration>,
    breaks: bool,
}

impl Shaped {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.sent >= self.end {
            let broken = std::mem::take(&mut self.breaks);
            if broken {
                // What was sent must have left before the connection is cut.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            return broken.then(|| Err(io::Error::other("broken off, as asked")));
        }
        if let Some(pause) = self.pause {
            tokio::time::sleep(pause).await;
        }
        let length = self.piece.min(self.end - self.sent) as usize;
        let piece = if self.body.is_empty() {
            Bytes::from_static(&PADDING[..length])
        } else {
            self.body.split_to(length.min(self.body.len()))
        };
        self.sent += piece.len() as u64;
        Some(Ok(piece))
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
