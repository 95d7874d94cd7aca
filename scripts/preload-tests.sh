#!/usr/bin/env bash
# The preload under Node 20, 22 and 24, whatever `node` is: scripts/preload-tests.sh [FILE…]
set -euo pipefail
"$(dirname "$0")/nodes.sh"
cd "$(dirname "$0")/../crates/agent/preload-tests"

[ $# -gt 0 ] || set -- test/*.test.mjs
for major in 20 22 24; do
    node=node_modules/node$major/bin/node
    version=$("$node" --version)
    if [[ $version != v$major.* ]]; then
        echo "preload: $node is $version, and Node $major is to be tested" >&2
        exit 1
    fi
    echo "preload: $version"
    LOCKGATE_TEST_NODE=$major "$node" \
        --test --test-reporter=dot --test-concurrency=4 --test-timeout=600000 "$@"
done
