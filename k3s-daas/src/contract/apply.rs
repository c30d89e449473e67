//! A call against the state: events, or why not.

use super::answer::{self, Answer};
use super::request::{self, Asker, Mode};
use super::state::State;
use super::{Call, Code, executor, token};
use crate::crypto::{PublicKey, Signature};
use crate::types::{Address, ByteString};
use crate::wire::Event;

/// What a call needs besides the state: who sends it, when, and what only a chain can do.
pub struct Context<'a> {
    /// The original ID of the package.
    pub package: Address,
    /// Who signed the transaction.
    pub sender: Address,
    /// The ledger's clock, Unix milliseconds.
    pub now_ms: u64,
    /// Gives the IDs of new objects, each only once.
    pub fresh_id: &'a mut dyn FnMut() -> Address,
    /// Verifies attestation documents.
    pub attestation: &'a dyn Attestation,
    /// Verifies the signatures of executors.
    pub signatures: &'a dyn Signatures,
}

/// What a call does when it is not refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// What it emits, in order.
    pub events: Vec<Event>,
    /// MIST that the sender gives.
    pub debit: u64,
    /// MIST that somebody receives.
    pub credits: Vec<(Address, u64)>,
    /// Sealed bytes of an answer: stored, but not in any event.
    pub(super) sealed: ByteString,
}

/// Why a call does not happen. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Abort {
    /// The contract refuses it.
    #[error(transparent)]
    Refused(#[from] Code),
    /// An object that it names is not there; on Sui the transaction is not even valid.
    #[error("no object {0} of the expected type")]
    MissingObject(Address),
}

impl Abort {
    /// The contract's code, if it was the contract that refused.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused(code) => Some(*code),
            Self::MissingObject(_) => None,
        }
    }
}

/// Verifies the attestation documents of enclaves: Nitro's on Sui, by the chain itself.
pub trait Attestation: Send + Sync {
    /// What a document says, if it is genuine.
    fn verify(&self, document: &[u8], now_ms: u64) -> Option<AttestedFacts>;
}

/// What a genuine attestation document says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttestedFacts {
    /// When it was made, Unix milliseconds.
    pub timestamp_ms: u64,
    /// PCR0, PCR1, PCR2.
    pub pcrs: [Vec<u8>; 3],
    /// Its nonce.
    pub nonce: Vec<u8>,
    /// Its user data.
    pub user_data: Vec<u8>,
}

/// A ledger that cannot verify attestation documents: none is genuine.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAttestation;

impl Attestation for NoAttestation {
    fn verify(&self, _document: &[u8], _now_ms: u64) -> Option<AttestedFacts> {
        None
    }
}

/// Says whether signatures are genuine, so that many can be verified together.
///
/// It says the same of the same three whenever it is asked.
pub trait Signatures {
    /// Whether `signature` over `message` is `key`'s.
    fn verify(&self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool;
}

/// Verifies each signature when it is asked about it.
#[derive(Clone, Copy, Debug, Default)]
pub struct OneByOne;

impl Signatures for OneByOne {
    fn verify(&self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
        key.verify(message, signature)
    }
}

impl State {
    /// Applies a call: decides it, then evolves by its events.
    ///
    /// The caller moves the MIST of the effects.
    ///
    /// # Errors
    /// [`Abort`], and then nothing has changed.
    pub fn apply(&mut self, call: &Call, context: &mut Context<'_>) -> Result<Effects, Abort> {
        let effects = self.decide(call, context)?;
        for event in &effects.events {
            self.evolve(event);
        }
        if !effects.sealed.is_empty() {
            self.keep_sealed(&effects);
        }
        Ok(effects)
    }

