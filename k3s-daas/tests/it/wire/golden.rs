//! Golden bytes: what is frozen, in hex and as values, for every implementation to agree on.
//!
//! `DAAS_UPDATE_GOLDEN=1` writes the fixture anew.

use base64::Engine as _;
use k3s_daas::crypto::{Ed25519Signer, PublicKey, blake2b256};
use k3s_daas::types::{ClusterId, TokenId};
use k3s_daas::wire::{IntentKind, to_bcs};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::examples as example;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/golden.json");

#[test]
fn the_bytes_are_the_golden_ones() {
    let mut text = serde_json::to_string_pretty(&Value::Object(golden())).unwrap();
    text.push('\n');
    if std::env::var_os("DAAS_UPDATE_GOLDEN").is_some() {
        std::fs::write(FIXTURE, &text).unwrap();
    }
    let fixture = std::fs::read_to_string(FIXTURE).unwrap();
    let fixture: Value = serde_json::from_str(&fixture).unwrap();
    let golden = golden();
    for (name, value) in &golden {
        assert_eq!(&fixture[name], value, "{name}");
    }
    for name in fixture.as_object().unwrap().keys() {
        assert!(golden.contains_key(name), "{name} is no more");
    }
}

/// The signatures of the fixture are good, also to another implementation.
#[test]
fn golden_signatures_verify() {
    use fastcrypto::ed25519::{Ed25519PublicKey, Ed25519Signature};
    use fastcrypto::traits::{ToFromBytes as _, VerifyingKey as _};

    let mut signed = 0;
    for (name, value) in golden() {
        let (Some(key), Some(signature)) = (value.get("public_key"), value.get("signature")) else {
            continue;
        };
        let bytes = |value: &Value| hex::decode(value.as_str().unwrap()).unwrap();
        let key = Ed25519PublicKey::from_bytes(&bytes(key)).unwrap();
        let signature = Ed25519Signature::from_bytes(&bytes(signature)).unwrap();
        let message = bytes(&value["hex"]);
        key.verify(&message, &signature).unwrap();
        assert!(key.verify(&message[1..], &signature).is_err(), "{name}");
        signed += 1;
    }
    assert_eq!(signed, 8);
}

/// What the header of everything signed is, spelled out.
#[test]
fn the_intent_byte_by_byte() {
    let intent = example::deployment().intent(
        IntentKind::Answer,
        ClusterId::new([1; 32]),
        TokenId::new([2; 32]),
    );
    let bytes = intent.signed_bytes(&7_u8);
    let mut expected = vec![8];
    expected.extend(b"k3s_daas");
    expected.extend([2, 1]);
    expected.extend([0xc1; 32]);
    expected.extend([0xda; 32]);
    expected.extend([1; 32]);
    expected.extend([2; 32]);
    expected.push(7);
    assert_eq!(bytes, expected);
    let kinds = [
        (IntentKind::Request, 1),
        (IntentKind::Answer, 2),
        (IntentKind::Claim, 3),
        (IntentKind::Release, 4),
        (IntentKind::Anchor, 5),
        (IntentKind::SessionOpen, 6),
        (IntentKind::SessionClose, 7),
        (IntentKind::Credential, 8),
        (IntentKind::Link, 9),
        (IntentKind::LocalCall, 10),
        (IntentKind::LocalHead, 11),
        (IntentKind::LocalCheckpoint, 12),
    ];
    for (kind, number) in kinds {
        assert_eq!(kind as u8, number);
    }
}

/// Keys and signatures of events are vectors, as Move has no 64 bare bytes.
#[test]
fn keys_in_events_stand_behind_their_length() {
    for event in example::events() {
        let bytes = event.to_move_bcs();
        let find = |part: &[u8]| {
            let mut prefixed = vec![u8::try_from(part.len()).unwrap()];
            prefixed.extend(part);
            bytes
                .windows(prefixed.len())
                .any(|window| window == prefixed)
        };
        match &event {
            k3s_daas::wire::Event::SessionKeyRegistered(e) => assert!(find(e.key.as_ref())),
            k3s_daas::wire::Event::SessionKeyRemoved(e) => assert!(find(e.key.as_ref())),
            k3s_daas::wire::Event::ExecutorRegistered(e) => {
                assert!(find(e.signing_key.as_ref()));
            }
            k3s_daas::wire::Event::K8sRequestProcessed(e) => assert!(find(e.signature.as_ref())),
            _ => {}
        }
    }
}

