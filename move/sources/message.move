/// What is signed: the messages behind an intent, field by field as `docs/message-formats.md` records them.
///
/// The contract never parses bytes: it takes the fields and builds the bytes again. So what was signed is what was checked.
module k3s_daas::message;

// === Constants ===

/// Nothing.
const NONE: u8 = 0;
/// The bytes in the clear; queries only.
const PLAIN: u8 = 1;
/// A salted hash and the length.
const HASHED: u8 = 2;
/// Sealed to the executor's encryption key; payloads only.
const SEALED: u8 = 3;

/// A query in the clear is no longer, so a hashed one is not either.
const MAX_QUERY_BYTES: u64 = 8_192;
/// Bytes of a response envelope: 256 MiB.
const MAX_ENVELOPE_BYTES: u64 = 268_435_456;

// === Structs ===

/// A payload or a query. Flat, because an enum is no pure argument; what a kind does not use is empty or 0.
public struct Content has copy, drop, store {
    /// 0 nothing, 1 plain, 2 hashed, 3 sealed.
    kind: u8,
    /// The bytes themselves, plain or sealed.
    bytes: vector<u8>,
    /// SHA-256 of salt and bytes; the blob travels beside the ledger.
    hash: vector<u8>,
    /// How many bytes the hash is over, without the salt.
    length: u64,
}

/// The message of a request (kind 1) and of a session's opening (kind 6), exactly as submitted.
public struct RequestMessage has copy, drop {
    request_id: vector<u8>,
    method: vector<u8>,
    path: vector<u8>,
    query: Content,
    header_names: vector<vector<u8>>,
    header_values: vector<vector<u8>>,
    payload: Content,
    reply_key: vector<u8>,
    priority: u8,
    deadline_ms: u64,
    credential_id: vector<u8>,
}

/// The message of an answer (kind 2).
public struct AnswerMessage has copy, drop {
    request_id: vector<u8>,
    digest: vector<u8>,
    epoch: u64,
    status: u16,
    envelope_hash: vector<u8>,
    envelope_len: u64,
    sealed_hash: vector<u8>,
    time_ms: u64,
}

/// The message of a claim (kind 3, with the new epoch) and of a release (kind 4, with the current one).
public struct AssignmentMessage has copy, drop {
    request_id: vector<u8>,
    digest: vector<u8>,
    epoch: u64,
}

/// The message of an anchor (kind 5).
public struct AnchorMessage has copy, drop {
    executor: address,
    previous_root: vector<u8>,
    root: vector<u8>,
    first: u64,
    last: u64,
    count: u64,
}

/// The message of a session's end (kind 7).
public struct SessionCloseMessage has copy, drop {
    request_id: vector<u8>,
    digest: vector<u8>,
    epoch: u64,
    bytes_in: u64,
    bytes_out: u64,
    reason: u8,
    transcript_hash: vector<u8>,
}

/// An answer and its signature: half of the evidence of an equivocation.
public struct SignedAnswer has copy, drop {
    message: AnswerMessage,
    signature: vector<u8>,
}

// === Public functions ===

/// An answer as its executor signed it, for `executor::slash_equivocation` in the same transaction. Never aborts.
public fun signed_answer(
    request_id: vector<u8>,
    digest: vector<u8>,
    epoch: u64,
    status: u16,
    envelope_hash: vector<u8>,
    envelope_len: u64,
    sealed_hash: vector<u8>,
    time_ms: u64,
    signature: vector<u8>,
): SignedAnswer {
    let message = AnswerMessage {
        request_id,
        digest,
        epoch,
        status,
        envelope_hash,
        envelope_len,
        sealed_hash,
        time_ms,
    };
    SignedAnswer { message, signature }
}

// === Package functions ===

public(package) fun content(kind: u8, bytes: vector<u8>, hash: vector<u8>, length: u64): Content {
    Content { kind, bytes, hash, length }
}

public(package) fun request(
    request_id: vector<u8>,
    method: vector<u8>,
    path: vector<u8>,
    query: Content,
    header_names: vector<vector<u8>>,
    header_values: vector<vector<u8>>,
    payload: Content,
    reply_key: vector<u8>,
    priority: u8,
    deadline_ms: u64,
    credential_id: vector<u8>,
): RequestMessage {
    RequestMessage {
        request_id,
        method,
        path,
        query,
        header_names,
        header_values,
        payload,
        reply_key,
        priority,
        deadline_ms,
        credential_id,
    }
}

/// The message of an answer; its sealed bytes stand in it by their hash.
public(package) fun answer(
    request_id: vector<u8>,
    digest: vector<u8>,
    epoch: u64,
    status: u16,
    envelope_hash: vector<u8>,
    envelope_len: u64,
    sealed: &vector<u8>,
    time_ms: u64,
): AnswerMessage {
    let sealed_hash = if (sealed.is_empty()) vector[] else std::hash::sha2_256(*sealed);
    AnswerMessage {
        request_id,
        digest,
        epoch,
        status,
        envelope_hash,
        envelope_len,
        sealed_hash,
        time_ms,
    }
}

