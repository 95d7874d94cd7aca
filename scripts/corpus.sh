#!/usr/bin/env bash
# The labelled corpus of bundles, built once by the tools of the field, again when one of its
# files changes.
set -euo pipefail
cd "$(dirname "$0")/.."
corpus=crates/builds/corpus
built=target/corpus

state=$(cd "$corpus" && find . -path ./node_modules -prune -o -type f -print0 | sort -z |
    xargs -0 sha256sum | sha256sum)
[ "$state" != "$(cat "$built/.state" 2>/dev/null)" ] || exit 0
if ! cmp -s "$corpus/package-lock.json" "$corpus/node_modules/.installed"; then
    (cd "$corpus" && npm ci --no-audit --no-fund --loglevel=error)
    cp "$corpus/package-lock.json" "$corpus/node_modules/.installed"
fi
mkdir -p target
node "$corpus/build.mjs" "$built"
echo "$state" >"$built/.state"
