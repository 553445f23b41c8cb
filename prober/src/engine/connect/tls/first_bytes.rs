//! The first bytes that a server sends: if they are not TLS, a message quotes them.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How many bytes are kept: a status line, or a record up to the server's version.
const KEPT: usize = 64;

/// A stream that remembers the first bytes that were read from it.
#[derive(Debug)]
pub(in crate::engine) struct FirstBytes<S> {
    stream: S,
    bytes: [u8; KEPT],
    length: usize,
}

impl<S> FirstBytes<S> {
    pub(in crate::engine) fn new(stream: S) -> Self {
        Self { stream, bytes: [0; KEPT], length: 0 }
    }

    pub(in crate::engine) fn stream(&self) -> &S {
        &self.stream
    }

    pub(in crate::engine) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FirstBytes<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let length = self.length;
        if length < KEPT && read.is_ready() {
            let new = &buf.filled()[before..];
            let new = &new[..new.len().min(KEPT - length)];
            self.bytes[length..length + new.len()].copy_from_slice(new);
            self.length += new.len();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FirstBytes<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
