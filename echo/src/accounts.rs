//! What clients may cost: a limit of open connections, and a limit of bytes that are held for all
//! of them together. Every connection has an account. At the limit, the connection
//! that has been quiet for longest is closed, so that a new client is served even if others
//! only hold connections open.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Notify;

mod share;
pub(crate) use share::Share;

/// The most that is held for all clients together, in bytes, beside what every connection needs.
pub(crate) const MOST_HELD: usize = 16 << 20;
/// What each request in flight at once holds until its HTTP/2 connection ends, besides the first, in
/// bytes: the library keeps the room. Measured with 100 requests.
const STREAM: usize = 2 << 10;
/// How many connections are compared to find the one that is closed.
const COMPARED: usize = 64;

/// The accounts of all connections that share a limit.
#[derive(Debug)]
pub(crate) struct Accounts {
    /// The most connections.
    most: usize,
    /// The most bytes held for all connections together.
    most_held: usize,
    held: AtomicUsize,
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
    /// The bytes that are held for this connection.
    held: AtomicUsize,
    refused: AtomicBool,
    /// The bytes that have come and are not yet a whole head or a whole message.
    incoming: AtomicUsize,
    /// Whether messages come, which may be larger than a head.
    messages: AtomicBool,
    /// The number of arrivals when the last request or message came.
    active: AtomicU64,
    in_flight: AtomicU64,
    /// The most requests that were in flight at once, as far as they count as held.
    streams: AtomicU64,
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
    /// At most `most` connections; while others are being closed, an eighth more. At most
    /// `most_held` bytes are held for all of them.
    pub(crate) fn new(most: usize, most_held: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_held,
            held: AtomicUsize::new(0),
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
        quietest.close();
        true
    }

