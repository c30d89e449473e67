//! Bearer credentials, and the proof that a request was admitted.
