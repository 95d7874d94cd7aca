#!/usr/bin/env bash
# Sets everything up on a fresh machine and passes all checks: format, walls, lints,
# licences, docs, tests, and journeys with real processes.
set -euo pipefail
cd "$(dirname "$0")"
export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

scripts/setup.sh checks
# The base of the gateway image comes from Debian's packages while the rest compiles; where that
# fails, `just docker` says so.
mkdir -p target
scripts/engine.sh true >target/engine.log 2>&1 &
base=$!
trap 'kill "$base" 2>/dev/null || true' EXIT
just check
