//! Room in memory for the cluster's answers, of which a request's slot alone would let there be gigabytes.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Who holds an answer of more than [`SMALL`] bytes has one of a few places; whoever has none reads no further.
#[derive(Debug)]
pub(super) struct Room {
    medium: Arc<Semaphore>,
    large: Arc<Semaphore>,
}

/// The place of an answer, until the blob store has it.
#[derive(Debug, Default)]
pub(super) enum Place {
    /// Each has it.
    #[default]
    Small,
    /// Up to [`MEDIUM`] bytes.
    Medium { _permit: OwnedSemaphorePermit },
    /// Up to the bound of answers.
    Large { _permit: OwnedSemaphorePermit },
}

impl Room {
    pub(super) fn new() -> Self {
        Self {
            medium: Arc::new(Semaphore::new(MEDIUM_PLACES)),
            large: Arc::new(Semaphore::new(LARGE_PLACES)),
        }
    }

    /// Makes `place` one for so many bytes; waits until there is one.
    ///
    /// Nobody in a large place waits for a medium one, so they never wait for each other.
    pub(super) async fn grow(&self, place: &mut Place, bytes: usize) {
        if matches!(place, Place::Small)
            && bytes > SMALL
            && let Ok(_permit) = self.medium.clone().acquire_owned().await
        {
            *place = Place::Medium { _permit };
        }
        if matches!(place, Place::Medium { .. })
            && bytes > MEDIUM
            && let Ok(_permit) = self.large.clone().acquire_owned().await
        {
            *place = Place::Large { _permit };
        }
    }
}

/// What every request that is at the cluster may hold, in bytes.
const SMALL: usize = 256 << 10;
/// A list of a thousand pods is about three.
const MEDIUM: usize = 4 << 20;
const MEDIUM_PLACES: usize = 16;
const LARGE_PLACES: usize = 2;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn grown(room: &Room, place: &mut Place, bytes: usize) -> bool {
        let grow = room.grow(place, bytes);
        tokio::time::timeout(Duration::from_millis(20), grow)
            .await
            .is_ok()
    }

    #[tokio::test]
    async fn a_few_are_large_and_the_small_never_wait() {
        let room = Room::new();
        let mut places: Vec<Place> = (0..MEDIUM_PLACES + 1).map(|_| Place::default()).collect();
        for place in &mut places {
            assert!(grown(&room, place, SMALL).await);
            assert!(matches!(place, Place::Small));
        }
        let (last, others) = places.split_last_mut().expect("one");
        for place in &mut *others {
            assert!(grown(&room, place, SMALL + 1).await && grown(&room, place, MEDIUM).await);
        }
        assert!(
            !grown(&room, last, SMALL + 1).await,
            "all medium places are taken"
        );
        assert!(grown(&room, last, SMALL).await);
        for place in &mut others[..LARGE_PLACES] {
            assert!(grown(&room, place, MEDIUM + 1).await && grown(&room, place, 32 << 20).await);
        }
        assert!(!grown(&room, &mut others[LARGE_PLACES], MEDIUM + 1).await);
        // Who is large has left its medium place.
        assert!(grown(&room, last, SMALL + 1).await);
        others[0] = Place::Small;
        assert!(grown(&room, &mut others[LARGE_PLACES], MEDIUM + 1).await);
    }
}
