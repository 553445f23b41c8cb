//! Tells a connection that is idle between requests, which is allowed for long, from one
//! that sends a request head too slowly. The clock is read only when a head is incomplete
//! and at each check, so a request that arrives whole does not read it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::Version;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf, Take};
use tokio::time::Instant;

use super::buffers::{Buffers, READ};
use super::sending::Sending;

/// How long a request head may take from its first byte. Noticed at most the same time
/// later.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Checks per idle timeout: an idle connection ends at most an eighth of the timeout late.
const IDLE_CHECKS: u32 = 8;

/// The state of a connection. Times are milliseconds since its start plus one, so that 0 can
/// mean "none".
#[derive(Debug)]
pub(super) struct Activity {
    start: Instant,
    /// The idle timeout.
    idle: Duration,
    /// Whether bytes have arrived that are not a whole head yet.
    head_came: AtomicBool,
    head_since: AtomicU64,
    /// Whether a request was in flight since the last check.
    was_busy: AtomicBool,
    idle_since: AtomicU64,
    in_flight: AtomicU64,
    multiplexed: AtomicBool,
    sending: Sending,
    /// When the client was last seen to take something, or nothing waited for it.
    took_at: AtomicU64,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Check again after this time.
    KeepFor(Duration),
    /// The idle timeout is over.
    Idle,
    /// A request head does not arrive.
    TooSlow,
    /// The client takes nothing of an answer, for as long as the idle timeout.
    NotReading,
}

/// Counts a request as in flight until it is dropped.
#[derive(Debug)]
pub(super) struct Busy(Arc<Activity>);

impl Activity {
    pub(super) fn new(start: Instant, idle: Duration) -> Self {
        Self {
            start,
            idle,
            head_came: AtomicBool::new(false),
            head_since: AtomicU64::new(0),
            was_busy: AtomicBool::new(false),
            idle_since: AtomicU64::new(1),
            in_flight: AtomicU64::new(0),
            multiplexed: AtomicBool::new(false),
            sending: Sending::default(),
            took_at: AtomicU64::new(1),
        }
    }

    fn clock(&self, now: Instant) -> u64 {
        let since_start = now.saturating_duration_since(self.start).as_millis();
        u64::try_from(since_start).unwrap_or(u64::MAX - 1) + 1
    }

    /// Bytes have arrived: of a head, unless a request is in flight. On HTTP/2 they may be a
    /// ping, so only the first head is timed there.
    fn bytes_came(&self) {
        let expected = self.in_flight.load(Relaxed) > 0 || self.multiplexed.load(Relaxed);
        if !expected {
            self.head_came.store(true, Relaxed);
        }
    }

    /// Whether what comes is the body of a request. On HTTP/2 it may be a head as well.
    fn is_body(&self) -> bool {
        self.in_flight.load(Relaxed) > 0 && !self.multiplexed.load(Relaxed)
    }

    /// Everything that arrived was parsed. If it was not a whole head, its time starts.
    pub(super) fn looked(&self, now: impl FnOnce() -> Instant) {
        if self.head_came.load(Relaxed) && self.head_since.load(Relaxed) == 0 {
            self.head_since.store(self.clock(now()), Relaxed);
        }
    }

    /// A whole head has arrived.
    pub(super) fn begin(self: &Arc<Self>, version: Version) -> Busy {
        self.in_flight.fetch_add(1, Relaxed);
        self.head_came.store(false, Relaxed);
        self.head_since.store(0, Relaxed);
        if version == Version::HTTP_2 {
            self.multiplexed.store(true, Relaxed);
        }
        Busy(Arc::clone(self))
    }

    /// The time between two checks, and before the first.
    pub(super) fn check(&self) -> Duration {
        HEAD_TIMEOUT.min(self.idle / IDLE_CHECKS)
    }

    /// How long a connection that was idle may take to end.
    pub(super) fn end(&self) -> Duration {
        HEAD_TIMEOUT.min(self.idle)
    }

    /// Call this at the times that the verdicts ask for.
    pub(super) fn verdict(&self, now: Instant) -> Verdict {
        let now = self.clock(now);
        let lasted = |since: u64| Duration::from_millis(now.saturating_sub(since));
        let head_since = self.head_since.load(Relaxed);
        // The start of the idle time is as precise as the interval of the checks.
        let busy = self.in_flight.load(Relaxed) > 0;
        if self.was_busy.swap(busy, Relaxed) || busy {
            self.idle_since.store(now, Relaxed);
        }
        let check = self.check();
        if !self.sending.is_stuck() {
            self.took_at.store(now, Relaxed);
        } else if lasted(self.took_at.load(Relaxed)) >= self.idle {
            return Verdict::NotReading;
        }
        if busy {
            return Verdict::KeepFor(check);
        }
        if head_since > 0 {
            let left = HEAD_TIMEOUT.saturating_sub(lasted(head_since));
            return if left.is_zero() { Verdict::TooSlow } else { Verdict::KeepFor(left) };
        }
        let left = self.idle.saturating_sub(lasted(self.idle_since.load(Relaxed)));
        if left.is_zero() { Verdict::Idle } else { Verdict::KeepFor(left.min(check)) }
    }
}

impl Busy {
    /// A part of the answer was handed over to be sent. It may have to wait only with HTTP/2;
    /// otherwise the socket says so.
    pub(super) fn handed_over(&self) -> bool {
        let may_wait = self.0.multiplexed.load(Relaxed);
        if may_wait {
            self.0.sending.waits();
        }
        may_wait
    }

