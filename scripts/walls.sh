#!/usr/bin/env bash
# The crate walls, read from `cargo tree`: who may import whom, and what stays out.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
# Prints the names of all crates below one package, itself left out.
below() { cargo tree --locked -p "$1" -e normal --prefix none --format '{p}' | awk 'NR > 1 { print $1 }' | sort -u; }

# forbid PACKAGE CRATE…: none of the crates may stand below the package.
forbid() {
    local package=$1 found
    shift
    found=$(below "$package" | grep -x -F -f <(printf '%s\n' "$@") || true)
    if [ -n "$found" ]; then
        printf 'wall broken: %s must not import %s\n' "$package" "$(tr '\n' ' ' <<<"$found")"
        failed=1
    fi
}

forbid lockgate-model lockgate-builds lockgate-route lockgate-agent lockgate tokio hyper axum
forbid lockgate-builds lockgate-route lockgate-agent lockgate
forbid lockgate-route lockgate-builds lockgate-agent lockgate
forbid lockgate-agent lockgate bollard schemars
forbid lockgate lockgate-agent

[ "$failed" = 0 ] && echo "walls: all stand"
exit "$failed"
