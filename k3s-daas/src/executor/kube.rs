//! The executor that reaches a Kubernetes API through the `kube` crate.
