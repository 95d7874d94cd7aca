#!/usr/bin/env bash
# The sequence that `lockgate deploy` replaces, as plain shell: pack, then one gateway
# after the other. Gateways are folders here, each with a port of its own.
#
#   deploy.sh WORKSPACE FOLDER SERVER PORT…
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
workspace=$1 folder=$2 server=$3
shift 3

"$BASH" "$here/pack.sh" "$workspace" "$folder/builds" dev-001
for port in "$@"; do
    "$BASH" "$here/reload.sh" "$folder/$port" "$server/gateway-dev-001.tar.gz" "$port"
done