    fn open(self: &Arc<Self>, arrivals: u64) -> Arc<Account> {
        self.open.fetch_add(1, Relaxed);
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.free.pop().unwrap_or(slots.accounts.len());
        let account = Arc::new(Account {
            accounts: Arc::clone(self),
            slot,
            held: AtomicUsize::new(0),
            refused: AtomicBool::new(false),
            incoming: AtomicUsize::new(0),
            messages: AtomicBool::new(false),
            active: AtomicU64::new(arrivals),
            in_flight: AtomicU64::new(0),
            streams: AtomicU64::new(1),
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

    /// The bytes that are held for all connections.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.held.load(Relaxed)
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
    /// An account of its own, and its accounts, for tests.
    #[cfg(test)]
    pub(crate) fn alone(most_held: usize) -> (Arc<Self>, Arc<Accounts>) {
        let accounts = Accounts::new(1, most_held);
        (accounts.open(0), accounts)
    }

    /// Bytes have come. Returns how many are not yet a whole head or a whole message.
    pub(crate) fn came(&self, bytes: usize) -> usize {
        self.incoming.fetch_add(bytes, Relaxed) + bytes
    }

    /// What has come was whole.
    pub(crate) fn is_whole(&self) {
        self.incoming.store(0, Relaxed);
        self.is_active();
    }

    /// From now on, messages come.
    pub(crate) fn will_be_messages(&self) {
        self.messages.store(true, Relaxed);
        self.is_whole();
    }

    pub(crate) fn expects_messages(&self) -> bool {
        self.messages.load(Relaxed)
    }

    /// A request has come.
    pub(crate) fn begin(self: &Arc<Self>) -> InFlight {
        self.is_whole();
        self.in_flight.fetch_add(1, Relaxed);
        InFlight(Arc::clone(self))
    }

    /// Counts what HTTP/2 keeps for the requests in flight. Whether that fits.
    pub(crate) fn take_streams(&self) -> bool {
        let (now, most) = (self.in_flight.load(Relaxed), self.streams.load(Relaxed));
        if now <= most {
            return true;
        }
        let fits = usize::try_from(now - most).is_ok_and(|more| self.take(more * STREAM));
        if fits {
            self.streams.store(now, Relaxed);
        }
        fits
    }

    /// Whether the connection has to end now.
    pub(crate) fn is_closing(&self) -> bool {
        self.leaving.load(Relaxed)
    }

    /// Closes the connection.
    pub(crate) fn close(&self) {
        self.leaving.store(true, Relaxed);
        self.leave.notify_one();
    }

    /// Counts bytes as held. Refused if the connection would then hold more than is left for
    /// all others. So, of k connections that take what they get, each gets a part of k + 1, and
    /// the last part stays free.
    fn take(&self, bytes: usize) -> bool {
        let accounts = &*self.accounts;
        let before = accounts.held.fetch_add(bytes, Relaxed);
        let own = self.held.load(Relaxed);
        let fits = before.saturating_add(own).saturating_add(bytes) <= accounts.most_held;
        if fits {
            self.held.fetch_add(bytes, Relaxed);
        } else {
            accounts.held.fetch_sub(bytes, Relaxed);
            self.refused.store(true, Relaxed);
        }
        fits
    }

    fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Relaxed);
        self.accounts.held.fetch_sub(bytes, Relaxed);
    }

    /// Whether a share was ever refused.
    pub(crate) fn was_refused(&self) -> bool {
        self.refused.load(Relaxed)
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
        // All shares are dropped. What is left was taken for the whole connection.
        self.accounts.held.fetch_sub(*self.held.get_mut(), Relaxed);
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
    use proptest::prelude::*;

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
        let accounts = Accounts::new(3, 0);
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
        let accounts = Accounts::new(16, 0);
        let open: Vec<_> = (0..18).map(|_| admitted(&accounts)).collect();
        assert!(matches!(accounts.admit(), Admission::Refused), "two are leaving already");
        assert_eq!(open.iter().filter(|account| leaves(account)).count(), 2, "each only once");
        drop(open);
        assert!(matches!(accounts.admit(), Admission::Free(_)), "all have left");
    }

    #[test]
    fn requests_that_never_end_leave_at_last_and_recent_ones_stay() {
        let accounts = Accounts::new(8, 0);
        let held: Vec<_> = (0..8).map(|_| admitted(&accounts)).collect();
        let in_flight: Vec<_> = held.iter().map(Account::begin).collect();
        assert!(matches!(accounts.admit(), Admission::Refused), "all have just asked");
        let refused = (0..8).take_while(|_| matches!(accounts.admit(), Admission::Refused));
        assert_eq!(refused.count(), 3, "half as many arrivals as the limit");
        assert_eq!(held.iter().filter(|account| leaves(account)).count(), 1);
        drop(in_flight);
    }

    #[test]
    fn greedy_connections_leave_a_part_for_others() {
        for greedy in [1, 3, 40] {
            let accounts = Accounts::new(100, 1_000_000);
            let open: Vec<_> = (0..greedy).map(|_| admitted(&accounts)).collect();
            let mut shares = Vec::new();
            loop {
                let before = shares.len();
                shares.extend(open.iter().filter_map(|account| Share::take(account, 1_000)));
                if shares.len() == before {
                    break;
                }
            }
            let part = 1_000_000 / (greedy + 1);
            let newcomer = admitted(&accounts);
            let share = Share::take(&newcomer, part * 9 / 10 / 2);
            assert!(share.is_some(), "{greedy}: {} held", accounts.held());
            drop((shares, share));
            assert_eq!(accounts.held(), 0);
        }
    }

    #[test]
    fn requests_at_once_count_until_the_connection_ends() {
        let (account, accounts) = Account::alone(10 * STREAM);
        for _ in 0..100 {
            let _alone = account.begin();
            assert!(account.take_streams());
        }
        assert_eq!(accounts.held(), 0, "one after the other");
        let at_once: Vec<_> = (0..4).map(|_| account.begin()).collect();
        assert!(account.take_streams());
        drop(at_once);
        assert_eq!(accounts.held(), 3 * STREAM);
        let too_many: Vec<_> = (0..20).map(|_| account.begin()).collect();
        assert!(!account.take_streams());
        drop((too_many, account));
        assert_eq!(accounts.held(), 0);
    }

    proptest! {
        #[test]
        fn shares_stay_within_the_limit_and_come_back(
            steps in prop::collection::vec((0usize..4, 0usize..400), 0..60),
        ) {
            let accounts = Accounts::new(4, 1_000);
            let open: Vec<_> = (0..4).map(|_| admitted(&accounts)).collect();
            let mut shares = Vec::new();
            for (who, bytes) in steps {
                let mut share = Share::none(&open[who]);
                if share.grow(bytes / 2) && share.grow(bytes) {
                    shares.push(share);
                } else {
                    shares.pop();
                }
                prop_assert!(accounts.held() <= 1_000);
            }
            drop(shares);
            prop_assert_eq!(accounts.held(), 0);
        }
    }

    #[test]
    fn the_places_of_those_that_left_are_used_again() {
        let accounts = Accounts::new(4, 0);
        for _ in 0..100 {
            let open: Vec<_> = (0..4).map(|_| admitted(&accounts)).collect();
            assert!(open.iter().all(|account| account.slot < 4));
        }
    }
}
