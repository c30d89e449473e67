//! Authorised request in, response out.