public(package) fun assignment(
    request_id: vector<u8>,
    digest: vector<u8>,
    epoch: u64,
): AssignmentMessage {
    AssignmentMessage { request_id, digest, epoch }
}

public(package) fun anchor(
    executor: address,
    previous_root: vector<u8>,
    root: vector<u8>,
    first: u64,
    last: u64,
    count: u64,
): AnchorMessage {
    AnchorMessage { executor, previous_root, root, first, last, count }
}

public(package) fun session_close(
    request_id: vector<u8>,
    digest: vector<u8>,
    epoch: u64,
    bytes_in: u64,
    bytes_out: u64,
    reason: u8,
    transcript_hash: vector<u8>,
): SessionCloseMessage {
    SessionCloseMessage { request_id, digest, epoch, bytes_in, bytes_out, reason, transcript_hash }
}

/// Whether a query has its form, its bytes aside: nothing, plain, or hashed with the length that a plain one could have.
public(package) fun is_query(self: &Content): bool {
    if (self.kind == HASHED) self.is_hash() && self.length <= MAX_QUERY_BYTES
    else (self.kind == NONE || self.kind == PLAIN) && self.is_inline()
}

/// Whether a payload has its form, its size aside: nothing, hashed or sealed.
public(package) fun is_payload(self: &Content): bool {
    if (self.kind == HASHED) self.is_hash()
    else (self.kind == NONE || self.kind == SEALED) && self.is_inline()
}

/// Whether its bytes are known here: everything but a hash.
public(package) fun is_known(self: &Content): bool { self.kind != HASHED }

public(package) fun bytes(self: &Content): &vector<u8> { &self.bytes }

public(package) fun length(self: &Content): u64 { self.length }

public(package) fun request_id(self: &RequestMessage): &vector<u8> { &self.request_id }

public(package) fun method(self: &RequestMessage): &vector<u8> { &self.method }

public(package) fun path(self: &RequestMessage): &vector<u8> { &self.path }

public(package) fun query(self: &RequestMessage): &Content { &self.query }

public(package) fun header_names(self: &RequestMessage): &vector<vector<u8>> { &self.header_names }

public(package) fun header_values(self: &RequestMessage): &vector<vector<u8>> {
    &self.header_values
}

public(package) fun payload(self: &RequestMessage): &Content { &self.payload }

public(package) fun reply_key(self: &RequestMessage): &vector<u8> { &self.reply_key }

public(package) fun priority(self: &RequestMessage): u8 { self.priority }

public(package) fun deadline_ms(self: &RequestMessage): u64 { self.deadline_ms }

public(package) fun credential_id(self: &RequestMessage): &vector<u8> { &self.credential_id }

public(package) fun sealed_hash(self: &AnswerMessage): &vector<u8> { &self.sealed_hash }

/// Whether an answer says what may be recorded: a status of 200 to 599, a hash of 32 bytes, a length of 1 byte to 256 MiB.
public(package) fun is_outcome(self: &AnswerMessage): bool {
    self.status >= 200 && self.status <= 599 && self.envelope_hash.length() == 32 &&
        self.envelope_len > 0 && self.envelope_len <= MAX_ENVELOPE_BYTES
}

public(package) fun answer_message(self: &SignedAnswer): &AnswerMessage { &self.message }

public(package) fun signature(self: &SignedAnswer): &vector<u8> { &self.signature }

public(package) fun answered_request_id(self: &SignedAnswer): &vector<u8> {
    &self.message.request_id
}

public(package) fun answered_epoch(self: &SignedAnswer): u64 { self.message.epoch }

/// Whether two answers are to one request under one assignment.
public(package) fun is_same_assignment(self: &SignedAnswer, other: &SignedAnswer): bool {
    self.message.request_id == other.message.request_id
        && self.message.digest == other.message.digest
        && self.message.epoch == other.message.epoch
}

/// Whether two answers say the same; time, sealed bytes and signature do not count.
public(package) fun is_same_outcome(self: &SignedAnswer, other: &SignedAnswer): bool {
    self.message.status == other.message.status
        && self.message.envelope_hash == other.message.envelope_hash
        && self.message.envelope_len == other.message.envelope_len
}

// === Private functions ===

/// Nothing but bytes, and those exactly if the kind is not "none": one spelling for one meaning.
fun is_inline(self: &Content): bool {
    self.bytes.is_empty() == (self.kind == NONE) && self.hash.is_empty() && self.length == 0
}

fun is_hash(self: &Content): bool {
    self.bytes.is_empty() && self.hash.length() == 32 && self.length > 0
}
