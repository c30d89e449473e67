//! The service that executes what the ledger admitted.
