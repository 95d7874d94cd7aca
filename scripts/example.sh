#!/usr/bin/env bash
# Builds the example application into examples/gateway/dist, unless it is newer than its sources.
set -euo pipefail
cd "$(dirname "$0")/../examples/gateway"

bundle=dist/packages/app-gateway/main.js
if [ -f "$bundle" ] && [ -z "$(find package-lock.json packages scripts tsconfig.json -newer "$bundle" -print -quit)" ]; then
    echo "example: $bundle is up to date"
    exit 0
fi
npm ci --no-audit --no-fund --loglevel=error
npm run --silent build
