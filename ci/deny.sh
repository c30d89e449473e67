#!/bin/sh
# Checks licences, bans and sources of all dependencies. cargo-deny is built once, of the registry, into a directory.
set -eu
cd "$(dirname "$0")/.."
directory=${1:?"usage: deny.sh DIRECTORY"}
version=0.20.2

if ! "$directory/bin/cargo-deny" --version 2>/dev/null | grep -qx "cargo-deny $version"; then
    echo "building cargo-deny $version, which takes some ten minutes"
    # In a directory of its own, which goes: nothing of it is of use to our builds.
    env -u CARGO_TARGET_DIR cargo install --quiet --locked --root "$directory" "cargo-deny@$version"
fi
exec "$directory/bin/cargo-deny" check bans licenses sources
