//! File descriptors that belong to the server: it always has as many, and never more, so that neither
//! clients nor probing can take those of the other.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use rustix::io::{DupFlags, dup3};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::tally::meter::lock;

/// Descriptors that are open although nothing uses them. One is closed for each connection, and the
/// connection's becomes one of them when it ends.
#[derive(Debug)]
pub(super) struct Reserve {
    /// What the descriptors refer to while nothing uses them.
    idle: TcpListener,
    free: Mutex<Vec<OwnedFd>>,
    returned: Notify,
}

/// A connection that gives its descriptor back.
#[derive(Debug)]
pub(super) struct Held {
    /// `None` while it is dropped.
    stream: Option<TcpStream>,
    reserve: Arc<Reserve>,
}

impl Reserve {
    /// Reserves up to `count` descriptors.
    pub(super) fn new(idle: TcpListener, count: usize) -> Self {
        let free = (0..count).map_while(|_| idle.try_clone().ok()).map(OwnedFd::from).collect();
        Self { idle, free: Mutex::new(free), returned: Notify::new() }
    }

    fn put(&self, descriptor: OwnedFd) {
        lock(&self.free).push(descriptor);
        self.returned.notify_one();
    }

    /// Whether a connection can be accepted.
    pub(super) fn has_free(&self) -> bool {
        !lock(&self.free).is_empty()
    }

    /// Waits until a descriptor is back.
    pub(super) async fn returned(&self) {
        while !self.has_free() {
            self.returned.notified().await;
        }
    }

    /// Makes room for the descriptor of one connection.
    pub(super) fn release(&self) {
        drop(lock(&self.free).pop());
    }

    /// Reserves a descriptor again that was released for nothing. False if the process has none left.
    pub(super) fn renew(&self) -> bool {
        self.idle.try_clone().map(|idle| self.put(idle.into())).is_ok()
    }

    pub(super) fn hold(self: &Arc<Self>, stream: TcpStream) -> Held {
        Held { stream: Some(stream), reserve: Arc::clone(self) }
    }
}

impl Held {
    pub(super) fn stream(&mut self) -> Option<&mut TcpStream> {
        self.stream.as_mut()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(Ok(stream)) = self.stream.take().map(TcpStream::into_std) else { return };
        let mut descriptor = OwnedFd::from(stream);
        // Closes the connection. At no time is its descriptor free for another thread.
        if dup3(&self.reserve.idle, &mut descriptor, DupFlags::CLOEXEC).is_ok() {
            self.reserve.put(descriptor);
        }
    }
}
