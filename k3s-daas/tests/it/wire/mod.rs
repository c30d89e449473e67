//! The bytes of everything signed, stored or emitted.

mod examples;
mod formats;
mod golden;
mod random;
mod round_trip;
