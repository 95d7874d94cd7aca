#!/usr/bin/env bash
# Keeps the application running.
cd /
while true; do
  node --enable-source-maps /opt/gateway/app-gateway/main.js >>"${LOG_FILE:-/tmp/gateway.log}" 2>&1
  if [ -f /tmp/gateway-reloading ]; then
    rm /tmp/gateway-reloading
    continue
  fi
  sleep 3
done
