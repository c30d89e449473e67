//! The suite that every executor of a real cluster passes.
