//! A small Kubernetes API server, for demos and tests.
