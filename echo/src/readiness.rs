//! Whether the server is ready: one value that readiness probes read and watchers follow.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// Clones share one value. It starts unready.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readiness(Arc<watch::Sender<State>>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    serving: bool,
    /// The number of `unready` faults in effect.
    suspended: u32,
}

impl State {
    #[must_use]
    pub(crate) fn is_ready(self) -> bool {
        self.serving && self.suspended == 0
    }
}

impl Readiness {
    #[must_use]
    pub(crate) fn is_ready(&self) -> bool {
        self.0.borrow().is_ready()
    }

    pub(crate) fn set(&self, serving: bool) {
        self.0.send_if_modified(|state| std::mem::replace(&mut state.serving, serving) != serving);
    }

    pub(crate) fn suspend(&self, time: Duration) {
        let state = Arc::clone(&self.0);
        state.send_modify(|state| state.suspended += 1);
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            state.send_modify(|state| state.suspended -= 1);
        });
    }

    #[must_use]
    pub(crate) fn watch(&self) -> watch::Receiver<State> {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_unready_until_the_last_suspension_ends_and_while_it_stops() {
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
        assert!(!readiness.is_ready(), "a stop is final");
    }
}
