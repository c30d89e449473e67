//! What an attacker, or a bug, does to a call.

use k3s_daas::contract::Call;
use k3s_daas::crypto::Signature;
use k3s_daas::types::{Address, Digest, HexBytes, MIST_PER_SUI};

use super::super::world::{
    address, off_curve_key, signature_of, small_order_keys, trivial_signature,
};
use super::{Focus, Generator};

impl Generator {
    /// Something that an attacker, or a bug, would do to a call. Half of them are signed again.
    pub(super) fn damage(&mut self, sender: &mut Address, call: &mut Call) {
        match self.rng.below(10) {
            0..3 => {
                *sender = self.anyone();
                return;
            }
            3 => {
                if let Some(signature) = signature_of(call) {
                    match self.rng.below(5) {
                        0 => signature.0.truncate(63),
                        1 => *signature = HexBytes(vec![0; 64]),
                        2 => *signature = HexBytes::from(trivial_signature().as_ref()),
                        3 => signature.0.push(0),
                        _ => {
                            let at = self.rng.below(signature.len().max(1) as u64);
                            if let Some(byte) = signature.0.get_mut(usize::try_from(at).unwrap()) {
                                *byte ^= 1;
                            }
                        }
                    }
                    return;
                }
            }
            4 => {
                // The other cluster's or token's call.
                let other = usize::try_from(self.rng.below(self.clusters.len() as u64)).unwrap();
                let focus = self.clusters[other].clone();
                retarget(call, &focus, self.rng.below(2) == 0, self.rng.next());
            }
            _ => self.alter(call),
        }
        if self.rng.chance(50) {
            self.w.sign(call);
        }
    }

    pub(super) fn alter(&mut self, call: &mut Call) {
        let executor = self.executor();
        let amount = *self.rng.pick(&[
            0,
            1,
            MIST_PER_SUI / 100 - 1,
            u64::MAX,
            u64::MAX - 10 * MIST_PER_SUI,
        ]);
        let moment = *self
            .rng
            .pick(&[0, self.w.now, self.w.now.saturating_sub(1), u64::MAX]);
        let key = match self.rng.below(3) {
            0 => HexBytes(self.rng.pick(&small_order_keys()).to_vec()),
            1 => HexBytes(vec![7; 31]),
            _ => HexBytes(off_curve_key().to_vec()),
        };
        let roll = self.rng.next();
        match call {
            Call::ExecuteKubectlCommandWithId { request, .. }
            | Call::TryExecuteKubectlCommandWithId { request, .. }
            | Call::OpenSession { request, .. }
            | Call::RecordRefusal { request, .. }
            | Call::ExecuteSignedCommand { request, .. }
            | Call::TryExecuteSignedCommand { request, .. }
            | Call::OpenSignedSession { request, .. } => self.bend(request),
            Call::ClaimRequest { executor: e, .. } => *e = executor,
            Call::ReleaseRequest {
                executor: e, epoch, ..
            } => {
                if roll.is_multiple_of(2) {
                    *e = executor;
                } else {
                    *epoch = epoch.wrapping_add(1);
                }
            }
            Call::StoreK8sResponse {
                executor: e,
                epoch,
                status,
                envelope_hash,
                envelope_len,
                sealed,
                ..
            } => match roll % 6 {
                0 => *e = executor,
                1 => *epoch = epoch.wrapping_sub(1),
                2 => *status = 200,
                3 => envelope_hash.0.push(0),
                4 => *envelope_len = 0,
                _ => sealed.0 = vec![1; 16_001],
            },
            Call::CloseSession {
                executor: e,
                message,
                ..
            } => match roll % 3 {
                0 => *e = executor,
                1 => message.epoch = message.epoch.wrapping_add(1),
                _ => message.digest = Digest::ZERO,
            },
            Call::DepositStake { amount: a, .. }
            | Call::Unstake { amount: a, .. }
            | Call::DepositExecutorStake { amount: a, .. }
            | Call::UnstakeExecutor { amount: a, .. }
            | Call::WithdrawInsurance { amount: a, .. } => *a = amount,
            Call::AddDelegate {
                delegate,
                expires_at_ms,
                ..
            } => match roll % 3 {
                0 => *delegate = address("owner"),
                1 => *delegate = Address::new([u8::try_from(roll % 251).unwrap(); 32]),
                _ => *expires_at_ms = moment,
            },
            Call::RegisterSessionKey {
                key: k,
                expires_at_ms,
                ..
            } => {
                if roll.is_multiple_of(2) {
                    *k = key;
                } else {
                    *expires_at_ms = moment;
                }
            }
            Call::RemoveSessionKey { key: k, .. } => *k = key,
            Call::RegisterExecutor {
                signing_key,
                encryption_key,
                attestation,
                ..
            } => match roll % 3 {
                0 => *signing_key = key,
                1 => *encryption_key = key,
                _ => *attestation = HexBytes(b"forged".to_vec()),
            },
            Call::IssueToken {
                expires_at_ms,
                delegates,
                owner,
                groups,
                ..
            } => match roll % 5 {
                0 => *expires_at_ms = moment,
                1 => delegates.push(delegates[0]),
                2 => *owner = delegates[0].delegate,
                3 => groups.resize(33, "team".into()),
                _ => delegates[0].expires_at_ms = moment,
            },
            Call::AnchorReads { message, .. } => match roll % 3 {
                0 => message.last = u64::MAX,
                1 => message.previous_root = Digest::new([1; 32]),
                _ => message.executor = executor,
            },
            Call::SlashEquivocation { first, .. } => first.signature = Signature::new([0; 64]),
            Call::CreateCluster { name, .. } => name.0.clear(),
            _ => {}
        }
    }
}

