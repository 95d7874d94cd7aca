#!/usr/bin/env bash
# Journeys with gateways in containers: scripts/docker-journeys.sh [FILTER…]
#
# One journey at a time has an engine, and waits most of its time; so all of them are shared
# out to two engines. With a filter one is enough.
set -euo pipefail
cd "$(dirname "$0")/.."
journeys() {
    scripts/engine.sh cargo nextest run --locked --offline --workspace \
        -E 'package(lockgate-e2e) & binary(/^(docker|image)$/)' "$@"
}
if [ $# -gt 0 ]; then
    journeys "$@"
    exit
fi

mkdir -p target
log=target/docker-journeys.log
journeys --partition hash:2/2 >"$log" 2>&1 &
second=$!
trap 'kill "$second" 2>/dev/null || true' EXIT
code=0
journeys --partition hash:1/2 || code=$?
wait "$second" || code=$?
trap - EXIT
printf '\nThe other half, on an engine of its own:\n'
cat "$log"
exit "$code"
