#!/usr/bin/env bash
# Fetches the current build and restarts the application with it.
# When the fetch fails, the old build keeps running.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../config.conf"
. "$here/end-process.sh"

bash "$here/fetch-gateway-build.sh"
if [ -s /tmp/gateway.pid ]; then
  touch /tmp/gateway-reloading # Tells the keeper that this end is no crash.
  end_process "$(cat /tmp/gateway.pid)" "$STOP_GRACE_SECONDS"
fi
