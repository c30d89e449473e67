//! What a seal token allows.
