#!/usr/bin/env bash
# Runs a command where nobody else's network, /tmp and processes are: scripts/alone.sh COMMAND [ARGUMENT…]
#
# Everything that it starts ends with it. A bridge `clients` with 10.9.0.1/16 is there for
# network namespaces that it makes. Needs root.
set -euo pipefail
[ $# -gt 0 ] || { echo "usage: scripts/alone.sh COMMAND [ARGUMENT…]" >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "error: a network of our own needs root" >&2; exit 1; }
exec unshare --net --mount --pid --fork --mount-proc --kill-child sh -euc '
    folder=$PWD
    mount -t tmpfs tmpfs /run
    mount -t tmpfs tmpfs /tmp
    cd "$folder"
    ip link set lo up
    ip link add clients type bridge
    ip address add 10.9.0.1/16 dev clients
    ip link set clients up
    LOCKGATE_ALONE=yes "$@"' sh "$@"
