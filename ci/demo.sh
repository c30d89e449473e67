#!/bin/sh
# The demo, as a newcomer runs it and as a script does.
set -eu
cd "$(dirname "$0")/.."

make --no-print-directory demo
cargo run --quiet --package k3s-daas-cli --bin daas -- demo -o json | node -e '
const { readFileSync } = require("node:fs");
const demo = JSON.parse(readFileSync(0, "utf8"));
if (demo.verified !== true || !(demo.requests > 0) || !(demo.rejected > 0) || demo.steps.length < 8) {
  console.error(JSON.stringify(demo, null, 2));
  process.exit(1);
}'
