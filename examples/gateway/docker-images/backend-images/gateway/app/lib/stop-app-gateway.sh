#!/usr/bin/env bash
# Stops the application and what keeps it running.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../config.conf"
. "$here/end-process.sh"

if flock -n /tmp/gateway.lock true; then exit 0; fi # Nothing keeps it running.
touch /tmp/gateway-stopping
if [ -s /tmp/gateway.pid ]; then end_process "$(cat /tmp/gateway.pid)" "$STOP_GRACE_SECONDS"; fi
# Its keeper lets go of the lock as the last thing it does.
flock -w $((RESTART_DELAY_SECONDS + 2)) /tmp/gateway.lock true
