//! Replays a trail and checks every link of it.
