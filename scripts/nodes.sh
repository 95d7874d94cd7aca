#!/usr/bin/env bash
# Node 22 and 24, and what else the tests of the preload need.
set -euo pipefail
cd "$(dirname "$0")/../crates/agent/preload-tests"

# Installed once, again when the lock changes.
if ! cmp -s package-lock.json node_modules/.installed; then
    npm ci --no-audit --no-fund --loglevel=error
    cp package-lock.json node_modules/.installed
fi
