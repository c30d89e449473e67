/// A request as its token holds it, and its answer.
module k3s_daas::request;

// === Structs ===

/// A request that was admitted.
public struct Request has drop, store {
    /// BLAKE2b-256 of its signed bytes.
    digest: vector<u8>,
    /// 1 to 4.
    priority: u8,
    /// Unix milliseconds by which it must be answered.
    deadline_ms: u64,
    is_read: bool,
    /// Whether it opened a session.
    session: bool,
    /// Whether its answer may be sealed inline.
    has_reply_key: bool,
    /// Who is assigned.
    executor: address,
    /// How often it was assigned anew.
    epoch: u64,
    /// When it was assigned, Unix milliseconds.
    assigned_at_ms: u64,
    /// End of that lease, Unix milliseconds.
    lease_ends_ms: u64,
    /// How often it was claimed; a claimed write is never executed.
    claims: u8,
    /// From when it may be pruned as it stands, Unix milliseconds.
    prunable_at_ms: u64,
    outcome: Option<Outcome>,
}

/// How a request ended.
public enum Outcome has drop, store {
    /// With a response.
    Answered(ResponseRecord),
    /// A session, by closing.
    Closed,
}

/// The answer to a request.
public struct ResponseRecord has copy, drop, store {
    request_id: vector<u8>,
    /// HTTP status.
    status_code: u16,
    /// Salted SHA-256 of the envelope.
    envelope_hash: vector<u8>,
    /// Its length in bytes.
    envelope_len: u64,
    /// Salt and envelope sealed to the request's `reply_key`, or empty. Events carry only its hash.
    sealed: vector<u8>,
    /// Who answered.
    executor: address,
    /// Under which assignment.
    epoch: u64,
    /// When it was recorded, Unix milliseconds.
    processed_at_ms: u64,
    /// From when it may be pruned, Unix milliseconds.
    expires_at_ms: u64,
    /// The token's owner.
    requester: address,
}

// === View functions ===

/// HTTP status. Never aborts.
public fun status_code(self: &ResponseRecord): u16 { self.status_code }

/// Salted SHA-256 of the envelope. Never aborts.
public fun envelope_hash(self: &ResponseRecord): &vector<u8> { &self.envelope_hash }

/// Length of the envelope in bytes. Never aborts.
public fun envelope_len(self: &ResponseRecord): u64 { self.envelope_len }

/// Salt and envelope sealed to the request's `reply_key`, or empty. Never aborts.
public fun sealed(self: &ResponseRecord): &vector<u8> { &self.sealed }

// === Package functions ===

public(package) fun new(
    digest: vector<u8>,
    priority: u8,
    deadline_ms: u64,
    is_read: bool,
    session: bool,
    has_reply_key: bool,
    executor: address,
    now_ms: u64,
    lease_ends_ms: u64,
    prunable_at_ms: u64,
): Request {
    Request {
        digest,
        priority,
        deadline_ms,
        is_read,
        session,
        has_reply_key,
        executor,
        epoch: 0,
        assigned_at_ms: now_ms,
        lease_ends_ms,
        claims: 0,
        prunable_at_ms,
        outcome: option::none(),
    }
}

public(package) fun new_record(
    request_id: vector<u8>,
    status_code: u16,
    envelope_hash: vector<u8>,
    envelope_len: u64,
    sealed: vector<u8>,
    executor: address,
    epoch: u64,
    processed_at_ms: u64,
    expires_at_ms: u64,
    requester: address,
): ResponseRecord {
    ResponseRecord {
        request_id,
        status_code,
        envelope_hash,
        envelope_len,
        sealed,
        executor,
        epoch,
        processed_at_ms,
        expires_at_ms,
        requester,
    }
}

public(package) fun digest(self: &Request): &vector<u8> { &self.digest }

public(package) fun priority(self: &Request): u8 { self.priority }

public(package) fun deadline_ms(self: &Request): u64 { self.deadline_ms }

public(package) fun is_read(self: &Request): bool { self.is_read }

public(package) fun is_session(self: &Request): bool { self.session }

public(package) fun has_reply_key(self: &Request): bool { self.has_reply_key }

public(package) fun epoch(self: &Request): u64 { self.epoch }

public(package) fun lease_ends_ms(self: &Request): u64 { self.lease_ends_ms }

public(package) fun claims(self: &Request): u8 { self.claims }

public(package) fun prunable_at_ms(self: &Request): u64 { self.prunable_at_ms }

/// Whether it has no answer yet and, a session, is not closed.
public(package) fun is_open(self: &Request): bool { self.outcome.is_none() }

public(package) fun is_assigned(self: &Request, executor: address, epoch: u64): bool {
    self.executor == executor && self.epoch == epoch
}

/// Whether it is a write that was claimed: its outcome can only be unknown.
public(package) fun is_claimed_write(self: &Request): bool { !self.is_read && self.claims > 0 }

/// The answer, if there is one and it is no session's end.
public(package) fun record(self: &Request): Option<ResponseRecord> {
    if (self.outcome.is_none()) return option::none();
    match (self.outcome.borrow()) {
        Outcome::Answered(record) => option::some(*record),
        Outcome::Closed => option::none(),
    }
}

public(package) fun assign(
    self: &mut Request,
    executor: address,
    epoch: u64,
    now_ms: u64,
    lease_ends_ms: u64,
) {
    self.executor = executor;
    self.epoch = epoch;
    self.assigned_at_ms = now_ms;
    self.lease_ends_ms = lease_ends_ms;
}

public(package) fun count_claim(self: &mut Request) { self.claims = self.claims + 1; }

/// Records its answer; from when that expires it may be pruned.
public(package) fun answer(self: &mut Request, record: ResponseRecord) {
    self.prunable_at_ms = record.expires_at_ms;
    self.outcome = option::some(Outcome::Answered(record));
}

/// Records the end of a session.
public(package) fun close(self: &mut Request, expires_at_ms: u64) {
    self.prunable_at_ms = expires_at_ms;
    self.outcome = option::some(Outcome::Closed);
}
