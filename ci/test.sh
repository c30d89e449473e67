#!/bin/sh
# Runs every suite, prints how long each took, and ends with the sum of their tests.
# Fails if anything failed, and if anything was skipped that could have run.
set -u
cd "$(dirname "$0")/.."

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
times=""
passed=0
failed=0
skipped=0
absent=0

# Runs a suite: its own counts if it prints cargo's "test result" lines, else it is one test.
suite() {
    name=$1
    shift
    log="$logs/$name"
    echo "==> $name: $*"
    begin=$(date +%s)
    { "$@" 2>&1; echo $? >"$log.status"; } | tee "$log"
    status=$(cat "$log.status")
    counts=$(awk '/^test result:/ { p += $4; f += $6; s += $8; n++ } END { print n + 0, p + 0, f + 0, s + 0 }' "$log")
    # shellcheck disable=SC2086
    set -- $counts
    if [ "$1" -eq 0 ]; then
        if [ "$status" -eq 0 ]; then set -- 1 1 0 0; else set -- 1 0 1 0; fi
    elif [ "$status" -ne 0 ] && [ "$3" -eq 0 ]; then
        # It did not compile, or it died before it could count.
        set -- "$1" "$2" 1 "$4"
    fi
    passed=$((passed + $2))
    failed=$((failed + $3))
    skipped=$((skipped + $4))
    times="$times$(printf '%6ds  %-12s %d passed, %d failed, %d skipped' $(($(date +%s) - begin)) "$name" "$2" "$3" "$4")
"
}

# A suite whose tool this machine does not have is skipped in the sum, and that is no failure.
missing() {
    echo "==> $1: skipped, since there is no $2"
    absent=$((absent + 1))
    times="$times$(printf '%6ds  %-12s skipped: no %s' 0 "$1" "$2")
"
}

suite kubectl node ci/kubectl.mjs "$DAAS_TEST_KUBECTL_DIR"
suite lint ci/lint.sh
# Tests on a real control plane have `real_cluster` in their names.
if command -v go >/dev/null; then
    DAAS_TEST_CLUSTER_DIR=$(ci/cluster.sh --path)
    export DAAS_TEST_CLUSTER_DIR
    suite cluster ci/cluster.sh
    suite clients ci/clients.sh "$DAAS_TEST_CLIENTS_DIR"
    suite test cargo test --workspace --all-features --no-fail-fast
else
    missing cluster go
    suite test cargo test --workspace --all-features --no-fail-fast -- --skip real_cluster
fi
suite demo ci/demo.sh
if command -v c++ >/dev/null; then
    suite fuzz ci/fuzz.sh gate
else
    missing fuzz "C++ compiler"
fi
suite deny make --no-print-directory deny
suite move make --no-print-directory move
suite twin make --no-print-directory twin
if command -v python3.11 >/dev/null; then
    suite gas make --no-print-directory move-gas
else
    missing gas python3.11
fi

printf '\n%s' "$times"
echo "$passed passed, $failed failed, $((skipped + absent)) skipped"
[ "$failed" -eq 0 ] && [ "$skipped" -eq 0 ]
