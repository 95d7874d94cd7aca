#!/usr/bin/env bash
# Packs what was built into BUILDS/gateway-ENV.tar.gz.
#
#   pack.sh WORKSPACE BUILDS ENV
set -euo pipefail

workspace=$1 builds=$2 env=$3
staged=$(mktemp -d)
trap 'rm -rf "$staged"' EXIT

mkdir -p "$staged/gateway/app-gateway"
cp -r "$workspace/dist/packages/app-gateway/." "$staged/gateway/app-gateway/"
cp -r "$workspace/docker-images/backend-images/gateway/app" "$staged/gateway/app"
printf 'Environment: %s\nBuilt: %s\nWorkspace: %s\n' "$env" "$(date -u)" "$workspace" \
    > "$staged/gateway/BUILD_INFO.txt"
tar czf "$builds/gateway-$env.tar.gz" -C "$staged" gateway
