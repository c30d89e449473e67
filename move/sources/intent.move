/// What a signature is for: the header before every signed message.
///
/// No signature for one purpose, chain, package, cluster or token is valid for another.
module k3s_daas::intent;

use std::bcs;
use std::type_name;
use sui::ed25519;
use sui::hash;

// === Constants ===

const DOMAIN: vector<u8> = b"k3s_daas";
const INTENT_VERSION: u8 = 1;

// === Structs ===

/// The header of everything signed.
public struct Intent has copy, drop {
    domain: vector<u8>,
    kind: u8,
    version: u8,
    chain: address,
    /// The original ID of this package.
    package: address,
    cluster: address,
    /// Zero where no token is meant.
    token: address,
}

/// A message behind its header: the BCS of this is what is signed.
public struct Signed<M: copy + drop> has copy, drop {
    intent: Intent,
    message: M,
}

// === Package functions ===

/// Kind of a request's message.
public(package) macro fun request(): u8 { 1 }

/// Kind of an answer's message.
public(package) macro fun answer(): u8 { 2 }

/// Kind of a claim's message.
public(package) macro fun claim(): u8 { 3 }

/// Kind of a release's message.
public(package) macro fun release(): u8 { 4 }

/// Kind of an anchor's message.
public(package) macro fun anchor(): u8 { 5 }

/// Kind of the message that opens a session.
public(package) macro fun session_open(): u8 { 6 }

/// Kind of the message that closes a session.
public(package) macro fun session_close(): u8 { 7 }

/// The bytes that are signed: BCS of the intent, then of the message.
public(package) fun signed_bytes<M: copy + drop>(
    kind: u8,
    chain: address,
    cluster: address,
    token: address,
    message: M,
): vector<u8> {
    let intent = Intent {
        domain: DOMAIN,
        kind,
        version: INTENT_VERSION,
        chain,
        package: type_name::original_id<Intent>(),
        cluster,
        token,
    };
    bcs::to_bytes(&Signed { intent, message })
}

/// The digest of signed bytes.
public(package) fun digest(signed_bytes: &vector<u8>): vector<u8> { hash::blake2b256(signed_bytes) }

/// Whether `signature` over the signed bytes is the key's, by ZIP 215; not if either has another length.
public(package) fun verify(
    signed_bytes: &vector<u8>,
    public_key: &vector<u8>,
    signature: &vector<u8>,
): bool {
    ed25519::ed25519_verify(signature, public_key, signed_bytes)
}
