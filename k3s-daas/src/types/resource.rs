//! Which resource a request names, derived from its path.
