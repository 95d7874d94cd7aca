#!/usr/bin/env bash
# Fetches this environment's build and puts it in the place of the one that is there.
# What is there stays until the new build has arrived whole.
set -euo pipefail

root=${GATEWAY_ROOT:-/opt/gateway}
environment=${ENV_NAME:?ENV_NAME is not set}
server=${BUILD_SERVER_IP:-$(ip route show default | awk '{ print $3; exit }')}
if [ -z "$server" ]; then
  echo "no build server: BUILD_SERVER_IP is not set and there is no default route" >&2
  exit 1
fi
url=http://$server:${BUILD_SERVER_PORT:-8090}/gateway-$environment.tar.gz

fresh=$(mktemp -d "$root.fresh-XXXXXX")
trap 'rm -rf "$fresh"' EXIT

echo "fetching $url" >&2
curl --fail --silent --show-error --retry 5 --retry-connrefused --output "$fresh/build.tar.gz" "$url"
tar -xzf "$fresh/build.tar.gz" -C "$fresh"
if [ ! -s "$fresh/gateway/app-gateway/main.js" ]; then
  echo "$url holds no gateway/app-gateway/main.js" >&2
  exit 1
fi

if [ -e "$root" ] || [ -L "$root" ]; then mv -T "$root" "$fresh/old"; fi
mv -T "$fresh/gateway" "$root"
sed -n 's/^Build: */build /p' "$root/BUILD_INFO.txt" >&2 || true
