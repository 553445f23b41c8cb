//! What the buffers of a connection hold, as its stream sees it. A buffer that grew stays as large
//! until the connection ends, so its share only grows.

use std::io;
use std::sync::Arc;

use crate::accounts::{Account, Share};

/// How much is read at once, in bytes. Hyper's buffer grows with what it reads at once.
pub(super) const READ: u64 = 8 << 10;
/// What a connection may hold in each direction without a share, in bytes: nearly every request,
/// every answer, and every HTTP/2 frame. The default limit of connections allows for it.
const FREE: usize = 24 << 10;

/// The shares of the buffers of one connection.
#[derive(Debug)]
pub(super) struct Buffers {
    account: Arc<Account>,
    read: Share,
    written: Share,
    /// The largest head. More is in the buffer only if messages come.
    max_head: usize,
}

impl Buffers {
    pub(super) fn new(account: &Arc<Account>, max_head: usize) -> Self {
        let share = || Share::none(account);
        Self { account: Arc::clone(account), read: share(), written: share(), max_head }
    }

    /// Bytes have come: of a head or of a message, not of a body.
    pub(super) fn came(&mut self, bytes: usize) -> io::Result<()> {
        let incoming = self.account.came(bytes);
        if incoming <= FREE {
            return Ok(());
        }
        let messages = self.account.expects_messages();
        granted(self.read.grow(if messages { incoming } else { incoming.min(self.max_head) }))
    }

    /// This many bytes are to be written.
    pub(super) fn waits(&mut self, bytes: usize) -> io::Result<()> {
        if bytes <= FREE { Ok(()) } else { granted(self.written.grow(bytes)) }
    }
}

fn granted(granted: bool) -> io::Result<()> {
    let refused = || io::Error::other("too much is held for all connections");
    if granted { Ok(()) } else { Err(refused()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_count_until_they_are_whole_and_messages_without_an_end() {
        let (account, accounts) = Account::alone(200 << 10);
        let mut buffers = Buffers::new(&account, 64 << 10);
        for _ in 0..100 {
            buffers.came(20 << 10).unwrap();
            account.is_whole();
        }
        assert_eq!(accounts.held(), 0, "small heads need no share");
        for _ in 0..20 {
            buffers.came(8 << 10).unwrap();
        }
        assert_eq!(accounts.held(), 64 << 10, "no head is larger");
        account.will_be_messages();
        buffers.came(100 << 10).unwrap();
        assert_eq!(accounts.held(), 100 << 10);
        buffers.came(100 << 10).unwrap_err();
        drop(buffers);
        assert_eq!(accounts.held(), 0);
    }

    #[test]
    fn a_write_buffer_counts_at_its_largest() {
        let (account, accounts) = Account::alone(200 << 10);
        let mut buffers = Buffers::new(&account, 64 << 10);
        for (bytes, held) in [(FREE, 0), (60 << 10, 60 << 10), (30 << 10, 60 << 10)] {
            buffers.waits(bytes).unwrap();
            assert_eq!(accounts.held(), held);
        }
        buffers.waits(400 << 10).unwrap_err();
        assert!(account.was_refused());
    }
}
