//! The rules of the Move package as a pure state machine: no I/O, no clock, no async.
//!
//! A call is *decided* against the state, which changes nothing and gives events or a code; the events
//! then *evolve* the state. So a refused call changes nothing, and replaying the events from the start
//! gives the state, both by construction.

mod answer;
mod apply;
mod call;
mod check;
mod code;
mod evolve;
mod executor;
#[cfg(feature = "sui")]
mod package;
mod request;
mod state;
mod token;

pub use apply::{
    Abort, Attestation, AttestedFacts, Context, Effects, NoAttestation, OneByOne, Signatures,
};
pub use call::Call;
pub use check::{Bound, assign};
pub use code::Code;
#[cfg(feature = "sui")]
pub use package::MovePackage;
pub use request::{Asker, check_request, derive_target, request_digest};
pub use state::{
    AdminCap, Cluster, ExecutorEntry, ExecutorState, Object, Outcome, Request, SealToken, State,
    Touched, Unbonding, VERSION,
};
