//! k3s-daas.
