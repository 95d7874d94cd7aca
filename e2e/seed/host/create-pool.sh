#!/usr/bin/env bash
# Makes the gateways of an environment: create-pool.sh ENV COUNT
# IMAGE is the gateway's image, BUILD_SERVER_IP and BUILD_SERVER_PORT where builds are; further arguments
# go to `docker run`.
set -euo pipefail

env=$1 count=$2
shift 2
for ((n = 0; n < count; n++)); do
  http=$((7100 + n)) vpn=$((49100 + n))
  # A container gets two seconds to stop instead of ten: its first process ignores TERM either way.
  docker run --detach --name "gw-pool-$env-$n" --label "environment=$env" \
    --cap-add NET_ADMIN --device /dev/net/tun --restart always --stop-timeout 2 \
    --publish "$http:$http" --publish "$vpn:$vpn/udp" \
    --env "ENV_NAME=$env" --env "GATEWAY_HTTP_PORT=$http" --env "GATEWAY_VPN_PORT=$vpn" \
    --env "GATEWAY_ID=550e8400-e29b-41d4-a716-44665544000$n" --env "GATEWAY_TOKEN=eyJhbGciOiJIUzI1NiJ9.gateway-$n.c2ln" \
    --env "GANYMEDE_FQDN=ganymede.domain.local" --env "DOMAIN=domain.local" \
    --env "BUILD_SERVER_IP=$BUILD_SERVER_IP" --env "BUILD_SERVER_PORT=${BUILD_SERVER_PORT:-8090}" \
    "$@" "$IMAGE" >/dev/null
done
