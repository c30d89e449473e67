//! The memory cluster over HTTPS, as its clients see it.

mod deletion;
mod durability;
mod means;
mod refusals;
mod verbs;
mod watch;
