use k3s_daas::crypto::Signature;
use k3s_daas::types::{Address, ClusterId, Digest, HexBytes};
use k3s_daas::wire::{
    Content, K8sRequestClaimed, K8sRequestRejected, K8sRequestReleased, ResponsesPruned,
};

use super::*;

const DEADLINE: u64 = 65_000;
const AFTER: Moment = Moment(70_000);

fn token() -> TokenId {
    TokenId::new([7; 32])
}

fn executor() -> ExecutorId {
    ExecutorId::new([8; 32])
}

fn id() -> RequestId {
    "0192d8f0-1111-7abc-8def-0123456789ab".parse().unwrap()
}

fn wire_id() -> ByteString {
    ByteString(id().to_wire())
}

fn admitted(is_read: bool) -> Event {
    let text = |text: &str| ByteString::from(text);
    K8sApiRequest {
        cluster: ClusterId::new([1; 32]),
        request_id: wire_id(),
        method: text(if is_read { "GET" } else { "DELETE" }),
        path: text("/api/v1/namespaces/a/pods/web"),
        query: Content::none(),
        header_names: Vec::new(),
        header_values: Vec::new(),
        payload: Content::none(),
        reply_key: HexBytes::default(),
        priority: 2,
        deadline_ms: DEADLINE,
        credential_id: HexBytes::default(),
        digest: Digest::new([2; 32]),
        session: false,
        api_group: text(""),
        api_version: text("v1"),
        namespace: text("a"),
        resource_type: text("pods"),
        subresource: text(""),
        name: text("web"),
        verb: text("delete"),
        is_read,
        seal_token_id: token(),
        sequence: 1,
        requester: Address::new([3; 32]),
        submitted_by: Address::new([4; 32]),
        nautilus_endpoint: executor(),
        epoch: 0,
        lease_ends_ms: DEADLINE,
        prunable_at_ms: 2 * DEADLINE,
        timestamp_ms: 0,
    }
    .into()
}

fn answered(status_code: u16, time_ms: u64) -> Event {
    K8sRequestProcessed {
        cluster: ClusterId::new([1; 32]),
        token: token(),
        request_id: wire_id(),
        digest: Digest::new([2; 32]),
        requester: Address::new([3; 32]),
        executor: executor(),
        epoch: 0,
        status_code,
        envelope_hash: HexBytes(vec![5; 32]),
        envelope_len: 1,
        sealed_hash: HexBytes::default(),
        time_ms,
        signature: Signature::from([6; 64]),
        processed_at_ms: time_ms,
        expires_at_ms: 2 * DEADLINE,
    }
    .into()
}

fn claimed() -> Event {
    K8sRequestClaimed {
        cluster: ClusterId::new([1; 32]),
        token: token(),
        request_id: wire_id(),
        executor: executor(),
        epoch: 1,
        lease_ends_ms: 2 * DEADLINE,
        timestamp_ms: DEADLINE,
    }
    .into()
}

fn released() -> Event {
    K8sRequestReleased {
        cluster: ClusterId::new([1; 32]),
        token: token(),
        request_id: wire_id(),
        released_by: executor(),
        executor: ExecutorId::new([9; 32]),
        epoch: 1,
        lease_ends_ms: DEADLINE,
        timestamp_ms: 10,
    }
    .into()
}

fn refused(code: u8) -> Event {
    K8sRequestRejected {
        cluster: ClusterId::new([1; 32]),
        token: token(),
        submitted_by: Address::new([4; 32]),
        request_id: wire_id(),
        digest: Digest::new([2; 32]),
        code,
    }
    .into()
}

fn pruned() -> Event {
    ResponsesPruned {
        cluster: ClusterId::new([1; 32]),
        token: token(),
        request_ids: vec![wire_id()],
        pruned_by: Address::new([4; 32]),
    }
    .into()
}

/// What is shown after these events, with this message in the answer.
fn shown(events: &[Event], said: Option<&str>, now: Moment) -> Shown {
    let mut shown = Shown::new(id(), token());
    for (n, event) in events.iter().enumerate() {
        assert_eq!(token_of(event, id()), Some(token()));
        let cursor = Cursor {
            major: n as u64 + 1,
            minor: 0,
        };
        shown.take(cursor, n as u64, event);
    }
    shown.status_message = said.map(|said| said.replace("ID", &id().to_string()));
    shown.conclude(now);
    shown
}

const NEVER_BEGUN: &str = "request ID was not executed: its deadline came before it could begin";
const BEGUN: &str = "the outcome of request ID is unknown: the executor was restarted";

