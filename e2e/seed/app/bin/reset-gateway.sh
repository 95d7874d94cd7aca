#!/usr/bin/env bash
# nginx on the gateway's port and on 80, then the loop around node. OpenVPN would come before.
set -euo pipefail

rm -f /etc/nginx/sites-enabled/default
cat >/etc/nginx/conf.d/reverse-proxy.conf <<NGINX
server {
    listen 0.0.0.0:$GATEWAY_HTTP_PORT;
    listen 0.0.0.0:80;
    location / {
        proxy_pass http://127.0.0.1:$APP_PORT;
        proxy_http_version 1.1;
        proxy_set_header Host \$host;
    }
}
NGINX
nginx
touch /tmp/gateway.log
setsid --fork bash /opt/gateway/app/lib/start-app-gateway.sh </dev/null >/dev/null 2>&1
echo '{"status": "ok"}'
