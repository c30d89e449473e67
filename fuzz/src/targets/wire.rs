//! Bytes of the wire: whatever is read is written as the same bytes, and nothing panics.

use k3s_daas::contract::Call;
use k3s_daas::types::{ClusterPolicy, Digest, K8sApiRequest, PolicyRule};
use k3s_daas::wire::{
    AnchorMessage, AnswerMessage, AssignmentMessage, AttestationNonce, AttestationUserData,
    Content, Credential, Delegate, Deployment, Event, Intent, RequestMessage, ResponseEnvelope,
    SessionCloseMessage, SignedAnswer, SignedCredential, to_bcs,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::PLANTED;

/// The first byte says which type the others are of.
pub fn run(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else {
        return;
    };
    match kind % 20 {
        0 => drop(round::<Intent>(bytes)),
        1 => drop(round::<Deployment>(bytes)),
        2 => drop(round::<Content>(bytes)),
        3 => {
            if let Some(message) = round::<RequestMessage>(bytes) {
                request(&message);
            }
        }
        4 => drop(round::<AnswerMessage>(bytes)),
        5 => drop(round::<SignedAnswer>(bytes)),
        6 => drop(round::<AssignmentMessage>(bytes)),
        7 => drop(round::<AnchorMessage>(bytes)),
        8 => drop(round::<SessionCloseMessage>(bytes)),
        9 => drop(round::<ResponseEnvelope>(bytes)),
        10 => drop(round::<AttestationNonce>(bytes)),
        11 => drop(round::<AttestationUserData>(bytes)),
        12 => drop(round::<Credential>(bytes)),
        13 => drop(round::<SignedCredential>(bytes)),
        14 => drop(round::<Delegate>(bytes)),
        15 => drop(round::<PolicyRule>(bytes)),
        16 => drop(round::<ClusterPolicy>(bytes)),
        17 => drop(round::<Digest>(bytes)),
        18 => {
            if let Some(event) = round::<Event>(bytes) {
                on_chain(&event);
            }
        }
        _ => drop(round::<Call>(bytes)),
    }
}

/// Bytes that are a value are that value's only bytes.
fn round<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let value: T = decode(bytes)?;
    assert_eq!(to_bcs(&value), bytes, "{}", std::any::type_name::<T>());
    Some(value)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let decoded = bcs::from_bytes(bytes).ok();
    if PLANTED && decoded.is_none() {
        // A decoder that does not mind a zero at the end.
        let shorter = bytes.strip_suffix(&[0])?;
        return bcs::from_bytes(shorter).ok();
    }
    decoded
}

/// A request that is well-formed has one message, and means the same to whoever reads that.
fn request(message: &RequestMessage) {
    let Ok(parsed) = K8sApiRequest::try_from(message) else {
        return;
    };
    let again = RequestMessage::from(&parsed);
    assert_eq!(to_bcs(&again), to_bcs(message));
    let reread = K8sApiRequest::try_from(&again).expect("it was read before");
    assert_eq!(reread.target(), parsed.target());
}

/// What Move writes of an event is read as that event.
fn on_chain(event: &Event) {
    let bytes = event.to_move_bcs();
    let read = Event::from_move_bcs(event.name(), &bytes);
    let read = read
        .expect("its name is known")
        .expect("its bytes are good");
    assert_eq!(to_bcs(&read), to_bcs(event));
}
