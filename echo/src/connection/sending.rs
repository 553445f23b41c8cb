//! Whether a client takes what is sent to it. A write that its socket does not take and a part
//! of an answer that HTTP/2 may not send yet wait for the client.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// What waits on one connection, and whether anything goes on.
#[derive(Debug, Default)]
pub(super) struct Sending {
    /// Whether the socket took nothing of the last write.
    blocked: AtomicBool,
    /// The answers with a part that waits.
    waiting: AtomicU64,
    /// Counts what was taken after it had waited.
    progress: AtomicU64,
    /// The progress at the last look.
    seen: AtomicU64,
}

impl Sending {
    /// The socket took bytes, or none yet.
    pub(super) fn wrote(&self, taken: bool) {
        if self.blocked.load(Relaxed) {
            self.blocked.store(!taken, Relaxed);
            self.progress.fetch_add(u64::from(taken), Relaxed);
        } else if !taken {
            self.blocked.store(true, Relaxed);
        }
    }

    /// A part of an answer was handed over.
    pub(super) fn waits(&self) {
        self.waiting.fetch_add(1, Relaxed);
    }

    /// The part was sent.
    pub(super) fn sent(&self) {
        self.waiting.fetch_sub(1, Relaxed);
        self.progress.fetch_add(1, Relaxed);
    }

    /// Whether something waits, and nothing was taken since the last look.
    pub(super) fn is_stuck(&self) -> bool {
        let progress = self.progress.load(Relaxed);
        let seen = self.seen.swap(progress, Relaxed);
        seen == progress && (self.blocked.load(Relaxed) || self.waiting.load(Relaxed) > 0)
    }
}
