//! Bearer credentials: nothing is good but what was issued, in the spelling in which it was.

use std::cell::OnceCell;

use k3s_daas::contract::{Call, Context, NoAttestation, OneByOne, State};
use k3s_daas::crypto::{Ed25519Signer, blake2b256};
use k3s_daas::token::{CredentialError, MAX_LIFETIME};
use k3s_daas::types::{Address, ChainId, ClusterId, ClusterPolicy, HexBytes, TokenId};
use k3s_daas::wire::{Credential, Deployment, Event, IntentKind, SignedCredential, to_bcs};

use super::PLANTED;

/// Text that is read as it is (first byte even), or the fields of a credential that is then signed (odd).
pub fn run(data: &[u8]) {
    WORLD.with(|world| {
        let world = world.get_or_init(World::new);
        match data.split_first() {
            None => {}
            Some((mode, rest)) if mode % 2 == 0 => world.read(rest),
            Some((mode, rest)) => world.judge(rest, mode / 2),
        }
    });
}

/// Credentials that are good in the world of this target, for its corpus.
pub fn examples() -> Vec<Vec<u8>> {
    let world = World::new();
    let even = |bearer: &String| [&[0], bearer.as_bytes()].concat();
    let odd = [&[1], &to_bcs(&world.credential([1; 16]))[..]].concat();
    world.issued.iter().map(even).chain([odd]).collect()
}

thread_local! {
    static WORLD: OnceCell<World> = const { OnceCell::new() };
}

struct World {
    state: State,
    deployment: Deployment,
    cluster: ClusterId,
    token: TokenId,
    /// Owner, session key, nobody in particular.
    signers: [Ed25519Signer; 3],
    issued: Vec<String>,
}

impl World {
    fn new() -> Self {
        let signers = [1, 2, 3].map(|seed| Ed25519Signer::from_seed([seed; 32]));
        let owner = signers[0].address();
        let mut world = Self {
            state: State::untracked(),
            deployment: Deployment {
                chain: ChainId::new([9; 32]),
                package: Address::new([7; 32]),
            },
            cluster: ClusterId::ZERO,
            token: TokenId::ZERO,
            signers,
            issued: Vec::new(),
        };
        let created = world.apply(
            owner,
            &Call::CreateCluster {
                name: "fuzz".into(),
                chain: world.deployment.chain,
                policy: ClusterPolicy::default(),
            },
        );
        let Event::ClusterCreated(created) = created else {
            panic!("{created:?}")
        };
        world.cluster = created.cluster;
        let issued = world.apply(
            owner,
            &Call::IssueToken {
                cap: created.admin_cap,
                cluster: created.cluster,
                owner,
                rules: Vec::new(),
                groups: Vec::new(),
                not_before_ms: 0,
                expires_at_ms: u64::MAX,
                delegates: Vec::new(),
            },
        );
        let Event::SealTokenIssued(issued) = issued else {
            panic!("{issued:?}")
        };
        world.token = issued.token;
        let key = HexBytes::from(&world.signers[1].public_key().as_bytes()[..]);
        world.apply(
            owner,
            &Call::RegisterSessionKey {
                token: world.token,
                key,
                expires_at_ms: NOW_MS + 1_000,
            },
        );
        for (id, signer) in [(1, 0), (2, 1)] {
            let credential = world.credential([id; 16]);
            world
                .issued
                .push(world.sign(signer, credential).to_bearer());
        }
        world
    }

    fn apply(&mut self, sender: Address, call: &Call) -> Event {
        let digest = call.digest();
        let mut fresh_id = || Address::new(*blake2b256(&[digest.as_bytes()]).as_bytes());
        let mut context = Context {
            package: self.deployment.package,
            sender,
            now_ms: NOW_MS,
            fresh_id: &mut fresh_id,
            attestation: &NoAttestation,
            signatures: &OneByOne,
        };
        let effects = self.state.apply(call, &mut context).expect("it is allowed");
        effects.events.into_iter().next().expect("it says so")
    }

    fn credential(&self, id: [u8; 16]) -> Credential {
        Credential {
            token: self.token,
            cluster: self.cluster,
            audience: AUDIENCE.into(),
            not_before_ms: NOW_MS - 1_000,
            not_after_ms: NOW_MS + 600_000,
            id,
        }
    }

    fn sign(&self, signer: usize, credential: Credential) -> SignedCredential {
        let signer = &self.signers[signer];
        let (cluster, token) = (credential.cluster, credential.token);
        let intent = self
            .deployment
            .intent(IntentKind::Credential, cluster, token);
        SignedCredential {
            signature: signer.sign_now(&intent.signed_bytes(&credential)),
            credential,
            public_key: signer.public_key(),
        }
    }

    fn verify(&self, text: &str) -> Result<(), CredentialError> {
        let verified = SignedCredential::verify(
            text,
            &self.state,
            &self.deployment,
            self.cluster,
            AUDIENCE,
            NOW_MS,
        );
        match verified {
            // As if nobody minded.
            Err(CredentialError::LifetimeTooLong) if PLANTED => Ok(()),
            verified => verified.map(drop),
        }
    }

    /// Whatever is good was issued, byte by byte.
    fn read(&self, bytes: &[u8]) {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return;
        };
        if let Ok(signed) = SignedCredential::from_bearer(text) {
            assert_eq!(signed.to_bearer(), text);
        }
        if self.verify(text).is_ok() {
            let is_known = self.issued.iter().any(|issued| issued == text);
            assert!(is_known, "{text:?} was never issued");
        }
    }

    /// A credential with a good signature is good if nothing else is wrong with it, and not otherwise.
    fn judge(&self, bytes: &[u8], signer: u8) {
        let Ok(credential) = bcs::from_bytes::<Credential>(bytes) else {
            return;
        };
        let signer = usize::from(signer) % self.signers.len();
        let signed = self.sign(signer, credential);
        let verified = self.verify(&signed.to_bearer());
        let credential = &signed.credential;
        let lifetime_ms =
            u128::from(credential.not_after_ms).checked_sub(u128::from(credential.not_before_ms));
        let is_good = signer < 2
            && credential.token == self.token
            && credential.cluster == self.cluster
            && credential.audience[..] == *AUDIENCE.as_bytes()
            && (credential.not_before_ms..credential.not_after_ms).contains(&NOW_MS)
            && lifetime_ms.is_some_and(|ms| ms <= MAX_LIFETIME.as_millis());
        assert_eq!(verified.is_ok(), is_good, "{credential:?}: {verified:?}");
    }
}

const NOW_MS: u64 = 1_800_000_000_000;
const AUDIENCE: &str = "gateway.fuzz:6443";
