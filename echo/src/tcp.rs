//! The plain TCP port: sends the line, then echoes all data.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::accounts::must_leave;
use crate::describe::Connection;
use crate::drain::drained;

/// In bytes.
const CHUNK: usize = 4096;
/// How long, and how much of, the remaining data is read at the end, so that the client
/// reads everything before a reset.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: u64 = 1 << 20;

/// Serves one connection until its client closes, is idle too long or does not read, or
/// until the drain.
pub(crate) async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    mut facts: Connection,
    line: Vec<u8>,
    idle: Duration,
) {
    let mut drain = facts.drain.take();
    if stream.write_all(&line).await.is_err() {
        return;
    }
    let mut buffer = [0; CHUNK];
    loop {
        let length = tokio::select! {
            read = tokio::time::timeout(idle, stream.read(&mut buffer)) => match read {
                Ok(Ok(length)) if length > 0 => length,
                _ => break,
            },
            () = drained(drain.as_mut()) => break,
            () = must_leave(facts.account.as_deref()) => break,
        };
        if let Some(account) = &facts.account {
            account.is_active();
        }
        let sent = tokio::time::timeout(idle, stream.write_all(&buffer[..length])).await;
        if !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
    let closing = async {
        if stream.shutdown().await.is_ok() {
            let mut rest = stream.take(LINGER_BYTES);
            while rest.read(&mut buffer).await.is_ok_and(|length| length > 0) {}
        }
    };
    let _ = tokio::time::timeout(LINGER, closing).await;
    drop(drain);
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use tokio::sync::watch;

    #[tokio::test(start_paused = true)]
    async fn it_sends_the_line_then_echoes_and_ends_with_the_drain() {
        let (mut client, server) = tokio::io::duplex(64);
        let (drain, draining) = watch::channel(());
        let facts = Connection::new(HeaderValue::from_static("c"));
        let facts = Connection { drain: Some(draining), ..facts };
        tokio::spawn(serve(server, facts, b"line\n".to_vec(), Duration::from_secs(60)));
        client.write_all(b"abc").await.unwrap();
        let mut said = [0; 8];
        client.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"line\nabc");
        drain.send_replace(());
        assert_eq!(client.read(&mut said).await.unwrap(), 0);
        drop(client);
        drain.closed().await;
    }
}
