#!/usr/bin/env bash
# Sets the user containers that this gateway serves: lines `fqdn ip port` on stdin, all of them each time.
# Says exactly {"status": "ok"} or {"status": "error", "error": "…"}.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../config.conf"
file=/etc/nginx/conf.d/locations.conf

# shellcheck disable=SC1003
fail() {
  printf '{"status": "error", "error": "%s"}\n' "$(printf '%s' "$1" | tr -d '"\\' | tr -c '[:print:]' ' ')"
  exit 1
}

door=${GATEWAY_HTTP_PORT:-}
if [ -z "$door" ]; then fail "GATEWAY_HTTP_PORT is not set"; fi
fresh=$(mktemp) && kept=$(mktemp)
trap 'rm -f "$fresh" "$kept"' EXIT

while read -r name address port rest || [ -n "${name:-}" ]; do
  if [ -z "$name" ]; then continue; fi
  if ! [[ $name =~ ^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$ ]]; then fail "not a name: $name"; fi
  if ! [[ $address =~ ^172\.16(\.[0-9]{1,3}){2}$ ]]; then fail "not an address of the VPN: $address"; fi
  if ! [[ $port =~ ^[1-9][0-9]{0,4}$ ]] || [ "$port" -gt 65535 ]; then fail "not a port: $port"; fi
  if [ -n "$rest" ]; then fail "more than fqdn ip port: $rest"; fi
  cat >>"$fresh" <<NGINX
server {
    listen 0.0.0.0:$door;
    server_name $name;
    location / {
        proxy_pass http://$address:$port;
        proxy_http_version 1.1;
        proxy_buffering off;
        proxy_read_timeout 1h;
        proxy_set_header Host \$host;
        proxy_set_header Upgrade \$http_upgrade;
        proxy_set_header Connection \$connection_upgrade;
    }
}
NGINX
done

if [ -e "$file" ]; then cp "$file" "$kept"; fi
cp "$fresh" "$file"
if ! said=$(nginx -t -q 2>&1); then
  cp "$kept" "$file"
  fail "nginx refused the locations: $said"
fi
nginx -s reload 2>/dev/null || fail "nginx does not run"
echo '{"status": "ok"}'
