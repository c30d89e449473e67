#!/bin/sh
# The fuzz targets of fuzz/: libFuzzer with coverage of stable Rust, as `cargo fuzz run -s none` has it, without cargo-fuzz.
#
#   ci/fuzz.sh gate             each target for DAAS_FUZZ_SECONDS (30), two at a time, and its planted mistake
#   ci/fuzz.sh long [TARGET…]   the same targets for DAAS_FUZZ_SECONDS (600); what is new is kept in the cache
#   ci/fuzz.sh bites            each target must find the mistake that is planted for it; says how long it took
set -eu
: "${DAAS_CACHE:?run it as 'make fuzz'}"
cd "$(dirname "$0")/../fuzz"
fuzz=$PWD
cache="$DAAS_CACHE/fuzz"
mkdir -p "$cache"
targets="http contract credential path wire"
host=$(rustc -vV | sed -n 's/^host: //p')

coverage="-Cpasses=sancov-module"
for argument in level=4 inline-8bit-counters pc-table trace-compares; do
    coverage="$coverage -Cllvm-args=-sanitizer-coverage-$argument"
done
coverage="$coverage -Cllvm-args=-simplifycfg-branch-fold-threshold=0"

# Builds the targets into a directory: as they are, or with what is planted.
build() {
    # One build at a time: the two differ in the last crate only, and share all else.
    RUSTFLAGS="$coverage" cargo build --quiet --release --bins --target "$host" --target-dir "$cache/target" "$@"
    case "$*" in
    *planted*) into="$work/planted" ;;
    *) into="$work/whole" ;;
    esac
    mkdir -p "$into"
    for target in $targets; do cp "$cache/target/$host/release/$target" "$into/"; done
}

# One target for so many seconds; new inputs go to a directory of its own.
run() {
    target=$1 seconds=$2 found=$3
    mkdir -p "$found" "$cache/crashes"
    log="$work/$target.log"
    dictionary=""
    if [ -f "$fuzz/dictionaries/$target" ]; then dictionary="-dict=$fuzz/dictionaries/$target"; fi
    # shellcheck disable=SC2086
    if "$work/whole/$target" "$found" "$fuzz/corpus/$target" $dictionary $limits \
        -max_total_time="$seconds" -artifact_prefix="$cache/crashes/$target-" >"$log" 2>&1; then
        echo "$target: $(grep '^Done' "$log"), $(grep -o 'cov: [0-9]*' "$log" | tail -1)"
    else
        cat "$log"
        echo "$target failed; its input is in $cache/crashes" >&2
        return 1
    fi
}

# A target with its planted mistake.
bite() {
    target=$1
    log="$work/$target-planted.log"
    mkdir -p "$work/$target-planted"
    dictionary=""
    if [ -f "$fuzz/dictionaries/$target" ]; then dictionary="-dict=$fuzz/dictionaries/$target"; fi
    begin=$(date +%s%N)
    # shellcheck disable=SC2086
    if "$work/planted/$target" "$work/$target-planted" "$fuzz/corpus/$target" $dictionary $limits \
        -max_total_time=60 -artifact_prefix="$work/" >"$log" 2>&1; then
        cat "$log"
        echo "$target does not find what is planted" >&2
        return 1
    fi
    if ! grep -q 'panicked at src/targets/' "$log"; then
        cat "$log"
        echo "$target failed, but not by what is planted" >&2
        return 1
    fi
    took=$((($(date +%s%N) - begin) / 1000000))
    executed=$(grep -o '^#[0-9]*' "$log" | tail -1 | tr -d '#')
    echo "$target: planted mistake found in $took ms, about ${executed:-0} inputs"
}

limits="-timeout=10 -rss_limit_mb=2048 -max_len=4096 -print_final_stats=0 -verbosity=1"
work=${DAAS_FUZZ_WORK:-}
if [ -z "$work" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi

# Runs this script for each line of its input, two at a time.
in_pairs() {
    DAAS_FUZZ_WORK="$work" xargs -P 2 -L 1 "$fuzz/../ci/fuzz.sh"
}

case ${1:-} in
gate)
    build
    build --features planted
    for target in $targets; do
        echo "one $target ${DAAS_FUZZ_SECONDS:-30} $work/$target-found"
        echo "bite $target"
    done | in_pairs
    ;;
long)
    build
    shift
    for target in ${*:-$targets}; do
        echo "one $target ${DAAS_FUZZ_SECONDS:-600} $cache/corpus/$target"
    done | in_pairs
    ;;
bites)
    build --features planted
    for target in $targets; do echo "bite $target"; done | in_pairs
    ;;
one) run "$2" "$3" "$4" ;;
bite) bite "$2" ;;
*)
    sed -n '2,7s/^# \{0,1\}//p' "$fuzz/../ci/fuzz.sh" >&2
    exit 2
    ;;
esac
