//! Tells a connection that rests between requests, which is fine for long, from
//! one that sends a request's head too slowly, which is not. Costs one reading
//! of the clock per request and no timer beyond the connection's one.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::Version;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// How long a request's head may take, from its first byte; noticed at most as
/// much later again.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// What is going on on a connection. Times are milliseconds since its start,
/// plus one, so that 0 is free to mean "none".
#[derive(Debug)]
pub(super) struct Activity {
    start: Instant,
    /// How long it may rest.
    idle: Duration,
    head_since: AtomicU64,
    idle_since: AtomicU64,
    in_flight: AtomicU64,
    multiplexed: AtomicBool,
}

/// What should become of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All is well; look again after this time.
    KeepFor(Duration),
    /// It has rested for too long.
    Idle,
    /// A request's head does not arrive.
    TooSlow,
}

/// A request in flight, until this is dropped.
#[derive(Debug)]
pub(super) struct Busy(Arc<Activity>);

impl Activity {
    pub(super) fn new(start: Instant, idle: Duration) -> Self {
        Self {
            start,
            idle,
            head_since: AtomicU64::new(0),
            idle_since: AtomicU64::new(1),
            in_flight: AtomicU64::new(0),
            multiplexed: AtomicBool::new(false),
        }
    }

    fn clock(&self, now: Instant) -> u64 {
        let since_start = now.saturating_duration_since(self.start).as_millis();
        u64::try_from(since_start).unwrap_or(u64::MAX - 1) + 1
    }

    /// Bytes came: those of a head, unless a request is in flight. On HTTP/2 they
    /// may as well be a ping, so that only the first head is timed there.
    fn bytes_came(&self, now: impl FnOnce() -> Instant) {
        let expected = self.in_flight.load(Relaxed) > 0 || self.multiplexed.load(Relaxed);
        if !expected && self.head_since.load(Relaxed) == 0 {
            self.head_since.store(self.clock(now()), Relaxed);
        }
    }

    /// A whole head has come.
    pub(super) fn begin(self: &Arc<Self>, version: Version) -> Busy {
        self.in_flight.fetch_add(1, Relaxed);
        self.head_since.store(0, Relaxed);
        if version == Version::HTTP_2 {
            self.multiplexed.store(true, Relaxed);
        }
        Busy(Arc::clone(self))
    }

    pub(super) fn verdict(&self, now: Instant) -> Verdict {
        let now = self.clock(now);
        let lasted = |since: u64| Duration::from_millis(now.saturating_sub(since));
        let head_since = self.head_since.load(Relaxed);
        if self.in_flight.load(Relaxed) > 0 {
            return Verdict::KeepFor(HEAD_TIMEOUT);
        }
        if head_since > 0 {
            let left = HEAD_TIMEOUT.saturating_sub(lasted(head_since));
            return if left.is_zero() { Verdict::TooSlow } else { Verdict::KeepFor(left) };
        }
        let left = self.idle.saturating_sub(lasted(self.idle_since.load(Relaxed)));
        if left.is_zero() { Verdict::Idle } else { Verdict::KeepFor(left.min(HEAD_TIMEOUT)) }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let now = self.0.clock(Instant::now());
        self.0.idle_since.store(now, Relaxed);
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

/// A stream that tells [`Activity`] of the bytes that come.
pub(super) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.activity.bytes_came(Instant::now);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_mins(65);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_head_that_does_not_end_is_too_slow() {
        let start = Instant::now();
        let activity = Activity::new(start, IDLE);
        activity.bytes_came(|| start + SECOND);
        activity.bytes_came(|| start + 9 * SECOND);
        assert_eq!(activity.verdict(start + 10 * SECOND), Verdict::KeepFor(SECOND));
        assert_eq!(activity.verdict(start + 11 * SECOND), Verdict::TooSlow);
    }

    #[test]
    fn rest_between_requests_is_not_slowness() {
        let start = Instant::now();
        let activity = Arc::new(Activity::new(start, IDLE));
        activity.bytes_came(|| start);
        drop(activity.begin(Version::HTTP_11));
        let later = start + IDLE - SECOND;
        assert_eq!(activity.verdict(later), Verdict::KeepFor(SECOND));
        assert_eq!(activity.verdict(later + 2 * SECOND), Verdict::Idle);
    }

    #[test]
    fn a_request_in_flight_is_neither_idle_nor_slow() {
        let start = Instant::now();
        let activity = Arc::new(Activity::new(start, IDLE));
        let busy = activity.begin(Version::HTTP_11);
        activity.bytes_came(|| start + SECOND);
        let later = start + 2 * IDLE;
        assert_eq!(activity.verdict(later), Verdict::KeepFor(HEAD_TIMEOUT));
        drop(busy);
        assert_eq!(activity.verdict(start + HEAD_TIMEOUT), Verdict::KeepFor(HEAD_TIMEOUT));
    }

    #[test]
    fn pings_of_http2_are_no_slow_head() {
        let start = Instant::now();
        let activity = Arc::new(Activity::new(start, IDLE));
        drop(activity.begin(Version::HTTP_2));
        activity.bytes_came(|| start + SECOND);
        assert_eq!(activity.verdict(start + 60 * SECOND), Verdict::KeepFor(HEAD_TIMEOUT));
    }
}
