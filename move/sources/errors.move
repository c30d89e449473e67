/// Why the contract refuses a call: one code for each reason, append-only.
///
/// The number of each is the 8-bit code of Move's clever error, and the `code` of a refusal's event. Modules cannot share
/// constants, so the numbers are macros here, and `refuse` is the one place that aborts: a check that gives a number serves
/// the functions that abort with it and those that record it.
module k3s_daas::errors;

// === Errors ===

/// The object is of another contract version.
#[error(code = 1)]
const EWrongVersion: vector<u8> = b"the object is of another contract version";
/// The seal token is of another cluster, revoked, expired or not yet valid.
#[error(code = 2)]
const EInvalidSealToken: vector<u8> =
    b"the seal token is of another cluster, revoked, expired or not yet valid";
/// The sender or key may not use this seal token.
#[error(code = 3)]
const ENotTokenHolder: vector<u8> = b"the sender or key may not use this seal token";
/// The method is not allowed.
#[error(code = 4)]
const EMethodNotAllowed: vector<u8> = b"the method is not allowed";
/// A field of the request is not of its form.
#[error(code = 5)]
const EMalformedRequest: vector<u8> = b"a field of the request is not of its form";
/// No rule of the seal token allows it.
#[error(code = 6)]
const ENoPermission: vector<u8> = b"no rule of the seal token allows it";
/// The stake is too small.
#[error(code = 7)]
const EInsufficientStake: vector<u8> = b"the stake is too small";
/// The deadline has passed, or lies more than an hour ahead.
#[error(code = 8)]
const EDeadlinePassed: vector<u8> = b"the deadline has passed, or lies more than an hour ahead";
/// The payload is too large.
#[error(code = 9)]
const EPayloadTooLarge: vector<u8> = b"the payload is too large";
/// The priority is not 1 to 4.
#[error(code = 10)]
const EInvalidPriority: vector<u8> = b"the priority is not 1 to 4";
/// The seal token already holds this request ID.
#[error(code = 11)]
const EDuplicateRequest: vector<u8> = b"the seal token already holds this request ID";
/// No executor is eligible.
#[error(code = 12)]
const ENoExecutor: vector<u8> = b"no executor is eligible";
/// Too many requests of this seal token are unanswered.
#[error(code = 13)]
const ETooManyRequests: vector<u8> = b"too many requests of this seal token are unanswered";
/// The seal token does not hold this request.
#[error(code = 20)]
const EUnknownRequest: vector<u8> = b"the seal token does not hold this request";
/// The request is answered already.
#[error(code = 21)]
const EAlreadyAnswered: vector<u8> = b"the request is answered already";
/// The request is assigned to another executor or epoch.
#[error(code = 22)]
const ENotAssigned: vector<u8> = b"the request is assigned to another executor or epoch";
/// The executor is not eligible.
#[error(code = 23)]
const EExecutorNotEligible: vector<u8> = b"the executor is not eligible";
/// The signature is not valid.
#[error(code = 24)]
const EInvalidSignature: vector<u8> = b"the signature is not valid";
/// A field of the response is not of its form.
#[error(code = 25)]
const EMalformedResponse: vector<u8> = b"a field of the response is not of its form";
/// The lease of the assigned executor still runs.
#[error(code = 26)]
const ELeaseRunning: vector<u8> = b"the lease of the assigned executor still runs";
/// The deadline of the read is over.
#[error(code = 27)]
const EDeadlineOver: vector<u8> = b"the deadline of the read is over";
/// A claimed write has no other outcome than unknown.
#[error(code = 28)]
const EClaimedWrite: vector<u8> = b"a claimed write has no other outcome than unknown";
/// The request was claimed too often.
#[error(code = 29)]
const ETooManyClaims: vector<u8> = b"the request was claimed too often";
/// The capability is not this cluster's, or not the sender's.
#[error(code = 30)]
const ENotAdmin: vector<u8> = b"the capability is not this cluster's, or not the sender's";
/// The sender does not own it.
#[error(code = 31)]
const ENotOwner: vector<u8> = b"the sender does not own it";
/// The amount is zero.
#[error(code = 32)]
const EZeroAmount: vector<u8> = b"the amount is zero";
/// A bound is exceeded.
#[error(code = 33)]
const ELimitExceeded: vector<u8> = b"a bound is exceeded";
/// The expiry lies in the past or before the beginning.
#[error(code = 34)]
const EInvalidExpiry: vector<u8> = b"the expiry lies in the past or before the beginning";
/// The key or address is not allowed here.
#[error(code = 35)]
const EInvalidKey: vector<u8> = b"the key or address is not allowed here";
/// The key or address is known already.
#[error(code = 36)]
const EDuplicateKey: vector<u8> = b"the key or address is known already";
/// Nothing is unlocked yet.
#[error(code = 37)]
const EStillUnbonding: vector<u8> = b"nothing is unlocked yet";
/// A value of the policy is out of its bounds.
#[error(code = 38)]
const EInvalidPolicy: vector<u8> = b"a value of the policy is out of its bounds";
/// A request may not be pruned yet.
#[error(code = 39)]
const ENotPrunable: vector<u8> = b"a request may not be pruned yet";
/// The cluster requires an attestation document.
#[error(code = 40)]
const EAttestationMissing: vector<u8> = b"the cluster requires an attestation document";
/// The measurements are not those of the policy.
#[error(code = 41)]
const EAttestationPcr: vector<u8> = b"the measurements are not those of the policy";
/// The enclave runs in debug mode.
#[error(code = 42)]
const EAttestationDebug: vector<u8> = b"the enclave runs in debug mode";
/// The attestation document is too old or from the future.
#[error(code = 43)]
const EAttestationStale: vector<u8> = b"the attestation document is too old or from the future";
/// The attestation document is for another registration.
#[error(code = 44)]
const EAttestationNonce: vector<u8> = b"the attestation document is for another registration";
/// The attestation document binds other keys.
#[error(code = 45)]
const EAttestationUserData: vector<u8> = b"the attestation document binds other keys";
/// The two answers do not prove an equivocation.
#[error(code = 46)]
const ENotEquivocation: vector<u8> = b"the two answers do not prove an equivocation";
/// The anchor does not continue the last one.
#[error(code = 47)]
const EAnchorGap: vector<u8> = b"the anchor does not continue the last one";
/// The session is closed.
#[error(code = 48)]
const ESessionClosed: vector<u8> = b"the session is closed";

