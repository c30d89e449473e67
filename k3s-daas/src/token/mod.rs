//! Bearer credentials, and the proof that a request was admitted.

mod authorized;
mod credential;

pub use authorized::*;
pub use credential::*;
