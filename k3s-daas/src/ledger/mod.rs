//! Ordered, durable home of every call and its events.
