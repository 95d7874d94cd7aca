#!/usr/bin/env bash
# Runs ./try.sh as a new user would, in a home of its own, until three gateways answer,
# then ends it as Ctrl-C does and looks that nothing is left.
set -euo pipefail
cd "$(dirname "$0")/.."

place=$(mktemp -d /tmp/lgtry.XXXXXX)
# A free port for the build server: another one may use 8090.
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
started=
finish() {
    # Still there after a failure: it gets the same signal, and ten seconds.
    if [ -n "$started" ] && kill -INT "$started" 2>/dev/null; then
        timeout 10 tail --pid="$started" -f /dev/null || kill -KILL "$started" 2>/dev/null || true
    fi
    rm -rf "$place"
}
trap finish EXIT
fail() {
    printf 'first command: %s\n' "$1" >&2
    cat "$place/log" >&2
    exit 1
}

# Whether the command works does not hang on how well the programs are optimised, which
# takes half of the time. `env` keeps its process number through the exec in try.sh; a
# shell's background jobs would ignore SIGINT, which Python resets.
python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
os.execvp(sys.argv[1], sys.argv[1:])' \
    env CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=0 \
    LOCKGATE_HOME="$place/home" XDG_RUNTIME_DIR="$place" LOCKGATE_SERVE_PORT="$port" ./try.sh \
    >"$place/log" 2>&1 </dev/null &
started=$!

# The release build takes minutes on a fresh machine.
deadline=$((SECONDS + 1500))
until [ "$(grep -c -o 'http://127\.0\.0\.1:71[0-9][0-9]/' "$place/log")" -ge 3 ]; do
    kill -0 "$started" 2>/dev/null || fail "it ended before three gateways were up"
    [ "$SECONDS" -lt "$deadline" ] || fail "no three gateways after 25 minutes"
    sleep 0.2
done
for url in $(grep -o 'http://127\.0\.0\.1:71[0-9][0-9]/' "$place/log" | sort -u); do
    curl -fsS --max-time 10 "$url" | grep -q '"version":"1.0.0"' || fail "$url does not answer"
done

kill -INT "$started"
timeout 30 tail --pid="$started" -f /dev/null || fail "it does not end on Ctrl-C"
wait "$started" || fail "it ended with $?"
started=
left=$(grep -l -a -F "$place" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 | grep -v -x "$$" || true)
for pid in $left; do
    [ "$(readlink "/proc/$pid/exe")" != "" ] && case "$(readlink "/proc/$pid/exe")" in
        */lockgate | */lockgate-agent | */node) fail "process $pid is left" ;;
    esac
done
echo "first command: three gateways answered, nothing is left"
