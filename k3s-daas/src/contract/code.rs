//! The abort codes, append-only, equal to those of the Move package.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Declares the codes once: number, Move name, text.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)+) => {
        /// Why the contract refused a call: the 8-bit code of Move's clever error.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "u8", try_from = "u8")]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* #[doc = $text] $name = $number,)+
        }

        impl Code {
            /// All codes, by number.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The name of the Move constant.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => concat!("E", stringify!($name)),)+ }
            }

            /// What it means, lower-case, without a full stop.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// From the number on the ledger.
            #[must_use]
            pub fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$name),)+ _ => None }
            }
        }
    };
}

codes! {
    WrongVersion = 1, "the object is of another contract version";
    InvalidSealToken = 2, "the seal token is of another cluster, revoked, expired or not yet valid";
    NotTokenHolder = 3, "the sender or key may not use this seal token";
    MethodNotAllowed = 4, "the method is not allowed";
    MalformedRequest = 5, "a field of the request is not of its form";
    NoPermission = 6, "no rule of the seal token allows it";
    InsufficientStake = 7, "the stake is too small";
    DeadlinePassed = 8, "the deadline has passed, or lies more than an hour ahead";
    PayloadTooLarge = 9, "the payload is too large";
    InvalidPriority = 10, "the priority is not 1 to 4";
    DuplicateRequest = 11, "the seal token already holds this request ID";
    NoExecutor = 12, "no executor is eligible";
    TooManyRequests = 13, "too many requests of this seal token are unanswered";
    UnknownRequest = 20, "the seal token does not hold this request";
    AlreadyAnswered = 21, "the request is answered already";
    NotAssigned = 22, "the request is assigned to another executor or epoch";
    ExecutorNotEligible = 23, "the executor is not eligible";
    InvalidSignature = 24, "the signature is not valid";
    MalformedResponse = 25, "a field of the response is not of its form";
    LeaseRunning = 26, "the lease of the assigned executor still runs";
    DeadlineOver = 27, "the deadline of the read is over";
    ClaimedWrite = 28, "a claimed write has no other outcome than unknown";
    TooManyClaims = 29, "the request was claimed too often";
    NotAdmin = 30, "the capability is not this cluster's, or not the sender's";
    NotOwner = 31, "the sender does not own it";
    ZeroAmount = 32, "the amount is zero";
    LimitExceeded = 33, "a bound is exceeded";
    InvalidExpiry = 34, "the expiry lies in the past or before the beginning";
    InvalidKey = 35, "the key or address is not allowed here";
    DuplicateKey = 36, "the key or address is known already";
    StillUnbonding = 37, "nothing is unlocked yet";
    InvalidPolicy = 38, "a value of the policy is out of its bounds";
    NotPrunable = 39, "a request may not be pruned yet";
    AttestationMissing = 40, "the cluster requires an attestation document";
    AttestationPcr = 41, "the measurements are not those of the policy";
    AttestationDebug = 42, "the enclave runs in debug mode";
    AttestationStale = 43, "the attestation document is too old or from the future";
    AttestationNonce = 44, "the attestation document is for another registration";
    AttestationUserData = 45, "the attestation document binds other keys";
    NotEquivocation = 46, "the two answers do not prove an equivocation";
    AnchorGap = 47, "the anchor does not continue the last one";
    SessionClosed = 48, "the session is closed";
}

impl Code {
    /// The number on the ledger.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

impl From<Code> for u8 {
    fn from(code: Code) -> Self {
        code.number()
    }
}

impl TryFrom<u8> for Code {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        Self::from_number(number).ok_or_else(|| format!("{number} is no code of the contract"))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.name(), self.number(), self.text())
    }
}

impl std::error::Error for Code {}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back() {
        for code in Code::ALL {
            assert_eq!(Code::from_number(code.number()), Some(*code));
        }
        for unknown in [0, 14, 19, 49, 255] {
            assert_eq!(Code::from_number(unknown), None);
        }
    }
}
