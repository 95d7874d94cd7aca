#!/usr/bin/env bash
# A gateway's first process: fetches the build, starts what it brings, and stays.
set -euo pipefail

server=${BUILD_SERVER_IP:-$(ip route show default | awk '{ print $3; exit }')}
rm -rf /opt/gateway
curl --fail --silent --show-error "http://$server:${BUILD_SERVER_PORT:-8090}/gateway-$ENV_NAME.tar.gz" | tar -xz -C /opt
/opt/gateway/app/main.sh -r bin/reset-gateway.sh
exec tail -F /tmp/gateway.log
