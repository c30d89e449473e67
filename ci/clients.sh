#!/bin/sh
# Puts the Python, JavaScript and Go clients of Kubernetes that the tests use into a directory, once for each
# version of their locks in k3s-daas-cli/tests/clients/.
set -eu
cd "$(dirname "$0")/.."
directory=${1:?"usage: clients.sh DIRECTORY"}
clients=k3s-daas-cli/tests/clients
mkdir -p "$directory"

# Whether what lies there was made of these very files; if not, it goes.
is_current() {
    name=$1
    shift
    wanted=$(cat "$@" | sha256sum)
    [ "$(cat "$directory/$name/made-of" 2>/dev/null)" = "$wanted" ] && return 0
    rm -rf "${directory:?}/$name"
    return 1
}

# Said last, so that what was interrupted is made again.
made() {
    echo "$wanted" >"$directory/$1/made-of"
    echo "$1 client in $directory/$1"
}

if ! is_current python "$clients/python/requirements.txt"; then
    python=$(command -v python3.11 || command -v python3)
    "$python" -m venv "$directory/python"
    "$directory/python/bin/pip" install --quiet --no-deps --requirement "$clients/python/requirements.txt"
    made python
fi

if ! is_current javascript "$clients/javascript/package.json" "$clients/javascript/package-lock.json"; then
    mkdir -p "$directory/javascript"
    cp "$clients/javascript/package.json" "$clients/javascript/package-lock.json" "$directory/javascript/"
    npm ci --silent --prefix "$directory/javascript"
    made javascript
fi

if ! is_current go "$clients/go/go.mod" "$clients/go/go.sum" "$clients/go/main.go"; then
    mkdir -p "$directory/go"
    go build -C "$clients/go" -o "$directory/go/client" .
    made go
fi
