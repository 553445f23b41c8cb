//! How long-lived answers learn that the server drains.

use tokio::sync::watch;

/// Waits until the drain starts or the server is gone; forever if there is no drain.
pub(crate) async fn drained(drain: Option<&mut watch::Receiver<()>>) {
    match drain {
        Some(drain) => drop(drain.changed().await),
        None => std::future::pending().await,
    }
}
