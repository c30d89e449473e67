//! The rules of the Move package as a pure state machine.
