//! Bearer credentials: who may speak for a token, for how long, at which gateway.
