//! Answers for as long as they last, and one lookup for all that want the same at the same time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use crate::clock;

/// A value, and for how long it may be used again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fresh<T> {
    pub value: T,
    pub lifetime: Duration,
}

/// The key is a name as it was asked for.
pub(super) struct Cache<T: Clone>(RefCell<HashMap<String, Entry<T>>>);

enum Entry<T: Clone> {
    /// Ends with the last of those who wait for it.
    UnderWay(WeakShared<BoxFuture<'static, Fresh<T>>>),
    Known {
        value: T,
        until: Instant,
    },
}

impl<T: Clone> Default for Cache<T> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<T: Clone> Cache<T> {
    /// The known value; else that of the lookup that is under way; else that of a new one.
    pub(super) async fn get(
        &self,
        key: &str,
        look_up: impl FnOnce() -> BoxFuture<'static, Fresh<T>>,
    ) -> T {
        let under_way = match self.find(key) {
            Some(Ok(known)) => return known,
            Some(Err(under_way)) => under_way,
            None => {
                let new = look_up().shared();
                if let Some(weak) = new.downgrade() {
                    self.0.borrow_mut().insert(key.to_owned(), Entry::UnderWay(weak));
                }
                new
            }
        };
        let Fresh { value, lifetime } = under_way.await;
        // Who waited for the same lookup does the same.
        let known = Entry::Known { value: value.clone(), until: clock::now() + lifetime };
        self.0.borrow_mut().insert(key.to_owned(), known);
        value
    }

    fn find(&self, key: &str) -> Option<Result<T, Shared<BoxFuture<'static, Fresh<T>>>>> {
        match self.0.borrow().get(key)? {
            Entry::Known { value, until } if clock::now() < *until => Some(Ok(value.clone())),
            Entry::Known { .. } => None,
            Entry::UnderWay(weak) => weak.upgrade().map(Err),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn block_on<F: Future>(work: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
    }

    /// A lookup that takes a moment; its value is how many there were before it.
    fn counting(
        count: &Arc<AtomicU32>,
        lifetime: Duration,
    ) -> impl Fn() -> BoxFuture<'static, Fresh<u32>> {
        let count = Arc::clone(count);
        move || {
            let value = count.fetch_add(1, Ordering::Relaxed);
            async move {
                tokio::time::sleep(Duration::from_millis(5)).await;
                Fresh { value, lifetime }
            }
            .boxed()
        }
    }

    #[test]
    fn a_value_is_used_as_long_as_it_lasts() {
        let count = Arc::new(AtomicU32::new(0));
        let (cache, lasting) = (Cache::default(), counting(&count, Duration::from_secs(60)));
        block_on(async {
            assert_eq!(cache.get("a", &lasting).await, 0);
            assert_eq!(cache.get("a", &lasting).await, 0);
            assert_eq!(cache.get("b", &lasting).await, 1);
        });
        let (cache, never) = (Cache::default(), counting(&count, Duration::ZERO));
        block_on(async {
            assert_eq!(cache.get("a", &never).await, 2);
            assert_eq!(cache.get("a", &never).await, 3);
        });
    }

    #[test]
    fn what_is_asked_at_the_same_time_is_looked_up_once() {
        let count = Arc::new(AtomicU32::new(0));
        let (cache, never) = (Cache::default(), counting(&count, Duration::ZERO));
        let all = block_on(async {
            tokio::join!(cache.get("a", &never), cache.get("b", &never), cache.get("a", &never))
        });
        assert_eq!(all, (0, 1, 0));
    }

    #[test]
    fn a_lookup_outlives_who_began_it_only_for_those_who_wait() {
        let count = Arc::new(AtomicU32::new(0));
        let (cache, never) = (Cache::default(), counting(&count, Duration::ZERO));
        block_on(async {
            let mut first = Box::pin(cache.get("a", &never));
            let mut second = Box::pin(cache.get("a", &never));
            assert!(first.as_mut().now_or_never().is_none());
            assert!(second.as_mut().now_or_never().is_none());
            drop(first);
            assert_eq!(second.await, 0);
            let mut third = Box::pin(cache.get("a", &never));
            assert!(third.as_mut().now_or_never().is_none());
            drop(third);
            assert_eq!(cache.get("a", &never).await, 2, "nobody waited for the third");
        });
    }
}