pub(super) fn golden() -> Map<String, Value> {
    let mut all = Map::new();
    let (cluster, token) = (example::cluster(), example::token());
    let request = example::request();
    let session_key = example::session_key();
    let executor_key = example::executor_key();

    let mut sign = |name: &str,
                    kind: IntentKind,
                    token: TokenId,
                    signer: &Ed25519Signer,
                    message: &dyn Message| {
        let intent = example::deployment().intent(kind, cluster, token);
        let mut bytes = to_bcs(&intent);
        bytes.extend(message.bcs());
        let key: PublicKey = signer.public_key();
        let entry = json!({
            "hex": hex::encode(&bytes),
            "digest": hex::encode(blake2b256(&[&bytes]).as_bytes()),
            "public_key": key,
            "signature": signer.sign_now(&bytes),
            "value": { "intent": serde_json::to_value(&intent).unwrap(), "message": message.json() },
        });
        all.insert(format!("signed/{name}"), entry);
    };
    sign(
        "request",
        IntentKind::Request,
        token,
        &session_key,
        &request,
    );
    sign(
        "answer",
        IntentKind::Answer,
        token,
        &executor_key,
        &example::answer(),
    );
    sign(
        "claim",
        IntentKind::Claim,
        token,
        &executor_key,
        &example::assignment(1),
    );
    sign(
        "release",
        IntentKind::Release,
        token,
        &executor_key,
        &example::assignment(0),
    );
    sign(
        "anchor",
        IntentKind::Anchor,
        TokenId::ZERO,
        &executor_key,
        &example::anchor(),
    );
    sign(
        "session_open",
        IntentKind::SessionOpen,
        token,
        &session_key,
        &request,
    );
    sign(
        "session_close",
        IntentKind::SessionClose,
        token,
        &executor_key,
        &example::session_close(),
    );
    sign(
        "credential",
        IntentKind::Credential,
        token,
        &session_key,
        &example::credential(),
    );

    let mut plain = |name: &str, value: &dyn Message| {
        let bytes = value.bcs();
        let entry = json!({
            "hex": hex::encode(&bytes),
            "digest": hex::encode(blake2b256(&[&bytes]).as_bytes()),
            "value": value.json(),
        });
        all.insert(name.to_owned(), entry);
    };
    plain("struct/RequestMessage", &request);
    plain("struct/PolicyRule", &example::rule());
    plain("struct/ClusterPolicy", &example::policy());
    plain("struct/ResponseEnvelope", &example::envelope());
    plain("struct/SignedCredential", &example::signed_credential());
    plain("struct/AttestationNonce", &example::nonce());
    plain("struct/AttestationUserData", &example::user_data());
    use k3s_daas::wire::Content;
    plain("content/none", &Content::none());
    plain("content/plain", &Content::plain("watch=true"));
    plain("content/hashed", &Content::hashed([0x5a; 32], 300));
    plain("content/sealed", &Content::sealed(vec![1, 2, 3]));

    for event in example::events() {
        let value = serde_json::to_value(&event).unwrap();
        let inner = value.as_object().unwrap().values().next().unwrap().clone();
        let entry = json!({ "hex": hex::encode(event.to_move_bcs()), "value": inner });
        all.insert(format!("event/{}", event.name()), entry);
    }

    let bytes = to_bcs(&example::signed_credential());
    let text = format!(
        "seal_{}",
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&bytes)
    );
    all.insert("text/credential".into(), json!({ "text": text }));
    let hash = example::payload_hash();
    all.insert(
        "hash/payload".into(),
        json!({
            "salt": "5a".repeat(32),
            "body": "{}",
            "sha256": hash.to_string(),
            "cid": hash.to_cid(),
        }),
    );
    all.insert(
        "hash/envelope".into(),
        json!({
            "salt": "a5".repeat(32),
            "body_hex": hex::encode(to_bcs(&example::envelope())),
            "sha256": hex::encode(example::envelope_hash()),
        }),
    );
    all.insert(
        "hash/assignment".into(),
        json!({
            "executor": "e0".repeat(32),
            "token": "70".repeat(32),
            "request_id": request.request_id,
            "epoch": 1,
            "blake2b256": hex::encode(example::weight().as_bytes()),
        }),
    );
    all.insert(
        "hash/address".into(),
        json!({
            "public_key": example::owner_key().public_key(),
            "address": example::owner_key().address(),
        }),
    );
    all
}

trait Message {
    fn bcs(&self) -> Vec<u8>;
    fn json(&self) -> Value;
}

impl<T: Serialize> Message for T {
    fn bcs(&self) -> Vec<u8> {
        to_bcs(self)
    }

    fn json(&self) -> Value {
        serde_json::to_value(self).unwrap()
    }
}
