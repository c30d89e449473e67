//! What the log means: state, balances and links, one call after the other.
//!
//! Writers, followers and verification run the same code here.

use std::collections::BTreeMap;

use super::message::{CallLink, Genesis, Head, LocalCall, MAX_VALIDITY_MS, derive_id, event_link};
use crate::contract::{Abort, Attestation, Code, Context, Signatures, State};
use crate::crypto::{PublicKey, Signature};
use crate::types::{Address, Digest};
use crate::wire::{Deployment, Event, to_bcs};

/// All that the log amounts to, up to one call.
#[derive(Clone, Debug)]
pub(crate) struct Replica {
    pub(crate) deployment: Deployment,
    pub(crate) state: State,
    pub(crate) balances: BTreeMap<Address, u64>,
    pub(crate) tip: Tip,
}

/// How far the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tip {
    /// Sequence number of the last call; 0 before the first.
    pub(crate) calls: u64,
    /// Sequence number of the last event.
    pub(crate) events: u64,
    /// Time of the last call, Unix milliseconds.
    pub(crate) time_ms: u64,
    /// The link after it and its events.
    pub(crate) link: Digest,
}

impl Tip {
    pub(crate) fn head(&self) -> Head {
        Head {
            calls: self.calls,
            link: self.link,
        }
    }
}

/// A call whose signature was verified, and when it is applied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) message: &'a LocalCall,
    pub(crate) digest: Digest,
    pub(crate) key: &'a PublicKey,
    pub(crate) signature: &'a Signature,
    pub(crate) time_ms: u64,
}

/// What a call did.
#[derive(Clone, Debug)]
pub(crate) struct Applied {
    pub(crate) sequence: u64,
    pub(crate) sender: Address,
    /// The link of the call itself.
    pub(crate) link: Digest,
    pub(crate) first_event: u64,
    pub(crate) events: Vec<AppliedEvent>,
    /// Accounts whose balance changed.
    pub(crate) accounts: Vec<Address>,
}

/// An event with its bytes and its link.
#[derive(Clone, Debug)]
pub(crate) struct AppliedEvent {
    pub(crate) event: Event,
    pub(crate) bytes: Vec<u8>,
    pub(crate) link: Digest,
}

/// Why a call is not applied. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the contract refuses it: {0}")]
    Refused(Code),
    #[error("{0}")]
    Invalid(String),
}

impl Replica {
    /// Before the first call.
    ///
    /// # Errors
    /// In words, if the genesis cannot be: an account twice, or more MIST than can be counted.
    pub(crate) fn at_genesis(genesis: &Genesis, time_ms: u64) -> Result<Self, String> {
        let mut balances = BTreeMap::new();
        let mut total = 0_u64;
        for (account, mist) in &genesis.funds {
            total = total
                .checked_add(*mist)
                .filter(|total| i64::try_from(*total).is_ok())
                .ok_or("the genesis gives more than 2^63 - 1 MIST")?;
            if balances.insert(*account, *mist).is_some() {
                return Err(format!("the genesis funds {account} twice"));
            }
        }
        balances.retain(|_, mist| *mist > 0);
        Ok(Self {
            deployment: genesis.deployment(),
            state: State::default(),
            balances,
            tip: Tip {
                calls: 0,
                events: 0,
                time_ms,
                link: genesis.link(),
            },
        })
    }

    /// Applies a call at `entry.time_ms`.
    pub(crate) fn apply(
        &mut self,
        entry: &Entry<'_>,
        attestation: &dyn Attestation,
        signatures: &dyn Signatures,
    ) -> Result<Applied, Refusal> {
        let LocalCall {
            call, not_after_ms, ..
        } = entry.message;
        let now_ms = entry.time_ms;
        if now_ms < self.tip.time_ms {
            return Err(invalid("its time lies before the call before it"));
        }
        if now_ms >= *not_after_ms {
            return Err(invalid("the time in which it was to be applied is over"));
        }
        if *not_after_ms - now_ms > MAX_VALIDITY_MS {
            return Err(invalid("it is valid for more than 10 minutes"));
        }
        let sender = entry.key.address();
        let held = self.balances.get(&sender).copied().unwrap_or_default();
        let deposit = call.deposit();
        if deposit > held {
            let why = format!("{sender} has {held} MIST and gives {deposit}");
            return Err(Refusal::Invalid(why));
        }

        let mut counter = 0;
        let mut fresh_id = || {
            counter += 1;
            derive_id(entry.digest, counter - 1)
        };
        let mut context = Context {
            package: self.deployment.package,
            sender,
            now_ms,
            fresh_id: &mut fresh_id,
            attestation,
            signatures,
        };
        let effects = self.state.apply(call, &mut context)?;
        debug_assert_eq!(effects.debit, deposit);

        let mut accounts = Vec::new();
        if effects.debit > 0 {
            self.set_balance(sender, held.saturating_sub(effects.debit));
            accounts.push(sender);
        }
        for (account, mist) in &effects.credits {
            let held = self.balances.get(account).copied().unwrap_or_default();
            self.set_balance(*account, held.saturating_add(*mist));
            accounts.push(*account);
        }

        let sequence = self.tip.calls + 1;
        let call_link = CallLink {
            sequence,
            time_ms: now_ms,
            sender,
            digest: entry.digest,
            key: entry.key,
            signature: entry.signature,
        };
        let link = call_link.after(self.tip.link);
        let first_event = self.tip.events + 1;
        let mut tip = Tip {
            calls: sequence,
            events: self.tip.events,
            time_ms: now_ms,
            link,
        };
        let mut events = Vec::with_capacity(effects.events.len());
        for event in effects.events {
            let bytes = to_bcs(&event);
            tip.events += 1;
            tip.link = event_link(tip.link, tip.events, sequence, &bytes);
            events.push(AppliedEvent {
                event,
                bytes,
                link: tip.link,
            });
        }
        self.tip = tip;
        Ok(Applied {
            sequence,
            sender,
            link,
            first_event,
            events,
            accounts,
        })
    }

    fn set_balance(&mut self, account: Address, mist: u64) {
        if mist == 0 {
            self.balances.remove(&account);
        } else {
            self.balances.insert(account, mist);
        }
    }
}

impl From<Abort> for Refusal {
    fn from(abort: Abort) -> Self {
        match abort {
            Abort::Refused(code) => Self::Refused(code),
            Abort::MissingObject(_) => Self::Invalid(abort.to_string()),
        }
    }
}

fn invalid(why: &str) -> Refusal {
    Refusal::Invalid(why.to_owned())
}
