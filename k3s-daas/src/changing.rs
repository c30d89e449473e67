//! What may be changed while a service runs.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Semaphore;

/// A value that is replaced as a whole; who has read it goes on with what it read.
#[derive(Debug)]
pub(crate) struct Changing<T>(RwLock<Arc<T>>);

impl<T> Changing<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(RwLock::new(Arc::new(value)))
    }

    /// What holds now.
    pub(crate) fn now(&self) -> Arc<T> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What holds from now on.
    pub(crate) fn set(&self, value: T) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
    }
}

/// Makes `old` places `new` ones. Of fewer, those that are taken go as they are given back, before anybody gets one
/// again. Must be called in a Tokio runtime.
pub(crate) fn resize(places: &Arc<Semaphore>, old: usize, new: usize) {
    if new >= old {
        places.add_permits(new - old);
        return;
    }
    let taken = old - new - places.forget_permits(old - new);
    let Ok(taken) = u32::try_from(taken) else {
        return;
    };
    if taken > 0 {
        let places = places.clone();
        // It queues ahead of all who come after it.
        tokio::spawn(async move {
            if let Ok(back) = places.acquire_many_owned(taken).await {
                back.forget();
            }
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn fewer_places_hold_once_those_that_are_taken_come_back() {
        let places = Arc::new(Semaphore::new(4));
        let mut taken: Vec<_> = (0..3)
            .map(|_| places.clone().try_acquire_owned().unwrap())
            .collect();
        resize(&places, 4, 1);
        tokio::task::yield_now().await;
        assert!(places.try_acquire().is_err());
        taken.truncate(1);
        tokio::task::yield_now().await;
        assert!(places.try_acquire().is_err(), "one is taken of one");
        taken.clear();
        tokio::task::yield_now().await;
        let one = places.try_acquire().unwrap();
        assert!(places.try_acquire().is_err());
        drop(one);
        resize(&places, 1, 3);
        assert_eq!(places.available_permits(), 3);
    }
}
