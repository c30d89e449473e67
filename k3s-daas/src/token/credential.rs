//! Bearer credentials: what `Authorization: Bearer` carries.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::contract::{SealToken, State};
use crate::crypto::{PublicKey, Signer, SignerError, random_array};
use crate::types::{ByteString, ClusterId, TokenId};
use crate::wire::{Credential, Deployment, IntentKind, SignedCredential, to_bcs};

impl SignedCredential {
    /// Signs a credential for the bearer of `token` at the gateway `audience`, good from `not_before_ms` (Unix
    /// milliseconds) for `lifetime`.
    ///
    /// `signer` is the token's owner or one of its session keys; whether it is, the gateway says.
    ///
    /// # Errors
    /// [`IssueError`]: no audience, or more than [`MAX_AUDIENCE_BYTES`]; a lifetime of nothing or over
    /// [`MAX_LIFETIME`]; the signer's own failure.
    pub async fn issue(
        signer: &dyn Signer,
        deployment: &Deployment,
        token: TokenId,
        cluster: ClusterId,
        audience: &str,
        not_before_ms: u64,
        lifetime: Duration,
    ) -> Result<Self, IssueError> {
        if !is_audience(audience.as_bytes()) {
            return Err(IssueError::Audience);
        }
        let lifetime_ms = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
        if lifetime_ms == 0 || lifetime_ms > MAX_LIFETIME_MS {
            return Err(IssueError::Lifetime);
        }
        let not_after_ms = not_before_ms.checked_add(lifetime_ms);
        let credential = Credential {
            token,
            cluster,
            audience: ByteString::from(audience),
            not_before_ms,
            not_after_ms: not_after_ms.ok_or(IssueError::Lifetime)?,
            id: random_array(),
        };
        let bytes = deployment
            .intent(IntentKind::Credential, cluster, token)
            .signed_bytes(&credential);
        let signature = signer.sign(&bytes).await.map_err(IssueError::Signer)?;
        Ok(Self {
            credential,
            public_key: signer.public_key(),
            signature,
        })
    }

    /// What the bearer sends: `seal_` and base64url without padding. Whoever reads it can use it.
    #[must_use]
    pub fn to_bearer(&self) -> String {
        let mut text = String::from(BEARER_PREFIX);
        URL_SAFE_NO_PAD.encode_string(to_bcs(self), &mut text);
        text
    }

    /// Reads what [`SignedCredential::to_bearer`] writes, and no other spelling of it. Verifies nothing.
    ///
    /// # Errors
    /// [`CredentialError::Malformed`].
    pub fn from_bearer(text: &str) -> Result<Self, CredentialError> {
        // The bound comes first: nothing is allocated for a megabyte of base64.
        if text.len() > MAX_BEARER_BYTES {
            return Err(CredentialError::Malformed);
        }
        let digits = text.strip_prefix(BEARER_PREFIX);
        let digits = digits.ok_or(CredentialError::Malformed)?;
        let bytes = URL_SAFE_NO_PAD
            .decode(digits)
            .map_err(|_| CredentialError::Malformed)?;
        let signed: Self = bcs::from_bytes(&bytes).map_err(|_| CredentialError::Malformed)?;
        // BCS and base64 have one spelling each; should a decoder ever be generous, this is not.
        if signed.to_bearer() != text || !is_audience(&signed.credential.audience) {
            return Err(CredentialError::Malformed);
        }
        Ok(signed)
    }

    /// Verifies a bearer credential at the gateway `audience` of `cluster`, against the followed state.
    ///
    /// Whether the token itself is valid, and what it allows, is the contract's to say afterwards.
    ///
    /// # Errors
    /// [`CredentialError`], the first check that fails in the order of its variants.
    pub fn verify(
        text: &str,
        state: &State,
        deployment: &Deployment,
        cluster: ClusterId,
        audience: &str,
        now_ms: u64,
    ) -> Result<Verified, CredentialError> {
        let signed = Self::from_bearer(text)?;
        let verified = signed.check(state, cluster, audience, now_ms)?;
        if signed.is_signed(deployment) {
            Ok(verified)
        } else {
            Err(CredentialError::InvalidSignature)
        }
    }

