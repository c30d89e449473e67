//! The contract over a SQLite journal, for several processes of one machine.