fn retarget(call: &mut Call, focus: &Focus, whole: bool, roll: u64) {
    let Some(other) = focus.tokens.first() else {
        return;
    };
    match call {
        Call::ExecuteKubectlCommandWithId { cluster, token, .. }
        | Call::TryExecuteKubectlCommandWithId { cluster, token, .. }
        | Call::ExecuteSignedCommand { cluster, token, .. }
        | Call::TryExecuteSignedCommand { cluster, token, .. }
        | Call::OpenSession { cluster, token, .. }
        | Call::OpenSignedSession { cluster, token, .. }
        | Call::RecordRefusal { cluster, token, .. }
        | Call::RecordRefusals { cluster, token, .. }
        | Call::ClaimRequest { cluster, token, .. }
        | Call::ReleaseRequest { cluster, token, .. }
        | Call::StoreK8sResponse { cluster, token, .. }
        | Call::CloseSession { cluster, token, .. }
        | Call::Unstake { cluster, token, .. }
        | Call::RevokeToken { cluster, token, .. }
        | Call::SetRules { cluster, token, .. }
        | Call::MigrateToken { cluster, token } => {
            *cluster = focus.cluster;
            if whole {
                *token = *other;
            }
        }
        Call::UnstakeExecutor {
            cluster, executor, ..
        }
        | Call::DepositExecutorStake {
            cluster, executor, ..
        }
        | Call::SlashEquivocation {
            cluster, executor, ..
        }
        | Call::AnchorReads {
            cluster, executor, ..
        }
        | Call::ActivateExecutor {
            cluster, executor, ..
        }
        | Call::DeactivateExecutor {
            cluster, executor, ..
        }
        | Call::RemoveExecutor {
            cluster, executor, ..
        } => {
            if roll.is_multiple_of(2) || focus.executors.is_empty() {
                *cluster = focus.cluster;
            } else {
                *executor = focus.executors[0];
            }
        }
        Call::SetPolicy { cluster, .. }
        | Call::WithdrawInsurance { cluster, .. }
        | Call::IssueToken { cluster, .. }
        | Call::RegisterExecutor { cluster, .. }
        | Call::MigrateCluster { cluster, .. } => *cluster = focus.cluster,
        Call::PruneResponses { token, .. }
        | Call::DepositStake { token, .. }
        | Call::WithdrawStake { token } => *token = *other,
        _ => {}
    }
}
