//! The only module that reads time. Everything else is given it.

use std::time::{Instant, SystemTime};

/// Now, on the monotonic clock.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
#[must_use]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Now, on the wall clock.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
#[must_use]
pub(crate) fn wall() -> SystemTime {
    SystemTime::now()
}