#[test]
fn a_504_is_told_apart_by_what_is_known() {
    let write = || admitted(false);
    for (events, said, outcome, says) in [
        (
            vec![write(), answered(504, 66_000)],
            Some(NEVER_BEGUN),
            Outcome::NotExecuted,
            "never begun",
        ),
        (
            vec![write(), answered(504, 900)],
            Some(BEGUN),
            Outcome::Unknown,
            "it was begun",
        ),
        (
            vec![write(), answered(504, 66_000)],
            Some("etcd timed out"),
            Outcome::Unknown,
            "the cluster itself gave up",
        ),
        // The answer's words are gone.
        (
            vec![write(), answered(504, 900)],
            None,
            Outcome::Unknown,
            "it was begun",
        ),
        (
            vec![write(), answered(504, 66_000)],
            None,
            Outcome::Unknown,
            "no longer known",
        ),
        (
            vec![write(), claimed(), answered(504, 66_000)],
            None,
            Outcome::Unknown,
            "never answered",
        ),
        // Nobody but a liar says so of a write that another executor had.
        (
            vec![write(), claimed(), answered(504, 66_000)],
            Some(BEGUN),
            Outcome::Unknown,
            "never answered",
        ),
        (
            vec![admitted(true), answered(504, 66_000)],
            None,
            Outcome::TimedOut,
            "it is a read",
        ),
    ] {
        let shown = shown(&events, said, AFTER);
        assert_eq!(shown.outcome, outcome, "{said:?}: {}", shown.meaning);
        assert!(shown.meaning.contains(says), "{said:?}: {}", shown.meaning);
        assert!(shown.next.is_some());
    }
}

#[test]
fn every_end_has_its_name() {
    let write = || admitted(false);
    let refused = |code| refused(code);
    for (events, said, now, outcome, says) in [
        (
            vec![refused(6)],
            None,
            AFTER,
            Outcome::Refused,
            "did not admit",
        ),
        (
            vec![write()],
            None,
            Moment(10),
            Outcome::Pending,
            "until the deadline",
        ),
        (
            vec![write()],
            None,
            AFTER,
            Outcome::Unanswered,
            "may or may not",
        ),
        (
            vec![write(), pruned()],
            None,
            AFTER,
            Outcome::Unknown,
            "nobody ever answered",
        ),
        (
            vec![admitted(true)],
            None,
            AFTER,
            Outcome::TimedOut,
            "nothing was changed",
        ),
        (
            vec![write(), answered(200, 20)],
            None,
            AFTER,
            Outcome::Answered,
            "did it and answered 200",
        ),
        (
            vec![write(), answered(409, 20)],
            Some("pods exists"),
            AFTER,
            Outcome::Answered,
            "refused it with 409",
        ),
        (
            vec![write(), answered(500, 20)],
            None,
            AFTER,
            Outcome::Answered,
            "does not say whether",
        ),
        (
            vec![admitted(true), answered(500, 20)],
            None,
            AFTER,
            Outcome::Answered,
            "the answer was 500",
        ),
        (
            vec![write(), answered(503, 20)],
            Some("request ID was not executed: the Kubernetes API cannot be reached"),
            AFTER,
            Outcome::NotExecuted,
            "never reached the cluster (503)",
        ),
        // What the cluster says of another request says nothing of this one.
        (
            vec![write(), answered(503, 20)],
            Some("request 0192d8f0-2222-7abc-8def-0123456789ab was not executed: no"),
            AFTER,
            Outcome::Answered,
            "does not say whether",
        ),
        (
            vec![write(), answered(201, 20), refused(11)],
            None,
            AFTER,
            Outcome::Answered,
            "did it",
        ),
    ] {
        let shown = shown(&events, said, now);
        assert_eq!(shown.outcome, outcome, "{}", shown.meaning);
        assert!(shown.meaning.contains(says), "{}", shown.meaning);
    }
}

#[test]
fn what_happened_on_the_way_is_told() {
    let shown = shown(
        &[admitted(false), released(), answered(200, 20), refused(11)],
        None,
        AFTER,
    );
    let what: Vec<&str> = shown.steps.iter().map(|step| step.what.as_str()).collect();
    assert!(
        what[1].starts_with("given back, not begun, by executor 0x0808"),
        "{what:?}"
    );
    assert!(what[3].starts_with("a repetition was refused"), "{what:?}");
    assert_eq!(shown.http_status, Some(200));
}

#[test]
fn an_id_that_is_asked_again_after_pruning_begins_anew() {
    let events = [
        admitted(false),
        answered(201, 20),
        pruned(),
        admitted(false),
    ];
    let shown = shown(&events, None, Moment(10));
    assert_eq!((shown.outcome, shown.http_status), (Outcome::Pending, None));
    assert_eq!(shown.steps.len(), 4);
}

#[test]
fn other_requests_are_others() {
    let other = "0192d8f0-2222-7abc-8def-0123456789ab".parse().unwrap();
    for event in [
        admitted(true),
        answered(200, 1),
        claimed(),
        released(),
        refused(6),
        pruned(),
    ] {
        assert_eq!(token_of(&event, other), None);
    }
}
