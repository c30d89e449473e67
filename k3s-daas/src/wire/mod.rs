//! BCS mirrors of what is signed, stored or emitted.
//!
//! Field order and types are the Move structs' own; `docs/message-formats.md` records every byte.
//! Nothing here is validated: that is the contract's work, on exactly these bytes.

mod credential;
mod event;
mod intent;
mod request;
mod response;

pub use credential::*;
pub use event::*;
pub use intent::*;
pub use request::*;
pub use response::*;

/// The BCS bytes of `value`.
///
/// # Panics
/// Never for the types of this crate: BCS fails only on floats, unsized sequences and depth.
#[must_use]
pub fn to_bcs<T: serde::Serialize + ?Sized>(value: &T) -> Vec<u8> {
    bcs::to_bytes(value).expect("types of the wire have no floats and bounded depth")
}