    /// The part of the answer was sent.
    pub(super) fn sent(&self) {
        self.0.sending.sent();
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.was_busy.store(true, Relaxed);
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

/// A stream that tells [`Activity`] about incoming bytes.
pub(super) struct Watched<S> {
    /// Limits how much is read at once.
    stream: Take<S>,
    activity: Arc<Activity>,
    buffers: Option<Buffers>,
}

impl<S: AsyncRead> Watched<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>, buffers: Option<Buffers>) -> Self {
        Self { stream: stream.take(READ), activity, buffers }
    }

    /// The stream itself. Bytes that are read from it directly are not noticed.
    pub(super) fn get_mut(&mut self) -> &mut S {
        self.stream.get_mut()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        self.stream.set_limit(READ);
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let came = buffer.filled().len() - before;
        if came > 0 {
            self.activity.bytes_came();
            let counts = !self.activity.is_body();
            if let Some(buffers) = self.buffers.as_mut().filter(|_| counts) {
                buffers.came(came)?;
            }
        }
        polled
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(buffers) = &mut self.buffers {
            buffers.waits(bytes.len())?;
        }
        let polled = Pin::new(self.stream.get_mut()).poll_write(cx, bytes);
        self.activity.sending.wrote(polled.is_ready());
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream.get_mut()).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream.get_mut()).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(self.stream.get_mut()).poll_write_vectored(cx, slices);
        self.activity.sending.wrote(polled.is_ready());
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.get_ref().is_write_vectored()
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
        for seconds in [1, 9] {
            activity.bytes_came();
            activity.looked(|| start + seconds * SECOND);
        }
        assert_eq!(activity.verdict(start + 10 * SECOND), Verdict::KeepFor(SECOND));
        assert_eq!(activity.verdict(start + 11 * SECOND), Verdict::TooSlow);
    }

    #[test]
    fn a_whole_request_needs_no_clock() {
        let activity = Arc::new(Activity::new(Instant::now(), IDLE));
        activity.bytes_came();
        drop(activity.begin(Version::HTTP_11));
        activity.looked(|| unreachable!("no head is incomplete"));
    }

    #[test]
    fn idle_time_between_requests_is_not_slowness() {
        let start = Instant::now();
        let activity = Arc::new(Activity::new(start, IDLE));
        activity.bytes_came();
        drop(activity.begin(Version::HTTP_11));
        // The start of the idle time is known only now.
        assert_eq!(activity.verdict(start + SECOND), Verdict::KeepFor(HEAD_TIMEOUT));
        let later = start + IDLE;
        assert_eq!(activity.verdict(later), Verdict::KeepFor(SECOND));
        assert_eq!(activity.verdict(later + 2 * SECOND), Verdict::Idle);
    }

    #[test]
    fn a_short_idle_timeout_is_noticed_soon() {
        let start = Instant::now();
        let activity = Activity::new(start, SECOND);
        let mut now = start + activity.check();
        while let Verdict::KeepFor(time) = activity.verdict(now) {
            now += time;
        }
        let late = now.duration_since(start + SECOND);
        assert!(late <= SECOND / IDLE_CHECKS, "{late:?}");
    }

    #[test]
    fn a_request_in_flight_is_neither_idle_nor_slow() {
        let start = Instant::now();
        let activity = Arc::new(Activity::new(start, IDLE));
        let busy = activity.begin(Version::HTTP_11);
        activity.bytes_came();
        activity.looked(|| start + SECOND);
        let later = start + 2 * IDLE;
        assert_eq!(activity.verdict(later), Verdict::KeepFor(HEAD_TIMEOUT));
        drop(busy);
        assert_eq!(activity.verdict(later + SECOND), Verdict::KeepFor(HEAD_TIMEOUT));
    }

    #[test]
    fn a_client_that_takes_nothing_is_noticed_and_a_slow_one_is_not() {
        let start = Instant::now();
        let activity = Arc::new(Activity::new(start, 8 * SECOND));
        let busy = activity.begin(Version::HTTP_2);
        let mut now = start;
        let mut after = |seconds: u32, what: &dyn Fn()| {
            for _ in 0..seconds {
                what();
                now += SECOND;
                let verdict = activity.verdict(now);
                if verdict != Verdict::KeepFor(SECOND) {
                    return Some(verdict);
                }
            }
            None
        };
        assert_eq!(after(20, &|| {}), None, "nothing waits");
        let slow = || {
            activity.sending.wrote(false);
            activity.sending.wrote(true);
            activity.sending.wrote(false);
        };
        assert_eq!(after(20, &slow), None, "it reads slowly");
        assert_eq!(after(9, &|| activity.sending.wrote(false)), Some(Verdict::NotReading));
        activity.sending.wrote(true);
        assert!(busy.handed_over());
        assert_eq!(after(7, &|| {}), None);
        busy.sent();
        assert!(busy.handed_over());
        assert_eq!(after(9, &|| activity.sending.wrote(true)), Some(Verdict::NotReading));
        busy.sent();
        assert_eq!(after(20, &|| {}), None, "nothing waits any more");
    }

    #[test]
    fn http2_pings_are_not_a_slow_head() {
        let start = Instant::now();
        let activity = Arc::new(Activity::new(start, IDLE));
        drop(activity.begin(Version::HTTP_2));
        activity.bytes_came();
        activity.looked(|| start + SECOND);
        assert_eq!(activity.verdict(start + 60 * SECOND), Verdict::KeepFor(HEAD_TIMEOUT));
    }
}
