//! Bytes that count as held for a connection, as long as this value exists.

use std::sync::Arc;

use super::Account;

#[derive(Debug)]
pub(crate) struct Share {
    account: Arc<Account>,
    bytes: usize,
}

impl Share {
    /// A share of this size; `None` if too much is held already.
    pub(crate) fn take(account: &Arc<Account>, bytes: usize) -> Option<Self> {
        account.take(bytes).then(|| Self { account: Arc::clone(account), bytes })
    }

    /// A share of nothing, which can grow.
    pub(crate) fn none(account: &Arc<Account>) -> Self {
        Self { account: Arc::clone(account), bytes: 0 }
    }

    /// Grows to this size, and never shrinks. If it cannot, it stays as it is.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let fits = more == 0 || self.account.take(more);
        if fits {
            self.bytes += more;
        }
        fits
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.account.give_back(self.bytes);
    }
}
