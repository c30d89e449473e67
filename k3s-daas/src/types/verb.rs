//! Methods and verbs.
