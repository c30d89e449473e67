//! Whose request it is.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::refusal::Refusal;
use super::{Inner, extract};
use crate::crypto::blake2b256;
use crate::ledger::LedgerExt as _;
use crate::token::{CredentialError, Verified};
use crate::types::Digest;
use crate::wire::SignedCredential;

impl Inner {
    /// Verifies the bearer credential of a request.
    ///
    /// The token's state is looked at every time; only that a signature is good is remembered.
    pub(super) fn authenticate(&self, parts: &http::request::Parts) -> Result<Verified, Refusal> {
        let text = extract::bearer(&parts.headers)?;
        let signed = SignedCredential::from_bearer(text).map_err(Refusal::Credential)?;
        let (checked, now_ms) = self.ledger.view(|snapshot| {
            let audience = &self.config().audience;
            let now_ms = snapshot.now_ms;
            let checked = signed.check(snapshot.state, self.cluster, audience, now_ms);
            (checked, now_ms)
        });
        let verified = checked.map_err(Refusal::Credential)?;
        // Verified outside of the view: it takes as long as all the rest, and others wait meanwhile.
        let is_good = self
            .signatures
            .is_good(text, verified.not_after_ms, now_ms, || {
                signed.is_signed(&self.ledger.deployment())
            });
        if is_good {
            Ok(verified)
        } else {
            Err(Refusal::Credential(CredentialError::InvalidSignature))
        }
    }
}

/// Credentials whose signature was verified, by the hash of all of their text, until they expire.
#[derive(Debug, Default)]
pub(super) struct Signatures(Mutex<HashMap<Digest, u64>>);

impl Signatures {
    fn is_good(
        &self,
        text: &str,
        not_after_ms: u64,
        now_ms: u64,
        verify: impl FnOnce() -> bool,
    ) -> bool {
        let hash = blake2b256(&[text.as_bytes()]);
        if self.lock().contains_key(&hash) {
            return true;
        }
        if !verify() {
            return false;
        }
        let mut known = self.lock();
        if known.len() >= MAX_KNOWN {
            known.retain(|_, not_after_ms| now_ms < *not_after_ms);
        }
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(hash, not_after_ms);
        true
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Credentials in use at once that are verified once only.
const MAX_KNOWN: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_good_signatures_are_remembered_and_not_without_end() {
        let signatures = Signatures::default();
        assert!(!signatures.is_good("a", 10, 0, || false));
        assert!(!signatures.is_good("a", 10, 0, || false), "still not");
        assert!(signatures.is_good("a", 10, 0, || true));
        assert!(signatures.is_good("a", 10, 0, || unreachable!("remembered")));
        assert!(!signatures.is_good("ab", 10, 0, || false), "another text");
        for index in 0..3 * MAX_KNOWN {
            assert!(signatures.is_good(&index.to_string(), 20, 15, || true));
            assert!(signatures.lock().len() <= MAX_KNOWN);
        }
    }
}
