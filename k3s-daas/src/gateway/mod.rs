//! The service that kubectl talks to: HTTP in, ledger out.
