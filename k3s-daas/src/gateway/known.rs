//! For how long the gateway knows whether an ID of a client's own was used.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Times before and after now, within which it is known whether an ID was used, milliseconds.
///
/// A request is held at least for the shortest time that the policy keeps an answer, from when it was made; an
/// ID's own time is up to `ahead_ms` later than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KnownFor {
    pub(super) ahead_ms: u64,
    pub(super) behind_ms: u64,
}

/// What is known under the policy, and was under one with shorter times.
///
/// What was used under that one may be pruned by its times still, so its IDs count as old by them.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<Policies>);

#[derive(Debug, Default)]
struct Policies {
    /// The shortest time that answers are kept, as it was last seen.
    kept_ms: Option<u64>,
    before: Option<Before>,
}

#[derive(Clone, Copy, Debug)]
struct Before {
    /// IDs of no later time may have been used under it.
    until_ms: u64,
    behind_ms: u64,
}

impl KnownFor {
    /// Under a policy that keeps each answer for so long at least.
    pub(super) fn of(kept_ms: u64) -> Self {
        let ahead_ms = MAX_AHEAD_MS.min(kept_ms / 2);
        Self {
            ahead_ms,
            behind_ms: kept_ms - ahead_ms,
        }
    }
}

impl Known {
    /// Has seen a policy that keeps answers for so long at least.
    pub(super) fn see(&self, kept_ms: u64, now_ms: u64) {
        self.policies().see(kept_ms, now_ms);
    }

    /// How old an ID of this time may be, under a policy that keeps answers for so long at least.
    pub(super) fn behind_ms(&self, id_ms: u64, kept_ms: u64, now_ms: u64) -> u64 {
        let mut policies = self.policies();
        policies.see(kept_ms, now_ms);
        let before = policies.before.filter(|before| id_ms <= before.until_ms);
        let behind_ms = KnownFor::of(kept_ms).behind_ms;
        before.map_or(behind_ms, |before| behind_ms.min(before.behind_ms))
    }

    fn policies(&self) -> MutexGuard<'_, Policies> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Policies {
    fn see(&mut self, kept_ms: u64, now_ms: u64) {
        let Some(shorter_ms) = self.kept_ms.replace(kept_ms).filter(|was| *was < kept_ms) else {
            return;
        };
        let behind_ms = KnownFor::of(shorter_ms).behind_ms;
        // Of two such changes the shorter time counts, as long as anything from before both could pass for new.
        let earlier = self.before.filter(|before| {
            let ends_ms = before
                .until_ms
                .saturating_add(KnownFor::of(kept_ms).behind_ms);
            now_ms < ends_ms
        });
        self.before = Some(Before {
            until_ms: now_ms.saturating_add(MAX_AHEAD_MS),
            behind_ms: earlier.map_or(behind_ms, |earlier| earlier.behind_ms.min(behind_ms)),
        });
    }
}

/// How far clocks may be apart.
const MAX_AHEAD_MS: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    #[test]
    fn what_was_used_under_shorter_times_is_old_by_them() {
        let known = Known::default();
        let now = 1_000 * MINUTE;
        // As it is at the start, and shortened: nothing is held for less than it was to be.
        assert_eq!(known.behind_ms(now, 10 * MINUTE, now), 9 * MINUTE);
        assert_eq!(known.behind_ms(now, 4 * MINUTE, now), 3 * MINUTE);
        // Longer: what may be from before, and what is not.
        assert_eq!(known.behind_ms(now, 60 * MINUTE, now), 3 * MINUTE);
        assert_eq!(known.behind_ms(now + MINUTE, 60 * MINUTE, now), 3 * MINUTE);
        let after = now + MINUTE + 1;
        assert_eq!(known.behind_ms(after, 60 * MINUTE, after), 59 * MINUTE);
        assert_eq!(
            known.behind_ms(now, 60 * MINUTE, now + 50 * MINUTE),
            3 * MINUTE
        );
        // The shortest of several, until nothing can be from before the first of them.
        known.see(2_000, now + 2 * MINUTE);
        known.see(60 * MINUTE, now + 3 * MINUTE);
        known.see(20 * MINUTE, now + 4 * MINUTE);
        known.see(30 * MINUTE, now + 5 * MINUTE);
        assert_eq!(
            known.behind_ms(now + 6 * MINUTE, 30 * MINUTE, now + 6 * MINUTE),
            1_000
        );
        known.see(20 * MINUTE, now + 90 * MINUTE);
        known.see(30 * MINUTE, now + 91 * MINUTE);
        assert_eq!(
            known.behind_ms(now + 90 * MINUTE, 30 * MINUTE, now + 91 * MINUTE),
            19 * MINUTE
        );
    }
}