    /// All of [`SignedCredential::verify`] but the signature, which needs no state.
    pub(crate) fn check(
        &self,
        state: &State,
        cluster: ClusterId,
        audience: &str,
        now_ms: u64,
    ) -> Result<Verified, CredentialError> {
        let credential = &self.credential;
        if credential.audience[..] != *audience.as_bytes() {
            return Err(CredentialError::OtherAudience);
        }
        if credential.cluster != cluster {
            return Err(CredentialError::OtherCluster);
        }
        let lifetime_ms = credential
            .not_after_ms
            .checked_sub(credential.not_before_ms)
            .ok_or(CredentialError::Malformed)?;
        if lifetime_ms > MAX_LIFETIME_MS {
            return Err(CredentialError::LifetimeTooLong);
        }
        if now_ms < credential.not_before_ms {
            return Err(CredentialError::NotYet {
                not_before_ms: credential.not_before_ms,
            });
        }
        if now_ms >= credential.not_after_ms {
            return Err(CredentialError::Expired {
                not_after_ms: credential.not_after_ms,
            });
        }
        let token = state
            .token(credential.token)
            .ok_or(CredentialError::UnknownToken)?;
        if token.cluster != cluster {
            return Err(CredentialError::OtherCluster);
        }
        // Under such a key one signature is valid for everything.
        if self.public_key.is_small_order() {
            return Err(CredentialError::SmallOrderKey);
        }
        if !may_sign(token, &self.public_key, now_ms) {
            return Err(CredentialError::NotTokenHolder);
        }
        Ok(Verified {
            token: credential.token,
            credential_id: credential.id,
            public_key: self.public_key,
            not_after_ms: credential.not_after_ms,
        })
    }

    /// Whether the signature is its key's, over this credential and nothing else.
    pub(crate) fn is_signed(&self, deployment: &Deployment) -> bool {
        let credential = &self.credential;
        deployment
            .intent(IntentKind::Credential, credential.cluster, credential.token)
            .verify(credential, &self.public_key, &self.signature)
    }
}

/// A bearer credential that is good here and now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// The token that its bearer speaks for.
    pub token: TokenId,
    /// Names the credential in the record of what is done with it.
    pub credential_id: [u8; 16],
    /// Who signed it: the token's owner or a session key.
    pub public_key: PublicKey,
    /// Unix milliseconds at which it is no longer good.
    pub not_after_ms: u64,
}

impl Verified {
    /// Whether it is still good and its key may still sign for its token: what a long answer asks again
    /// on the way.
    #[must_use]
    pub fn is_live(&self, state: &State, now_ms: u64) -> bool {
        let token = state.token(self.token);
        now_ms < self.not_after_ms
            && token.is_some_and(|token| may_sign(token, &self.public_key, now_ms))
    }
}

/// Why a bearer credential is refused. Nothing of the credential is repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// Not `seal_` and the base64url of a credential.
    #[error("the credential is malformed")]
    Malformed,
    /// It is for another gateway.
    #[error("the credential is for another gateway")]
    OtherAudience,
    /// It, or its token, is of another cluster.
    #[error("the credential is for another cluster")]
    OtherCluster,
    /// It is good for longer than any may be.
    #[error("the credential is good for more than 24 hours")]
    LifetimeTooLong,
    /// Its time has not come; or the clocks differ.
    #[error("the credential is not valid yet")]
    NotYet {
        /// From when it is good, Unix milliseconds.
        not_before_ms: u64,
    },
    /// Its time is over.
    #[error("the credential has expired")]
    Expired {
        /// Since when, Unix milliseconds.
        not_after_ms: u64,
    },
    /// The ledger has no such token (yet).
    #[error("the ledger does not know the credential's seal token")]
    UnknownToken,
    /// Its key is one that everybody can sign with.
    #[error("the credential's key is of small order")]
    SmallOrderKey,
    /// Its key is neither the owner's nor a live session key.
    #[error("the credential's key is neither the owner's nor a live session key")]
    NotTokenHolder,
    /// The signature is not that key's over this credential.
    #[error("the credential's signature is not valid")]
    InvalidSignature,
}

/// Why a credential is not issued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// Not 1 to 253 bytes of visible ASCII.
    #[error("an audience is 1 to {MAX_AUDIENCE_BYTES} visible ASCII characters")]
    Audience,
    /// None, or too long.
    #[error("a credential is good for at least a millisecond and at most 24 hours")]
    Lifetime,
    /// The key's home.
    #[error("the credential could not be signed")]
    Signer(#[source] SignerError),
}

/// A bearer credential as text, for those who keep it; shows itself to nobody.
///
/// Wiped when dropped.
#[derive(Clone)]
pub struct BearerText(zeroize::Zeroizing<String>);

