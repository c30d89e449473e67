#![allow(clippy::unwrap_used)]

mod admission;
mod discovery;
mod fixture;
mod health;
mod limits;
mod logs;
mod refusals;
mod repetition;
mod review;
mod sending;
mod watch;
mod wire;
