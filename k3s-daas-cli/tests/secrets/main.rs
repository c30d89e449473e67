//! A whole run of real processes with secrets that are known, and a search for each of them in all that is left of it:
//! logs, answers, files, command lines, environments.
#![allow(clippy::unwrap_used, unreachable_pub)]
#![allow(clippy::print_stdout)] // how much was searched

mod run;
mod search;
#[path = "../support/mod.rs"]
mod support;
