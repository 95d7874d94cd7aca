#!/usr/bin/env bash
# The preload under Node 20 (or whatever `node` is), 22 and 24: scripts/preload-tests.sh [FILE…]
set -euo pipefail
cd "$(dirname "$0")/../crates/agent/preload-tests"

# Installed once, again when the lock changes.
if ! cmp -s package-lock.json node_modules/.installed; then
    npm ci --no-audit --no-fund --loglevel=error
    cp package-lock.json node_modules/.installed
fi

[ $# -gt 0 ] || set -- test/*.test.mjs
for node in "$(command -v node)" node_modules/node22/bin/node node_modules/node24/bin/node; do
    echo "preload: $("$node" --version)"
    "$node" --test --test-reporter=dot --test-concurrency=4 --test-timeout=120000 "$@"
done
