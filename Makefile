# Everything builds outside the tree, so that clean checkouts share what is built already.
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/k3s-daas
export CARGO_TARGET_DIR ?= $(CACHE)/target
export DAAS_CACHE ?= $(CACHE)
export DAAS_TEST_KUBECTL_DIR ?= $(CACHE)/kubectl
export DAAS_TEST_CLIENTS_DIR ?= $(CACHE)/clients

.PHONY: help
help: ## This list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: ## Requests authorised, recorded, executed, answered and verified, in one process.
	cargo run --quiet --package k3s-daas-cli --bin daas -- demo

.PHONY: test
test: ## All tests: lints, Rust, the binaries, real kubectl; ends with their sum.
	ci/test.sh

.PHONY: lint
lint: ## Formatting, clippy for each feature, documentation, dependencies of the light core.
	ci/lint.sh

.PHONY: doc
doc: ## The API documentation.
	RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --all-features --no-deps

.PHONY: chaos
chaos: ## Gateways and Nautilus killed at random moments, 100 rounds of 2,000 creates (DAAS_CHAOS_ROUNDS); an hour or more.
	DAAS_CHAOS_ROUNDS=$(or $(DAAS_CHAOS_ROUNDS),100) cargo test --package k3s-daas-cli --all-features --test crash random:: -- --nocapture

.PHONY: soak
soak: ## Work with restarts, pruning and archiving for an hour (DAAS_SOAK_MINUTES); memory and disk must stay what they were.
	DAAS_SOAK_MINUTES=$(or $(DAAS_SOAK_MINUTES),60) cargo test --release --package k3s-daas-cli --all-features --test crash soak:: -- --nocapture

.PHONY: bench
bench: kubectl ## Benchmarks; raw results under the target directory.
	cargo bench --package k3s-daas-benches --bench contract
	cargo bench --package k3s-daas-benches --bench ledger
	cargo build --release --package k3s-daas-cli
	cargo bench --package k3s-daas-benches --bench path

.PHONY: bench-kubernetes
bench-kubernetes: kubectl cluster ## The whole path against a real Kubernetes API, beside kubectl proxy and no proxy; needs Go.
	cargo build --release --package k3s-daas-cli
	cargo bench --package k3s-daas-benches --bench kubernetes

.PHONY: kubectl
kubectl: ## The kubectl and Helm binaries that the tests use.
	node ci/kubectl.mjs "$(DAAS_TEST_KUBECTL_DIR)"

.PHONY: clients
clients: ## The Python, JavaScript and Go clients that the tests use; needs Python 3, Node and Go.
	ci/clients.sh "$(DAAS_TEST_CLIENTS_DIR)"

.PHONY: cluster
cluster: ## The real control plane that the tests use; needs Go. Ten minutes when nothing is built yet.
	ci/cluster.sh

.PHONY: move
move: ## The Move package: format, lints, tests on the real VM, the Rust tests' fixtures, artifact.
	node ci/move.mjs format --check
	node ci/move/fixtures.mjs --check
	node ci/move.mjs build
	node ci/move.mjs test
	node ci/move.mjs corpus
	node ci/move.mjs artifact --check

.PHONY: move-gas
move-gas: ## What each call of the Move package costs, against the table in move/README.md; needs python3.11.
	node ci/move/gas.mjs --check

.PHONY: move-mutants
move-mutants: ## Every guard of the Move package removed once; a test must turn red. An hour.
	node ci/move/mutate.mjs

.PHONY: twin
twin: ## The Move package held against its Rust twin on the VM: the contract's tests and random sequences of calls.
	node ci/move.mjs twin

.PHONY: twin-bites
twin-bites: ## The same with mistakes put into the package, each of which must show.
	node ci/move.mjs twin --bites

.PHONY: fuzz
fuzz: ## Fuzzing, ten minutes for each target (SECONDS=… TARGETS="…"); what is new stays in the cache.
	DAAS_FUZZ_SECONDS=$(or $(SECONDS),600) ci/fuzz.sh long $(TARGETS)

.PHONY: fuzz-bites
fuzz-bites: ## Each fuzz target must find the mistake that is planted for it; says how long it took.
	ci/fuzz.sh bites

.PHONY: deny
deny: ## Licences, bans and sources of all dependencies; builds cargo-deny when it is not there yet.
	ci/deny.sh "$(CACHE)/tools"
