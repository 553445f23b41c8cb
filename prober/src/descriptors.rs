//! Who may take a file descriptor when they are short. The server of `prober watch` gives one of its own
//! back to accept a connection; without this lock, a probe could take it in between.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

static TAKING: RwLock<()> = RwLock::new(());

/// Held while a connection takes its descriptor. Others may do so at the same time.
pub(crate) fn one_of_many() -> RwLockReadGuard<'static, ()> {
    TAKING.read().unwrap_or_else(PoisonError::into_inner)
}

/// Held while a descriptor is given back for a purpose: nobody else takes it.
pub(crate) fn nobody_else() -> RwLockWriteGuard<'static, ()> {
    TAKING.write().unwrap_or_else(PoisonError::into_inner)
}
