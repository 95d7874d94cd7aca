#!/usr/bin/env bash
# Renders the gateway's own door, GATEWAY_HTTP_PORT → application, and makes nginx serve it.
# A configuration that nginx refuses is not kept.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../config.conf"
door=${GATEWAY_HTTP_PORT:?GATEWAY_HTTP_PORT is not set}
file=/etc/nginx/conf.d/reverse-proxy.conf

kept=$(mktemp)
trap 'rm -f "$kept"' EXIT
if [ -e "$file" ]; then cp "$file" "$kept"; fi

cat >"$file" <<NGINX
map \$http_upgrade \$connection_upgrade { default upgrade; '' close; }
server {
    listen 0.0.0.0:$door default_server;
    client_max_body_size 0;
    location / {
        proxy_pass http://127.0.0.1:$APP_PORT;
        proxy_http_version 1.1;
        proxy_buffering off;
        proxy_request_buffering off;
        proxy_read_timeout 1h;
        proxy_set_header Host \$host;
        proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for;
        proxy_set_header Upgrade \$http_upgrade;
        proxy_set_header Connection \$connection_upgrade;
    }
}
NGINX

if ! nginx -t -q; then
  if [ -s "$kept" ]; then cp "$kept" "$file"; else rm -f "$file"; fi
  echo "nginx refused the configuration, the old one stays" >&2
  exit 1
fi
# Not running yet: there is nothing to signal.
nginx -s reload 2>/dev/null || nginx
