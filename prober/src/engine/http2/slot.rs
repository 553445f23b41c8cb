//! The connection that the lanes of one HTTP/2 connection share.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use super::connection::Lease;
use super::request::Template;
use crate::clock;
use crate::plan::ProbePlan;
use crate::tally::outcome::Failure;

/// Holds the connection that lanes share: one at a time takes new requests.
#[derive(Debug)]
pub(in crate::engine) struct ConnectionSlot {
    /// What all of the lanes send.
    pub request: Template,
    current: RefCell<Option<Lease>>,
    opening: tokio::sync::Mutex<()>,
    /// How many connections were opened.
    opened: Cell<u64>,
    lifetime: Option<Duration>,
}

/// A connection for one request.
#[derive(Debug)]
pub(in crate::engine) struct Taken {
    pub connection: Lease,
    /// Whether it was already open.
    pub kept: bool,
}

impl ConnectionSlot {
    #[must_use]
    pub(in crate::engine) fn new(plan: &ProbePlan) -> Self {
        Self {
            request: Template::new(plan),
            current: RefCell::default(),
            opening: tokio::sync::Mutex::default(),
            opened: Cell::default(),
            lifetime: plan.connection_lifetime,
        }
    }

    /// The connection for one more request. If there is none, `open` opens one; if several lanes need
    /// one at the same time, one opens it and the others wait. `closed_while_idle` counts a
    /// connection that the server closed meanwhile.
    pub(in crate::engine) async fn take<F: Future<Output = Result<Lease, Failure>>>(
        &self,
        closed_while_idle: &Cell<u64>,
        open: impl FnOnce(u64) -> F,
    ) -> Result<Taken, Failure> {
        if let Some(connection) = self.usable(closed_while_idle) {
            return Ok(Taken { connection, kept: true });
        }
        let _opening = self.opening.lock().await;
        if let Some(connection) = self.usable(closed_while_idle) {
            return Ok(Taken { connection, kept: true });
        }
        self.opened.set(self.opened.get() + 1);
        let connection = open(self.opened.get()).await?;
        let left = connection.uses.get().saturating_sub(1);
        connection.uses.set(left);
        *self.current.borrow_mut() = (left > 0).then(|| connection.clone());
        Ok(Taken { connection, kept: false })
    }

    fn usable(&self, closed_while_idle: &Cell<u64>) -> Option<Lease> {
        let connection = self.current.borrow().clone()?;
        if !connection.is_open() {
            let idle = u64::from(connection.closed_while_idle());
            closed_while_idle.set(closed_while_idle.get() + idle);
            self.retire(&connection);
            return None;
        }
        let age = || clock::now().saturating_duration_since(connection.opened);
        if self.lifetime.is_some_and(|most| age() >= most) {
            self.retire(&connection);
            return None;
        }
        let left = connection.uses.get().checked_sub(1)?;
        connection.uses.set(left);
        if left == 0 {
            self.retire(&connection);
        }
        Some(connection)
    }

    /// Starts no further request on a connection, of which one did not end. Those that were sent
    /// continue; those that wait for a stream go elsewhere.
    pub(in crate::engine) fn abandon(&self, connection: &Lease) {
        self.retire(connection);
        connection.turn_away();
    }

    /// Starts no further request on a connection; those that have it continue.
    fn retire(&self, connection: &Lease) {
        let mut current = self.current.borrow_mut();
        if current.as_ref().is_some_and(|known| known.is_same(connection)) {
            // Not dropped while borrowed.
            let _retired = current.take();
        }
    }
}
