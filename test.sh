#!/usr/bin/env bash
# Sets everything up on a fresh machine and passes all checks: format, walls, lints,
# licences, docs, tests, and journeys with real processes.
set -euo pipefail
cd "$(dirname "$0")"
export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

scripts/setup.sh checks
just check
