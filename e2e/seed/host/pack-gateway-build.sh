#!/usr/bin/env bash
# Packs what was built: pack-gateway-build.sh ENV WORKSPACE
set -euo pipefail

env=$1 workspace=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/gateway/app-gateway" "$BUILDS"
cp "$workspace/dist/packages/app-gateway/"main.js* "$work/gateway/app-gateway/"
cp -r "$workspace/docker-images/backend-images/gateway/app" "$work/gateway/app"
cat >"$work/gateway/BUILD_INFO.txt" <<INFO
Environment: $env
Built: $(date -u +%FT%TZ)
Workspace: $workspace
INFO
tar -czf "$BUILDS/gateway-$env.tar.gz" -C "$work" gateway
echo "✅ Build packed: gateway-$env.tar.gz"
