//! Whether new requests are welcome: one value that probes read and that
//! watchers are told of.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// Whether new requests are welcome; clones are one and the same. Not at first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readiness(Arc<watch::Sender<State>>);

/// Why it is ready, or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    serving: bool,
    /// How many have asked that it be unready for a while.
    suspended: u32,
}

impl State {
    /// Whether new requests are welcome.
    #[must_use]
    pub(crate) fn is_ready(self) -> bool {
        self.serving && self.suspended == 0
    }
}

impl Readiness {
    /// Whether it is so now.
    #[must_use]
    pub(crate) fn is_ready(&self) -> bool {
        self.0.borrow().is_ready()
    }

    /// Says whether the server serves.
    pub(crate) fn set(&self, serving: bool) {
        self.0.send_if_modified(|state| std::mem::replace(&mut state.serving, serving) != serving);
    }

    /// Makes it unready for a while.
    pub(crate) fn suspend(&self, time: Duration) {
        let state = Arc::clone(&self.0);
        state.send_modify(|state| state.suspended += 1);
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            state.send_modify(|state| state.suspended -= 1);
        });
    }

    /// One who wants to be told.
    #[must_use]
    pub(crate) fn watch(&self) -> watch::Receiver<State> {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_unready_until_the_last_suspension_is_over_and_never_while_stopping() {
        let readiness = Readiness::default();
        assert!(!readiness.is_ready());
        readiness.set(true);
        readiness.suspend(Duration::from_secs(1));
        readiness.suspend(Duration::from_secs(3));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(!readiness.is_ready());
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(readiness.is_ready());
        readiness.suspend(Duration::from_secs(1));
        readiness.set(false);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(!readiness.is_ready(), "stopping is for good");
    }
}