impl BearerText {
    /// The text of a credential.
    #[must_use]
    pub fn new(signed: &SignedCredential) -> Self {
        Self(zeroize::Zeroizing::new(signed.to_bearer()))
    }

    /// The text itself, to be sent.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BearerText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerText(…)")
    }
}

fn may_sign(token: &SealToken, key: &PublicKey, now_ms: u64) -> bool {
    key.address() == token.owner || token.has_session_key(key, now_ms)
}

fn is_audience(audience: &[u8]) -> bool {
    (1..=MAX_AUDIENCE_BYTES).contains(&audience.len()) && audience.iter().all(u8::is_ascii_graphic)
}

/// What a bearer credential begins with.
pub const BEARER_PREFIX: &str = "seal_";
/// How long a credential is good unless something else is asked for.
pub const DEFAULT_LIFETIME: Duration = Duration::from_mins(10);
/// How long a credential may be good.
pub const MAX_LIFETIME: Duration = Duration::from_hours(24);
/// Bytes of an audience, as of a DNS name.
pub const MAX_AUDIENCE_BYTES: usize = 253;

const MAX_LIFETIME_MS: u64 = 24 * 3_600_000;
/// Token, cluster, audience with its length, times, ID, key, signature: 443 bytes at most, in base64.
const MAX_BEARER_BYTES: usize = BEARER_PREFIX.len() + (MAX_CREDENTIAL_BYTES * 4).div_ceil(3);
const MAX_CREDENTIAL_BYTES: usize = 32 + 32 + 2 + MAX_AUDIENCE_BYTES + 8 + 8 + 16 + 32 + 64;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::contract::Call;
    use crate::crypto::{Ed25519Signer, Signature};
    use crate::ledger::memory::MemoryLedger;
    use crate::ledger::{Ledger as _, LedgerExt as _};
    use crate::types::{ClusterPolicy, HexBytes};
    use crate::wire::Event;

    const AUDIENCE: &str = "gateway.example:6443";

    struct Fixture {
        ledger: MemoryLedger,
        owner: Ed25519Signer,
        session: Ed25519Signer,
        cluster: ClusterId,
        token: TokenId,
        now_ms: u64,
    }

    /// A cluster with one token, valid for a day, with a session key for an hour.
    fn fixture() -> Fixture {
        let owner = Ed25519Signer::from_seed([1; 32]);
        let session = Ed25519Signer::from_seed([2; 32]);
        let ledger = MemoryLedger::new(owner.address());
        let now_ms = ledger.now_ms();
        let created = ledger.apply(&Call::CreateCluster {
            name: ByteString::from("test"),
            chain: ledger.deployment().chain,
            policy: ClusterPolicy::default(),
        });
        let (cluster, cap) = match &created.unwrap().events[0].event {
            Event::ClusterCreated(event) => (event.cluster, event.admin_cap),
            other => panic!("{other:?}"),
        };
        let issued = ledger.apply(&Call::IssueToken {
            cap,
            cluster,
            owner: owner.address(),
            rules: Vec::new(),
            groups: Vec::new(),
            not_before_ms: now_ms,
            expires_at_ms: now_ms + 24 * 3_600_000,
            delegates: Vec::new(),
        });
        let token = match &issued.unwrap().events[0].event {
            Event::SealTokenIssued(event) => event.token,
            other => panic!("{other:?}"),
        };
        let registered = ledger.apply(&Call::RegisterSessionKey {
            token,
            key: HexBytes(session.public_key().as_bytes().to_vec()),
            expires_at_ms: now_ms + 3_600_000,
        });
        registered.unwrap();
        Fixture {
            ledger,
            owner,
            session,
            cluster,
            token,
            now_ms,
        }
    }

    impl Fixture {
        fn credential(&self) -> Credential {
            Credential {
                token: self.token,
                cluster: self.cluster,
                audience: ByteString::from(AUDIENCE),
                not_before_ms: self.now_ms,
                not_after_ms: self.now_ms + 600_000,
                id: [9; 16],
            }
        }

        fn sign(&self, signer: &Ed25519Signer, credential: Credential) -> SignedCredential {
            self.sign_as(IntentKind::Credential, signer, credential)
        }

        fn sign_as(
            &self,
            kind: IntentKind,
            signer: &Ed25519Signer,
            credential: Credential,
        ) -> SignedCredential {
            let intent =
                self.ledger
                    .deployment()
                    .intent(kind, credential.cluster, credential.token);
            SignedCredential {
                signature: signer.sign_now(&intent.signed_bytes(&credential)),
                credential,
                public_key: signer.public_key(),
            }
        }

        fn verify_at(&self, text: &str, now_ms: u64) -> Result<Verified, CredentialError> {
            self.ledger.view(|snapshot| {
                let deployment = self.ledger.deployment();
                SignedCredential::verify(
                    text,
                    snapshot.state,
                    &deployment,
                    self.cluster,
                    AUDIENCE,
                    now_ms,
                )
            })
        }

        fn verify(&self, signed: &SignedCredential) -> Result<Verified, CredentialError> {
            self.verify_at(&signed.to_bearer(), self.now_ms)
        }
    }

    #[tokio::test]
    async fn an_issued_credential_is_good_for_its_lifetime() {
        let f = fixture();
        for signer in [&f.owner, &f.session] {
            let signed = SignedCredential::issue(
                signer,
                &f.ledger.deployment(),
                f.token,
                f.cluster,
                AUDIENCE,
                f.now_ms,
                DEFAULT_LIFETIME,
            )
            .await
            .unwrap();
            let text = signed.to_bearer();
            assert!(text.starts_with("seal_") && !text.contains('='));
            assert_eq!(SignedCredential::from_bearer(&text).unwrap(), signed);
            let verified = f.verify(&signed).unwrap();
            assert_eq!(verified.token, f.token);
            assert_eq!(verified.credential_id, signed.credential.id);
            assert_eq!(verified.public_key, signer.public_key());
            assert_eq!(verified.not_after_ms, f.now_ms + 600_000);
            assert!(f.verify_at(&text, f.now_ms + 599_999).is_ok());
            assert_eq!(
                f.verify_at(&text, f.now_ms + 600_000),
                Err(CredentialError::Expired {
                    not_after_ms: f.now_ms + 600_000
                })
            );
            assert_eq!(
                f.verify_at(&text, f.now_ms - 1),
                Err(CredentialError::NotYet {
                    not_before_ms: f.now_ms
                })
            );
        }
    }

    #[tokio::test]
    async fn what_no_gateway_would_take_is_not_issued() {
        let f = fixture();
        let issue = async |audience: &str, not_before_ms, lifetime| {
            SignedCredential::issue(
                &f.owner,
                &f.ledger.deployment(),
                f.token,
                f.cluster,
                audience,
                not_before_ms,
                lifetime,
            )
            .await
        };
        for audience in ["", "a b", "é", "a\n", &"x".repeat(254)] {
            let refused = issue(audience, 0, DEFAULT_LIFETIME).await;
            assert!(matches!(refused, Err(IssueError::Audience)), "{audience:?}");
        }
        assert!(
            issue(&"x".repeat(253), 0, DEFAULT_LIFETIME)
                .await
                .is_ok_and(|signed| signed.to_bearer().len() == MAX_BEARER_BYTES)
        );
        for lifetime in [
            Duration::ZERO,
            MAX_LIFETIME + Duration::from_millis(1),
            Duration::MAX,
        ] {
            let refused = issue(AUDIENCE, 0, lifetime).await;
            assert!(matches!(refused, Err(IssueError::Lifetime)), "{lifetime:?}");
        }
        assert!(issue(AUDIENCE, u64::MAX, DEFAULT_LIFETIME).await.is_err());
        assert!(issue(AUDIENCE, 0, MAX_LIFETIME).await.is_ok());
    }

    #[test]
    fn every_bit_counts() {
        let f = fixture();
        let signed = f.sign(&f.owner, f.credential());
        assert!(f.verify(&signed).is_ok());
        let bytes = to_bcs(&signed);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let text = format!("seal_{}", URL_SAFE_NO_PAD.encode(&flipped));
            assert!(f.verify_at(&text, f.now_ms).is_err(), "bit {bit}");
        }
        // And every bit of the text itself.
        let text = signed.to_bearer().into_bytes();
        for bit in 0..text.len() * 8 {
            let mut flipped = text.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(flipped) = String::from_utf8(flipped) {
                assert!(f.verify_at(&flipped, f.now_ms).is_err(), "bit {bit}");
            }
        }
    }

    #[test]
    fn other_purposes_chains_and_packages_do_not_count() {
        let f = fixture();
        for kind in [
            IntentKind::Request,
            IntentKind::Answer,
            IntentKind::Claim,
            IntentKind::SessionOpen,
            IntentKind::Link,
            IntentKind::LocalCall,
        ] {
            let signed = f.sign_as(kind, &f.owner, f.credential());
            assert_eq!(
                f.verify(&signed),
                Err(CredentialError::InvalidSignature),
                "{kind:?}"
            );
        }
        let text = f.sign(&f.owner, f.credential()).to_bearer();
        let here = f.ledger.deployment();
        for there in [
            Deployment {
                chain: [7; 32].into(),
                ..here
            },
            Deployment {
                package: [7; 32].into(),
                ..here
            },
        ] {
            let verified = f.ledger.view(|snapshot| {
                let (state, now_ms) = (snapshot.state, f.now_ms);
                SignedCredential::verify(&text, state, &there, f.cluster, AUDIENCE, now_ms)
            });
            assert_eq!(verified, Err(CredentialError::InvalidSignature));
        }
    }

    #[test]
    fn another_gateway_cluster_or_token_is_refused_by_name() {
        let f = fixture();
        let with = |change: &dyn Fn(&mut Credential)| {
            let mut credential = f.credential();
            change(&mut credential);
            f.verify(&f.sign(&f.owner, credential))
        };
        assert!(with(&|_| {}).is_ok());
        for audience in [
            "gateway.example",
            "gateway.example:6444",
            "GATEWAY.EXAMPLE:6443",
        ] {
            assert_eq!(
                with(&|c| c.audience = ByteString::from(audience)),
                Err(CredentialError::OtherAudience)
            );
        }
        assert_eq!(
            with(&|c| c.cluster = [5; 32].into()),
            Err(CredentialError::OtherCluster)
        );
        assert_eq!(
            with(&|c| c.token = [5; 32].into()),
            Err(CredentialError::UnknownToken)
        );
        assert_eq!(
            with(&|c| c.audience = ByteString::default()),
            Err(CredentialError::Malformed)
        );
        assert_eq!(
            with(&|c| c.audience = ByteString(vec![b'x'; 254])),
            Err(CredentialError::Malformed)
        );
    }

    #[test]
    fn zero_and_huge_times_are_refused() {
        let f = fixture();
        let between = |not_before_ms, not_after_ms| {
            f.verify(&f.sign(
                &f.owner,
                Credential {
                    not_before_ms,
                    not_after_ms,
                    ..f.credential()
                },
            ))
        };
        let now_ms = f.now_ms;
        let too_long = Err(CredentialError::LifetimeTooLong);
        assert_eq!(
            between(0, 0),
            Err(CredentialError::Expired { not_after_ms: 0 })
        );
        assert_eq!(between(0, u64::MAX), too_long);
        assert_eq!(between(0, now_ms + 1), too_long);
        assert_eq!(between(now_ms, now_ms + MAX_LIFETIME_MS + 1), too_long);
        assert!(between(now_ms, now_ms + MAX_LIFETIME_MS).is_ok());
        assert_eq!(
            between(now_ms + 1, now_ms),
            Err(CredentialError::Malformed),
            "ends before it begins"
        );
        assert_eq!(
            between(u64::MAX - 1, u64::MAX),
            Err(CredentialError::NotYet {
                not_before_ms: u64::MAX - 1
            })
        );
        assert_eq!(
            between(now_ms, now_ms),
            Err(CredentialError::Expired {
                not_after_ms: now_ms
            })
        );
    }

    #[test]
    fn only_the_owner_and_live_session_keys_count() {
        let f = fixture();
        let stranger = Ed25519Signer::from_seed([3; 32]);
        assert_eq!(
            f.verify(&f.sign(&stranger, f.credential())),
            Err(CredentialError::NotTokenHolder)
        );
        // Its key says who it is, but it cannot sign.
        let mut forged = f.sign(&stranger, f.credential());
        forged.public_key = f.owner.public_key();
        assert_eq!(f.verify(&forged), Err(CredentialError::InvalidSignature));

        let hour_ms = 3_600_000;
        let late = Credential {
            not_after_ms: f.now_ms + 2 * hour_ms,
            ..f.credential()
        };
        let text = f.sign(&f.session, late).to_bearer();
        let verified = f.verify_at(&text, f.now_ms + hour_ms - 1).unwrap();
        assert_eq!(
            f.verify_at(&text, f.now_ms + hour_ms),
            Err(CredentialError::NotTokenHolder)
        );
        let is_live = |now_ms| {
            f.ledger
                .view(|snapshot| verified.is_live(snapshot.state, now_ms))
        };
        let owners = f.verify(&f.sign(&f.owner, f.credential())).unwrap();
        let is_owners_live = |now_ms| {
            f.ledger
                .view(|snapshot| owners.is_live(snapshot.state, now_ms))
        };
        assert!(is_owners_live(owners.not_after_ms - 1));
        assert!(!is_owners_live(owners.not_after_ms));
        assert!(is_live(f.now_ms + hour_ms - 1));
        assert!(!is_live(f.now_ms + hour_ms));
        f.ledger
            .apply(&Call::RemoveSessionKey {
                token: f.token,
                key: HexBytes(f.session.public_key().as_bytes().to_vec()),
            })
            .unwrap();
        assert!(!is_live(f.now_ms));
        assert_eq!(
            f.verify_at(&text, f.now_ms),
            Err(CredentialError::NotTokenHolder)
        );
    }

    #[test]
    fn small_order_keys_are_refused() {
        let f = fixture();
        // The identity: its signature of the identity and zero is valid for every message.
        let mut one = [0; 32];
        one[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        let signed = SignedCredential {
            credential: f.credential(),
            public_key: PublicKey::new(one),
            signature: Signature::new(signature),
        };
        assert_eq!(f.verify(&signed), Err(CredentialError::SmallOrderKey));
    }

    #[test]
    fn a_malleable_signature_is_refused() {
        let f = fixture();
        let mut signed = f.sign(&f.owner, f.credential());
        // s + L, which a sloppy verifier takes for s.
        const ORDER: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9,
            0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let mut bytes = *signed.signature.as_bytes();
        let mut carry = 0_u16;
        for (byte, add) in bytes[32..].iter_mut().zip(ORDER) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            [*byte, _] = sum.to_le_bytes();
            carry = sum >> 8;
        }
        signed.signature = Signature::new(bytes);
        assert_eq!(f.verify(&signed), Err(CredentialError::InvalidSignature));
    }

    #[test]
    fn there_is_one_spelling() {
        let f = fixture();
        let signed = f.sign(&f.owner, f.credential());
        let text = signed.to_bearer();
        let bytes = to_bcs(&signed);
        let encode = |bytes: &[u8]| format!("seal_{}", URL_SAFE_NO_PAD.encode(bytes));
        let spellings = [
            String::new(),
            "seal_".into(),
            text[5..].to_owned(),
            text.replacen("seal_", "Seal_", 1),
            text.replacen("seal_", "seal-", 1),
            format!(" {text}"),
            format!("{text} "),
            format!("{text}="),
            format!("{text}=="),
            format!("{text}\n"),
            format!("{text}A"),
            format!("{text}AAAA"),
            text[..text.len() - 1].to_owned(),
            encode(&[&bytes[..], b"\0"].concat()),
            encode(&[&bytes[..], &bytes[..]].concat()),
            encode(&bytes[..bytes.len() - 1]),
            encode(&[]),
            format!(
                "seal_{}",
                base64::engine::general_purpose::STANDARD.encode([0xff; 300])
            ),
            format!("seal_{}", "A".repeat(1 << 20)),
            format!("seal_{}", "\u{e9}".repeat(100)),
        ];
        for spelling in spellings {
            let shown: String = spelling.chars().take(40).collect();
            assert_eq!(
                f.verify_at(&spelling, f.now_ms),
                Err(CredentialError::Malformed),
                "{shown:?}"
            );
        }
    }

    #[test]
    fn neither_debug_nor_errors_show_it() {
        let f = fixture();
        let signed = f.sign(&f.owner, f.credential());
        let text = signed.to_bearer();
        let signature = signed.signature.to_string();
        let bearer = BearerText::new(&signed);
        assert_eq!(bearer.expose(), text);
        let verified = f.verify(&signed).unwrap();
        let refused = f.verify_at(&format!("{text}x"), f.now_ms).unwrap_err();
        for shown in [
            format!("{signed:?}"),
            format!("{bearer:?}"),
            format!("{verified:?}"),
            format!("{refused:?} {refused}"),
        ] {
            assert!(!shown.contains(&signature), "{shown}");
            assert!(!shown.contains(&text[5..40]), "{shown}");
        }
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_text_does_not_panic(text: String, bytes: Vec<u8>) {
            let _ = SignedCredential::from_bearer(&text);
            let _ = SignedCredential::from_bearer(&format!("seal_{}", URL_SAFE_NO_PAD.encode(bytes)));
        }
    }
}
