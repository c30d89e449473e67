/// An address that may submit for a seal token.
module k3s_daas::delegate;

// === Structs ===

/// An address that may submit for a seal token while `now < expires_at_ms`.
public struct Delegate has copy, drop, store {
    delegate: address,
    expires_at_ms: u64,
}

// === Public functions ===

/// A delegate, for `seal_token::issue_token` in the same transaction. Never aborts; issuing judges it.
public fun new(delegate: address, expires_at_ms: u64): Delegate {
    Delegate { delegate, expires_at_ms }
}

// === Package functions ===

public(package) fun delegate(self: &Delegate): address { self.delegate }

public(package) fun expires_at_ms(self: &Delegate): u64 { self.expires_at_ms }
