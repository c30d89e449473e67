//! BCS mirrors of what is signed, stored or emitted.
