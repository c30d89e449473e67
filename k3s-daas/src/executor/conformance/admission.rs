//! A ledger's state with one token, to admit requests with.

use std::sync::Mutex;

use crate::contract::{Call, Context, NoAttestation, OneByOne, State};
use crate::crypto::{Blob, Ed25519Signer};
use crate::token::Authorized;
use crate::types::{
    Address, ChainId, ClusterId, ClusterPolicy, ExecutorId, HexBytes, K8sApiRequest,
    K8sApiRequestBuilder, MIST_PER_SUI, Payload, PolicyRule, TokenId,
};
use crate::wire::{Deployment, Event, RequestMessage};

/// Admits requests of a token that may do everything, by the contract's own rules: what an executor's
/// tests need and nobody else has, an [`Authorized`] request.
#[derive(Debug)]
pub struct Admission {
    ledger: Mutex<(State, u64)>,
    owner: Address,
    cluster: ClusterId,
    token: TokenId,
    executor: ExecutorId,
}

impl Admission {
    /// With a token of these groups.
    ///
    /// # Panics
    /// If the contract refuses the groups.
    #[must_use]
    pub fn new(groups: &[&str]) -> Self {
        let owner = Ed25519Signer::generate().address();
        let mut ledger = (State::default(), 0);
        let policy = ClusterPolicy::default();
        let created = apply(
            &mut ledger,
            owner,
            &Call::CreateCluster {
                name: "conformance".into(),
                chain: DEPLOYMENT.chain,
                policy,
            },
        );
        let Some(Event::ClusterCreated(created)) = created else {
            panic!("a cluster is created");
        };
        let (cluster, cap) = (created.cluster, created.admin_cap);
        let signing_key = Ed25519Signer::generate().public_key();
        let registered = apply(
            &mut ledger,
            owner,
            &Call::RegisterExecutor {
                cap,
                cluster,
                operator: owner,
                signing_key: HexBytes(signing_key.as_bytes().to_vec()),
                encryption_key: HexBytes(vec![7; 32]),
                attestation: HexBytes::default(),
            },
        );
        let Some(Event::ExecutorRegistered(registered)) = registered else {
            panic!("an executor is registered");
        };
        let any = || vec!["*".into()];
        let subresources = [
            "*",
            "*/log",
            "*/exec",
            "*/attach",
            "*/portforward",
            "*/proxy",
        ];
        let resources = PolicyRule {
            verbs: any(),
            api_groups: any(),
            resources: subresources.map(Into::into).to_vec(),
            namespaces: any(),
            ..PolicyRule::default()
        };
        let urls = PolicyRule {
            verbs: any(),
            non_resource_urls: any(),
            ..PolicyRule::default()
        };
        let issued = apply(
            &mut ledger,
            owner,
            &Call::IssueToken {
                cap,
                cluster,
                owner,
                rules: vec![resources, urls],
                groups: groups.iter().map(|group| (*group).into()).collect(),
                not_before_ms: 0,
                expires_at_ms: u64::MAX,
                delegates: Vec::new(),
            },
        );
        let Some(Event::SealTokenIssued(issued)) = issued else {
            panic!("a token is issued");
        };
        let token = issued.token;
        let amount = 10 * MIST_PER_SUI;
        apply(&mut ledger, owner, &Call::DepositStake { token, amount });
        Self {
            ledger: Mutex::new(ledger),
            owner,
            cluster,
            token,
            executor: registered.executor,
        }
    }

    /// The user that the cluster shall see.
    #[must_use]
    pub fn user(&self) -> String {
        format!("seal:{}", self.token)
    }

    /// Admits a request with this body; its deadline is set here.
    ///
    /// # Panics
    /// If the request is not of its form, or the contract refuses it.
    pub fn admit(&self, builder: K8sApiRequestBuilder, body: &[u8]) -> Authorized<K8sApiRequest> {
        let payload = (!body.is_empty()).then(|| Blob::seal(body));
        let mut builder = builder.with_deadline_ms(DEADLINE_MS);
        if let Some(blob) = &payload {
            builder = builder.with_payload(Payload::Hashed {
                hash: *blob.hash().as_bytes(),
                length: body.len() as u64,
            });
        }
        let request = builder.build().expect("a request of its form");
        let mut ledger = self.ledger.lock().expect("nobody panics with it");
        let admitted = apply(
            &mut ledger,
            self.owner,
            &Call::ExecuteKubectlCommandWithId {
                cluster: self.cluster,
                token: self.token,
                request: RequestMessage::from(&request),
            },
        );
        let Some(Event::K8sApiRequest(event)) = admitted else {
            panic!("a request is admitted");
        };
        Authorized::admit(
            &event,
            &ledger.0,
            &DEPLOYMENT,
            self.executor,
            payload.as_ref(),
            None,
            NOW_MS,
        )
        .expect("what was just admitted is authorised")
    }
}

fn apply((state, objects): &mut (State, u64), sender: Address, call: &Call) -> Option<Event> {
    let mut fresh_id = || {
        *objects += 1;
        let mut id = [0; 32];
        id[..8].copy_from_slice(&objects.to_be_bytes());
        id[31] = 1;
        Address::new(id)
    };
    let mut context = Context {
        package: DEPLOYMENT.package,
        sender,
        now_ms: NOW_MS,
        fresh_id: &mut fresh_id,
        attestation: &NoAttestation,
        signatures: &OneByOne,
    };
    let effects = state.apply(call, &mut context);
    let effects = effects.unwrap_or_else(|abort| panic!("{}: {abort}", call.name()));
    effects.events.into_iter().next()
}

const DEPLOYMENT: Deployment = Deployment {
    chain: ChainId::new([0xc4; 32]),
    package: Address::new([0xda; 32]),
};
const NOW_MS: u64 = 1_767_225_600_000;
const DEADLINE_MS: u64 = NOW_MS + 60_000;
