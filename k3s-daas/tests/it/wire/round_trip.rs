//! Every type of the wire reads what it writes, writes what it reads, and survives anything.

use k3s_daas::contract::Call;
use k3s_daas::types::{ClusterPolicy, Digest, PolicyRule};
use k3s_daas::wire::*;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::random::random;

/// All types that are signed, emitted, stored or sent.
macro_rules! each_type {
    ($check:ident($($argument:expr),*)) => {
        $check::<Intent>($($argument),*);
        $check::<Deployment>($($argument),*);
        $check::<Content>($($argument),*);
        $check::<RequestMessage>($($argument),*);
        $check::<AnswerMessage>($($argument),*);
        $check::<SignedAnswer>($($argument),*);
        $check::<AssignmentMessage>($($argument),*);
        $check::<AnchorMessage>($($argument),*);
        $check::<SessionCloseMessage>($($argument),*);
        $check::<ResponseEnvelope>($($argument),*);
        $check::<AttestationNonce>($($argument),*);
        $check::<AttestationUserData>($($argument),*);
        $check::<Credential>($($argument),*);
        $check::<SignedCredential>($($argument),*);
        $check::<Delegate>($($argument),*);
        $check::<PolicyRule>($($argument),*);
        $check::<ClusterPolicy>($($argument),*);
        $check::<Digest>($($argument),*);
        $check::<Event>($($argument),*);
        $check::<Call>($($argument),*);
    };
}

/// A value, its bytes, and the value again.
fn round<T: Serialize + DeserializeOwned>(seed: u64) {
    let value: T = random(seed);
    let bytes = to_bcs(&value);
    let again: T = bcs::from_bytes(&bytes).unwrap();
    assert_eq!(to_bcs(&again), bytes, "{}", std::any::type_name::<T>());
}

/// Bytes that happen to be a value are that value's only bytes.
fn canonical<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    if let Ok(value) = bcs::from_bytes::<T>(bytes) {
        assert_eq!(to_bcs(&value), bytes, "{}", std::any::type_name::<T>());
    }
}

/// Good bytes with something wrong about them.
fn damaged<T: Serialize + DeserializeOwned>(seed: u64, at: usize, how: u8, byte: u8) {
    let value: T = random(seed);
    let mut bytes = to_bcs(&value);
    if bytes.is_empty() {
        return;
    }
    let at = at % bytes.len();
    match how % 4 {
        0 => bytes[at] ^= byte | 1,
        1 => bytes.truncate(at),
        2 => bytes.insert(at, byte),
        _ => bytes.push(byte),
    }
    canonical::<T>(&bytes);
    if how % 4 == 1 || how % 4 == 3 {
        assert!(
            bcs::from_bytes::<T>(&bytes).is_err(),
            "{} with a piece too few or too many",
            std::any::type_name::<T>()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(96)
    })]

    #[test]
    fn values_read_back(seed: u64) {
        each_type!(round(seed));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        each_type!(canonical(&bytes));
        for event in super::examples::events() {
            let _ = Event::from_move_bcs(event.name(), &bytes);
        }
    }

    /// Small bytes hit lengths and variants that random ones seldom do.
    #[test]
    fn small_bytes_never_panic(bytes in prop::collection::vec(0_u8..4, 0..400)) {
        each_type!(canonical(&bytes));
    }

    #[test]
    fn damaged_bytes_never_panic(seed: u64, at: usize, how: u8, byte: u8) {
        each_type!(damaged(seed, at, how, byte));
    }

    #[test]
    fn events_read_back_by_name(seed: u64) {
        let event: Event = random(seed);
        let read = Event::from_move_bcs(event.name(), &event.to_move_bcs());
        prop_assert_eq!(read.unwrap().unwrap(), event.clone());
        prop_assert_eq!(event.to_move_bcs(), to_bcs(&event)[1..].to_vec());
    }

    /// Also in JSON, where every field is text or number, as long as text is text.
    #[test]
    fn examples_read_back_from_json(index in 0_usize..32) {
        let events = super::examples::events();
        let event = &events[index % events.len()];
        let json = serde_json::to_string(event).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Event>(&json).unwrap(), event);
    }
}

#[test]
fn unknown_events_are_unknown() {
    assert!(Event::from_move_bcs("K8sApiRequest", &[]).is_none());
    assert!(Event::from_move_bcs("", &[]).is_none());
    assert!(Event::from_move_bcs("K8sAPIRequest", &[]).unwrap().is_err());
    assert!(
        Event::from_move_bcs("xK8sAPIRequest", &[]).is_none(),
        "names are equal or not, never parts of each other"
    );
}

/// A length that promises more than memory holds is refused, not allocated.
#[test]
fn lengths_that_lie() {
    let lie = [0xff, 0xff, 0xff, 0xff, 0x07];
    each_type!(canonical(&lie));
    assert!(bcs::from_bytes::<ResponseEnvelope>(&lie).is_err());
    assert!(bcs::from_bytes::<RequestMessage>(&lie).is_err());
    // A length with a byte more than it needs is no length.
    assert!(bcs::from_bytes::<k3s_daas::types::ByteString>(&[0x80, 0x00]).is_err());
}

#[test]
fn envelopes_keep_what_matters() {
    let envelope = super::examples::envelope();
    let names: Vec<String> = envelope
        .headers
        .iter()
        .map(|(n, _)| n.to_string())
        .collect();
    assert_eq!(names, ["audit-id", "content-type"]);
    let twice = ResponseEnvelope::new([("Warning", "299 - a"), ("warning", "299 - b")], Vec::new());
    let values: Vec<String> = twice.headers.iter().map(|(_, v)| v.to_string()).collect();
    assert_eq!(values, ["299 - a", "299 - b"]);
}

#[test]
fn credentials_do_not_show_their_signature() {
    let credential = super::examples::signed_credential();
    let shown = format!("{credential:?}");
    assert!(!shown.contains(&credential.signature.to_string()));
    assert!(shown.contains("127.0.0.1"));
}
