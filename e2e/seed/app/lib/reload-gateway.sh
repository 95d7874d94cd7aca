#!/usr/bin/env bash
# Fetches the current build and ends node, which the loop starts again.
set -euo pipefail

touch /tmp/gateway-reloading
bash /opt/gateway/app/lib/fetch-gateway-build.sh
pid=$(pgrep -f "node.*main.js" || true)
[ -n "$pid" ] || exit 0
kill -TERM $pid
for ((tenths = 0; tenths < 100; tenths++)); do
  kill -0 $pid 2>/dev/null || exit 0
  sleep 0.1
done
kill -KILL $pid
