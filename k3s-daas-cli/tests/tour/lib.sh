# What the steps of the tour have beside kubectl.

# Starts a command that goes on by itself, and waits until it has said that many lines.
watching() {
    least=$1
    shift
    : >watched.txt # here, not in the command's own process: that one may not have begun when we count
    "$@" >>watched.txt 2>&1 &
    watcher=$!
    lines "$least"
}

# Waits until the command has said that many lines, ends it, and says what it said.
watched() {
    lines "$1"
    kill "$watcher" 2>/dev/null
    wait "$watcher" 2>/dev/null
    cat watched.txt
}

lines() {
    for _ in $(seq 300); do
        [ "$(wc -l <watched.txt)" -ge "$1" ] && return
        sleep 0.1
    done
    echo "no $1 lines in 30 s"
}

# Repeats a command, for 30 s at most, until it says that; for what a controller does in its own time.
until_says() {
    for _ in $(seq 60); do
        said=$(shift; "$@" 2>&1)
        case $said in *"$1"*) break ;; esac
        sleep 0.5
    done
    printf '%s\n' "$said"
}

# Helm without what client-go logs of watches that Helm ends: it says some of them, by chance.
helm() {
    command helm "$@" 2>stderr.txt
    code=$?
    grep -v ' reflector\.go:' stderr.txt >&2
    return "$code"
}
