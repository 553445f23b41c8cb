//! The limit of open connections. Every connection has an account. At the limit, the connection
//! that has been quiet for longest is closed, so that a new client is served even if others
//! only hold connections open.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Notify;

/// How many connections are compared to find the one that is closed.
const COMPARED: usize = 64;

/// The accounts of all connections that share a limit.
#[derive(Debug)]
pub(crate) struct Accounts {
    /// The most connections.
    most: usize,
    open: AtomicUsize,
    /// Counts arrivals. It is the clock that tells who was quiet for longest.
    arrivals: AtomicU64,
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    accounts: Vec<Weak<Account>>,
    free: Vec<usize>,
}

/// The account of one connection, as long as the connection is open.
#[derive(Debug)]
pub(crate) struct Account {
    accounts: Arc<Accounts>,
    slot: usize,
    /// The number of arrivals when the last request or message came.
    active: AtomicU64,
    in_flight: AtomicU64,
    leaving: AtomicBool,
    leave: Notify,
}

/// How a connection was admitted.
#[derive(Debug)]
pub(crate) enum Admission {
    Free(Arc<Account>),
    /// Another connection is being closed for it.
    InsteadOfAnother(Arc<Account>),
    Refused,
}

impl Accounts {
    /// At most `most` connections; while others are being closed, an eighth more.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            open: AtomicUsize::new(0),
            arrivals: AtomicU64::new(0),
            slots: Mutex::default(),
        })
    }

    /// Opens an account. At the limit, this asks another connection to leave.
    pub(crate) fn admit(self: &Arc<Self>) -> Admission {
        let arrivals = self.arrivals.fetch_add(1, Relaxed) + 1;
        let open = self.open.load(Relaxed);
        if open < self.most {
            return Admission::Free(self.open(arrivals));
        }
        let slack = (self.most / 8).max(1);
        if open >= self.most.saturating_add(slack) {
            return Admission::Refused;
        }
        if !self.make_room() {
            return Admission::Refused;
        }
        Admission::InsteadOfAnother(self.open(arrivals))
    }

    /// Asks the quietest connection to leave. Whether one does.
    pub(crate) fn make_room(&self) -> bool {
        let Some(quietest) = self.quietest(self.arrivals.load(Relaxed)) else { return false };
        quietest.leaving.store(true, Relaxed);
        quietest.leave.notify_one();
        true
    }

    fn open(self: &Arc<Self>, arrivals: u64) -> Arc<Account> {
        self.open.fetch_add(1, Relaxed);
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.free.pop().unwrap_or(slots.accounts.len());
        let account = Arc::new(Account {
            accounts: Arc::clone(self),
            slot,
            active: AtomicU64::new(arrivals),
            in_flight: AtomicU64::new(0),
            leaving: AtomicBool::new(false),
            leave: Notify::new(),
        });
        let weak = Arc::downgrade(&account);
        match slots.accounts.get_mut(slot) {
            Some(place) => *place = weak,
            None => slots.accounts.push(weak),
        }
        account
    }

    /// The quietest connection of some that are drawn. One with a request in flight is chosen
    /// only if none is without, and if many have arrived since its last request.
    fn quietest(&self, arrivals: u64) -> Option<Arc<Account>> {
        let drawn: Vec<_> = {
            let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            let count = slots.accounts.len();
            let draw = |index| if count > COMPARED { fastrand::usize(..count) } else { index };
            let indices = (0..count.min(COMPARED)).map(draw);
            indices.filter_map(|index| slots.accounts[index].upgrade()).collect()
        };
        let long = self.most as u64 / 2;
        let may_leave = |account: &&Arc<Account>| {
            let quiet_for = arrivals.saturating_sub(account.active.load(Relaxed));
            let busy = account.in_flight.load(Relaxed) > 0;
            !account.leaving.load(Relaxed) && (!busy || quiet_for > long)
        };
        let order = |account: &&Arc<Account>| {
            (account.in_flight.load(Relaxed) > 0, account.active.load(Relaxed))
        };
        drawn.iter().filter(may_leave).min_by_key(order).cloned()
    }
}

/// Counts a request as in flight until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Account>);

impl Account {
    /// A request has come.
    pub(crate) fn begin(self: &Arc<Self>) -> InFlight {
        self.is_active();
        self.in_flight.fetch_add(1, Relaxed);
        InFlight(Arc::clone(self))
    }

    /// A request or a message has come.
    pub(crate) fn is_active(&self) {
        self.active.store(self.accounts.arrivals.load(Relaxed), Relaxed);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let mut slots = self.accounts.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.free.push(self.slot);
        drop(slots);
        self.accounts.open.fetch_sub(1, Relaxed);
    }
}

/// Completes when the connection has to make room for another one; never without an account.
pub(crate) async fn must_leave(account: Option<&Account>) {
    match account {
        Some(account) => account.leave.notified().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    fn admitted(accounts: &Arc<Accounts>) -> Arc<Account> {
        match accounts.admit() {
            Admission::Free(account) | Admission::InsteadOfAnother(account) => account,
            Admission::Refused => panic!("refused"),
        }
    }

    fn leaves(account: &Account) -> bool {
        must_leave(Some(account)).now_or_never().is_some()
    }

    #[test]
    fn the_quietest_leaves_for_a_new_one_and_one_in_flight_stays() {
        let accounts = Accounts::new(3);
        let busy = admitted(&accounts);
        let in_flight = busy.begin();
        let quiet = admitted(&accounts);
        let active = admitted(&accounts);
        active.is_active();
        assert!(matches!(accounts.admit(), Admission::InsteadOfAnother(_)));
        assert!(leaves(&quiet) && !leaves(&busy) && !leaves(&active));
        drop((quiet, in_flight));
    }

    #[test]
    fn those_that_leave_take_little_more_than_the_limit() {
        let accounts = Accounts::new(16);
        let open: Vec<_> = (0..18).map(|_| admitted(&accounts)).collect();
        assert!(matches!(accounts.admit(), Admission::Refused), "two are leaving already");
        assert_eq!(open.iter().filter(|account| leaves(account)).count(), 2, "each only once");
        drop(open);
        assert!(matches!(accounts.admit(), Admission::Free(_)), "all have left");
    }

    #[test]
    fn requests_that_never_end_leave_at_last_and_recent_ones_stay() {
        let accounts = Accounts::new(8);
        let held: Vec<_> = (0..8).map(|_| admitted(&accounts)).collect();
        let in_flight: Vec<_> = held.iter().map(Account::begin).collect();
        assert!(matches!(accounts.admit(), Admission::Refused), "all have just asked");
        let refused = (0..8).take_while(|_| matches!(accounts.admit(), Admission::Refused));
        assert_eq!(refused.count(), 3, "half as many arrivals as the limit");
        assert_eq!(held.iter().filter(|account| leaves(account)).count(), 1);
        drop(in_flight);
    }

    #[test]
    fn the_places_of_those_that_left_are_used_again() {
        let accounts = Accounts::new(4);
        for _ in 0..100 {
            let open: Vec<_> = (0..4).map(|_| admitted(&accounts)).collect();
            assert!(open.iter().all(|account| account.slot < 4));
        }
    }
}