    /// What a call would do now.
    ///
    /// # Errors
    /// [`Abort`] with the first check that fails, in the order of the contract's tables.
    pub fn decide(&self, call: &Call, context: &mut Context<'_>) -> Result<Effects, Abort> {
        match call {
            Call::CreateCluster {
                name,
                chain,
                policy,
            } => executor::create_cluster(context, name, *chain, policy),
            Call::SetPolicy {
                cap,
                cluster,
                policy,
            } => executor::set_policy(self, context, *cap, *cluster, policy),
            Call::MigrateCluster { cap, cluster } => {
                executor::migrate_cluster(self, context, *cap, *cluster)
            }
            Call::WithdrawInsurance {
                cap,
                cluster,
                amount,
            } => executor::withdraw_insurance(self, context, *cap, *cluster, *amount),

            Call::IssueToken { .. } => token::issue(self, context, call),
            Call::RevokeToken {
                cap,
                cluster,
                token,
            } => token::revoke(self, context, *cap, *cluster, *token),
            Call::SetRules {
                cap,
                cluster,
                token,
                rules,
            } => token::set_rules(self, context, *cap, *cluster, *token, rules),
            Call::MigrateToken { cluster, token } => token::migrate(self, *cluster, *token),
            Call::AddDelegate {
                token,
                delegate,
                expires_at_ms,
            } => token::add_delegate(self, context, *token, *delegate, *expires_at_ms),
            Call::RemoveDelegate { token, delegate } => {
                token::remove_delegate(self, context, *token, *delegate)
            }
            Call::RegisterSessionKey {
                token,
                key,
                expires_at_ms,
            } => token::register_session_key(self, context, *token, key, *expires_at_ms),
            Call::RemoveSessionKey { token, key } => {
                token::remove_session_key(self, context, *token, key)
            }
            Call::DepositStake { token, amount } => token::deposit(self, context, *token, *amount),
            Call::Unstake {
                cluster,
                token,
                amount,
            } => token::unstake(self, context, *cluster, *token, *amount),
            Call::WithdrawStake { token } => token::withdraw(self, context, *token),

            Call::ExecuteKubectlCommandWithId {
                cluster,
                token,
                request,
            } => {
                let asker = Asker::Sender(context.sender);
                request::execute(
                    self,
                    context,
                    *cluster,
                    *token,
                    request,
                    asker,
                    Mode::REQUEST,
                )
            }
            Call::TryExecuteKubectlCommandWithId {
                cluster,
                token,
                request,
            } => {
                let asker = Asker::Sender(context.sender);
                request::execute(self, context, *cluster, *token, request, asker, Mode::TRY)
            }
            Call::ExecuteSignedCommand {
                cluster,
                token,
                request,
                public_key,
                signature,
            } => {
                let asker = Asker::SessionKey {
                    public_key,
                    signature,
                };
                request::execute(
                    self,
                    context,
                    *cluster,
                    *token,
                    request,
                    asker,
                    Mode::REQUEST,
                )
            }
            Call::TryExecuteSignedCommand {
                cluster,
                token,
                request,
                public_key,
                signature,
            } => {
                let asker = Asker::SessionKey {
                    public_key,
                    signature,
                };
                request::execute(self, context, *cluster, *token, request, asker, Mode::TRY)
            }
            Call::OpenSession {
                cluster,
                token,
                request,
            } => {
                let asker = Asker::Sender(context.sender);
                request::execute(
                    self,
                    context,
                    *cluster,
                    *token,
                    request,
                    asker,
                    Mode::SESSION,
                )
            }
            Call::OpenSignedSession {
                cluster,
                token,
                request,
                public_key,
                signature,
            } => {
                let asker = Asker::SessionKey {
                    public_key,
                    signature,
                };
                request::execute(
                    self,
                    context,
                    *cluster,
                    *token,
                    request,
                    asker,
                    Mode::SESSION,
                )
            }
            Call::RecordRefusal {
                cluster,
                token,
                request,
            } => request::record_refusal(self, context, *cluster, *token, request),
            Call::RecordRefusals {
                cluster,
                token,
                code,
                count,
                from_ms,
                to_ms,
            } => request::record_refusals(
                self,
                context,
                *cluster,
                *token,
                *code,
                *count,
                (*from_ms, *to_ms),
            ),

            Call::ClaimRequest {
                cluster,
                token,
                request_id,
                executor,
                signature,
            } => {
                let held = answer::find(self, *cluster, *token, request_id)?;
                answer::claim(context, &held, *executor, signature)
            }
            Call::ReleaseRequest {
                cluster,
                token,
                request_id,
                executor,
                epoch,
                signature,
            } => {
                let held = answer::find(self, *cluster, *token, request_id)?;
                answer::release(context, &held, *executor, *epoch, signature)
            }
            Call::StoreK8sResponse {
                cluster,
                token,
                request_id,
                executor,
                epoch,
                status,
                envelope_hash,
                envelope_len,
                sealed,
                time_ms,
                signature,
            } => {
                let held = answer::find(self, *cluster, *token, request_id)?;
                let answer = Answer {
                    executor: *executor,
                    epoch: *epoch,
                    status: *status,
                    envelope_hash,
                    envelope_len: *envelope_len,
                    sealed,
                    time_ms: *time_ms,
                    signature,
                };
                answer::store(context, &held, &answer)
            }
            Call::PruneResponses { token, request_ids } => {
                answer::prune(self, context, *token, request_ids)
            }
            Call::CloseSession {
                cluster,
                token,
                executor,
                message,
                signature,
            } => {
                let held = answer::find(self, *cluster, *token, &message.request_id)?;
                answer::close_session(context, &held, *executor, message, signature)
            }

            Call::RegisterExecutor { .. } => executor::register(self, context, call),
            Call::ActivateExecutor {
                cap,
                cluster,
                executor,
            } => executor::activate(self, context, *cap, *cluster, *executor),
            Call::DeactivateExecutor {
                cap,
                cluster,
                executor,
            } => executor::deactivate(self, context, *cap, *cluster, *executor),
            Call::RemoveExecutor {
                cap,
                cluster,
                executor,
            } => executor::remove(self, context, *cap, *cluster, *executor),
            Call::DepositExecutorStake {
                cluster,
                executor,
                amount,
            } => executor::deposit(self, context, *cluster, *executor, *amount),
            Call::UnstakeExecutor {
                cluster,
                executor,
                amount,
            } => executor::unstake(self, context, *cluster, *executor, *amount),
            Call::WithdrawExecutorStake { executor } => {
                executor::withdraw(self, context, *executor)
            }
            Call::SlashEquivocation {
                cluster,
                executor,
                token,
                first,
                second,
            } => executor::slash(self, context, *cluster, *executor, *token, [first, second]),
            Call::AnchorReads {
                cluster,
                executor,
                message,
                signature,
            } => executor::anchor(self, context, *cluster, *executor, message, signature),
        }
    }
}

impl Effects {
    pub(super) fn of(event: impl Into<Event>) -> Self {
        Self {
            events: vec![event.into()],
            ..Self::default()
        }
    }

    pub(super) fn paying(mut self, recipient: Address, amount: u64) -> Self {
        self.credits.push((recipient, amount));
        self
    }

    pub(super) fn taking(mut self, amount: u64) -> Self {
        self.debit = amount;
        self
    }
}
