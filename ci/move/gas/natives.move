/// What the measuring VM has instead of natives that take references: a hash of about the same cost, and a signature
/// check that costs nothing. `gas.mjs` puts these calls in the place of the real ones.
module k3s_daas::gas_natives;

public fun blake2b256(bytes: &vector<u8>): vector<u8> { std::hash::sha2_256(*bytes) }

public fun ed25519_verify(_: &vector<u8>, _: &vector<u8>, _: &vector<u8>): bool { true }

// The document that the chain verifies; the measuring VM has none.

public struct NitroAttestationDocument has drop {
    timestamp: u64,
    pcrs: vector<PCREntry>,
    nonce: Option<vector<u8>>,
    user_data: Option<vector<u8>>,
}

public struct PCREntry has drop {
    index: u8,
    value: vector<u8>,
}

/// A document of the first PCRs.
public fun document(
    timestamp: u64,
    pcrs: vector<vector<u8>>,
    nonce: vector<u8>,
    user_data: vector<u8>,
): NitroAttestationDocument {
    let pcrs = vector::tabulate!(pcrs.length(), |at| PCREntry { index: (at as u8), value: pcrs[at] });
    NitroAttestationDocument { timestamp, pcrs, nonce: option::some(nonce), user_data: option::some(user_data) }
}

public fun timestamp(self: &NitroAttestationDocument): &u64 { &self.timestamp }

public fun pcrs(self: &NitroAttestationDocument): &vector<PCREntry> { &self.pcrs }

public fun nonce(self: &NitroAttestationDocument): &Option<vector<u8>> { &self.nonce }

public fun user_data(self: &NitroAttestationDocument): &Option<vector<u8>> { &self.user_data }

public fun index(self: &PCREntry): u8 { self.index }

public fun value(self: &PCREntry): &vector<u8> { &self.value }
