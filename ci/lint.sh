#!/bin/sh
# Formatting, clippy, each feature alone, documentation, and what a plain `cargo add` brings.
set -eu
cd "$(dirname "$0")/.."

cargo fmt --all --check
cargo clippy --quiet --workspace --all-targets --all-features -- --deny warnings

# Each feature must stand alone.
for feature in gateway nautilus local kube directory keystore memory-cluster sui conformance crash-points; do
    cargo clippy --quiet --package k3s-daas --no-default-features --features "$feature" -- --deny warnings
done

# The light core: types, contract and traits without a runtime, a network or a database.
cargo clippy --quiet --package k3s-daas --no-default-features -- --deny warnings
tree=$(cargo tree --quiet --package k3s-daas --no-default-features --edges normal --prefix none)
for crate in tokio hyper rusqlite rustls kube k8s-openapi; do
    if echo "$tree" | grep -q "^$crate v"; then
        echo "a plain 'cargo add k3s-daas' brings $crate" >&2
        exit 1
    fi
done

# What is built for use has no crash points.
if cargo tree --quiet --package k3s-daas-cli --edges normal --prefix none | grep -q "^fail v"; then
    echo "the binaries have crash points without being asked for them" >&2
    exit 1
fi

RUSTDOCFLAGS="--deny warnings" cargo doc --quiet --workspace --all-features --no-deps
