#!/bin/sh
# Builds the real control plane and kwok (k3s-daas-cli/tests/cluster), once for each state of their sources.
#
#   ci/cluster.sh         builds what is missing
#   ci/cluster.sh --path  prints the directory that it builds into, and builds nothing
set -eu
: "${DAAS_CACHE:?run it as 'make cluster'}"
cd "$(dirname "$0")/../k3s-daas-cli/tests/cluster"
export CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false" GOTOOLCHAIN=local

own=../../../ci/cluster.sh
sources=$({ cat "$own" && go version && find . -type f \( -name '*.go' -o -name 'go.*' \) | LC_ALL=C sort | xargs sha256sum; } | sha256sum)
cache="$DAAS_CACHE/cluster"
target="$cache/$(echo "$sources" | cut -c1-16)"
if [ "${1:-}" = --path ]; then
    echo "$target"
    exit
fi

if [ ! -d "$target" ]; then
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/.build-XXXXXX")
    trap 'rm -rf "$work"' EXIT
    version=$(cd control-plane && go list -m -f '{{.Version}}' k8s.io/kubernetes)
    major=$(echo "$version" | cut -c2- | cut -d. -f1)
    minor=$(echo "$version" | cut -d. -f2)
    package=k8s.io/component-base/version
    # A build outside of Kubernetes' own scripts would say that it is v0.0.0.
    flags="-s -w -X $package.gitVersion=$version -X $package.gitMajor=$major -X $package.gitMinor=$minor"
    flags="$flags -X $package.gitCommit= -X $package.gitTreeState=clean"
    for program in control-plane kwok; do
        (
            cd "$program"
            test -z "$(gofmt -l . | tee /dev/stderr)"
            go build -ldflags "$flags" -o "$work/$program" .
        )
    done
    chmod 755 "$work"
    # Whoever was faster has built the same.
    mv -T "$work" "$target" 2>/dev/null || test -d "$target"
fi
touch "$target"
find "$cache" -mindepth 1 -maxdepth 1 -mtime +7 -exec rm -rf {} +
echo "control plane and kwok: $target"
