//! File descriptors. The limits of connections stay below the limit of the process, so that
//! clients cannot use them up, and the admin port can still accept a connection if something
//! else does.

use std::fs::File;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

/// How many connections the admin port has at most.
const ADMIN: u64 = 256;
/// How many descriptors everything but the connections of clients uses: listeners, files, calls.
const OTHERS: u64 = 64;
/// How many descriptors the admin port keeps open to have them at hand.
const SPARE: usize = 4;

/// The most connections of the admin port, and of all other ports together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MostConnections {
    pub(crate) admin: usize,
    pub(crate) others: usize,
}

/// What is asked for, or less if the process may not open that many files.
pub(crate) fn most_connections(asked: u64) -> MostConnections {
    within(getrlimit(Resource::Nofile).current, asked)
}

fn within(files: Option<u64>, asked: u64) -> MostConnections {
    let files = files.unwrap_or(u64::MAX);
    let admin = ADMIN.min(files / 8);
    let left = files - admin - OTHERS.min(files / 2);
    // While connections are closed for new ones, an eighth more is open for a moment.
    let others = asked.min(left / 9 * 8).max(1);
    let count = |number| usize::try_from(number).unwrap_or(usize::MAX);
    MostConnections { admin: count(admin.max(1)), others: count(others) }
}

/// Descriptors that are open for nothing else than to be given up for the admin port.
#[derive(Debug)]
pub(crate) struct Spare(Mutex<Vec<File>>);

impl Spare {
    pub(crate) fn new() -> Self {
        let spare = Self(Mutex::new(Vec::with_capacity(SPARE)));
        spare.refill();
        spare
    }

    fn files(&self) -> MutexGuard<'_, Vec<File>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives one up. Whether there was one.
    pub(crate) fn give_up(&self) -> bool {
        self.files().pop().is_some()
    }

    /// Opens again what was given up. Whether all are open then.
    pub(crate) fn refill(&self) -> bool {
        let mut files = self.files();
        while files.len() < SPARE {
            match File::open("/dev/null") {
                Ok(file) => files.push(file),
                Err(_) => return false,
            }
        }
        true
    }
}

/// Whether the error says that no descriptor is left.
pub(crate) fn none_left(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [Errno::MFILE, Errno::NFILE].iter().any(|known| code == Some(known.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn many_files_allow_what_is_asked_and_few_allow_less() {
        assert_eq!(within(None, 2_000), MostConnections { admin: 256, others: 2_000 });
        assert_eq!(within(Some(1 << 20), 2_000), MostConnections { admin: 256, others: 2_000 });
        assert_eq!(within(Some(1_024), 2_000), MostConnections { admin: 128, others: 736 });
        assert_eq!(within(Some(0), 2_000), MostConnections { admin: 1, others: 1 });
    }

    #[test]
    fn spare_descriptors_are_given_up_and_opened_again() {
        let spare = Spare::new();
        for _ in 0..2 {
            assert_eq!((0..9).filter(|_| spare.give_up()).count(), SPARE);
            assert!(spare.refill());
        }
        assert!(none_left(&io::Error::from(Errno::MFILE)));
        assert!(!none_left(&io::Error::from(io::ErrorKind::ConnectionAborted)));
    }

    proptest! {
        #[test]
        fn connections_leave_descriptors_for_everything_else(files in 32u64.., asked in 1u64..) {
            let MostConnections { admin, others } = within(Some(files), asked);
            let together = admin as u64 + others as u64 + (others as u64 / 8).max(1);
            prop_assert!(together < files, "{together} of {files}");
        }
    }
}