// === Package functions ===

/// Goes on if the check holds, else aborts with the error of this code.
public(package) fun require(holds: bool, code: u8) {
    if (!holds) refuse(code)
}

/// Aborts with the error of this code.
public(package) fun refuse(code: u8) {
    match (code) {
        1 => abort EWrongVersion,
        2 => abort EInvalidSealToken,
        3 => abort ENotTokenHolder,
        4 => abort EMethodNotAllowed,
        5 => abort EMalformedRequest,
        6 => abort ENoPermission,
        7 => abort EInsufficientStake,
        8 => abort EDeadlinePassed,
        9 => abort EPayloadTooLarge,
        10 => abort EInvalidPriority,
        11 => abort EDuplicateRequest,
        12 => abort ENoExecutor,
        13 => abort ETooManyRequests,
        20 => abort EUnknownRequest,
        21 => abort EAlreadyAnswered,
        22 => abort ENotAssigned,
        23 => abort EExecutorNotEligible,
        24 => abort EInvalidSignature,
        25 => abort EMalformedResponse,
        26 => abort ELeaseRunning,
        27 => abort EDeadlineOver,
        28 => abort EClaimedWrite,
        29 => abort ETooManyClaims,
        30 => abort ENotAdmin,
        31 => abort ENotOwner,
        32 => abort EZeroAmount,
        33 => abort ELimitExceeded,
        34 => abort EInvalidExpiry,
        35 => abort EInvalidKey,
        36 => abort EDuplicateKey,
        37 => abort EStillUnbonding,
        38 => abort EInvalidPolicy,
        39 => abort ENotPrunable,
        40 => abort EAttestationMissing,
        41 => abort EAttestationPcr,
        42 => abort EAttestationDebug,
        43 => abort EAttestationStale,
        44 => abort EAttestationNonce,
        45 => abort EAttestationUserData,
        46 => abort ENotEquivocation,
        47 => abort EAnchorGap,
        _ => abort ESessionClosed,
    }
}

public(package) macro fun wrong_version(): u8 { 1 }

public(package) macro fun invalid_seal_token(): u8 { 2 }

public(package) macro fun not_token_holder(): u8 { 3 }

public(package) macro fun method_not_allowed(): u8 { 4 }

public(package) macro fun malformed_request(): u8 { 5 }

public(package) macro fun no_permission(): u8 { 6 }

public(package) macro fun insufficient_stake(): u8 { 7 }

public(package) macro fun deadline_passed(): u8 { 8 }

public(package) macro fun payload_too_large(): u8 { 9 }

public(package) macro fun invalid_priority(): u8 { 10 }

public(package) macro fun duplicate_request(): u8 { 11 }

public(package) macro fun no_executor(): u8 { 12 }

public(package) macro fun too_many_requests(): u8 { 13 }

public(package) macro fun unknown_request(): u8 { 20 }

public(package) macro fun already_answered(): u8 { 21 }

public(package) macro fun not_assigned(): u8 { 22 }

public(package) macro fun executor_not_eligible(): u8 { 23 }

public(package) macro fun invalid_signature(): u8 { 24 }

public(package) macro fun malformed_response(): u8 { 25 }

public(package) macro fun lease_running(): u8 { 26 }

public(package) macro fun deadline_over(): u8 { 27 }

public(package) macro fun claimed_write(): u8 { 28 }

public(package) macro fun too_many_claims(): u8 { 29 }

public(package) macro fun not_admin(): u8 { 30 }

public(package) macro fun not_owner(): u8 { 31 }

public(package) macro fun zero_amount(): u8 { 32 }

public(package) macro fun limit_exceeded(): u8 { 33 }

public(package) macro fun invalid_expiry(): u8 { 34 }

public(package) macro fun invalid_key(): u8 { 35 }

public(package) macro fun duplicate_key(): u8 { 36 }

public(package) macro fun still_unbonding(): u8 { 37 }

public(package) macro fun invalid_policy(): u8 { 38 }

public(package) macro fun not_prunable(): u8 { 39 }

public(package) macro fun attestation_missing(): u8 { 40 }

public(package) macro fun attestation_pcr(): u8 { 41 }

public(package) macro fun attestation_debug(): u8 { 42 }

public(package) macro fun attestation_stale(): u8 { 43 }

public(package) macro fun attestation_nonce(): u8 { 44 }

public(package) macro fun attestation_user_data(): u8 { 45 }

public(package) macro fun not_equivocation(): u8 { 46 }

public(package) macro fun anchor_gap(): u8 { 47 }

public(package) macro fun session_closed(): u8 { 48 }
