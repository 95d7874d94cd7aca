#!/usr/bin/env bash
# Keeps the application running until it is stopped: at once after a reload, with a delay after a crash.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../config.conf"
root=${GATEWAY_ROOT:-/opt/gateway}
log=${LOG_FILE:-/tmp/gateway.log}

exec 9>/tmp/gateway.lock
if ! flock -n 9; then
  echo "the application is kept running already" >&2
  exit 0
fi
rm -f /tmp/gateway-reloading /tmp/gateway-stopping

child=
# shellcheck disable=SC2317
stop() {
  touch /tmp/gateway-stopping
  if [ -n "$child" ]; then kill -TERM "$child" 2>/dev/null || true; fi
}
trap stop TERM INT

while [ ! -e /tmp/gateway-stopping ]; do
  rm -f /tmp/gateway-reloading
  (cd "$root/app-gateway" && exec node --enable-source-maps main.js) >>"$log" 2>&1 9>&- &
  child=$!
  echo "$child" >/tmp/gateway.pid
  # A signal interrupts `wait` while the application still runs; then there is more to wait for.
  while kill -0 "$child" 2>/dev/null; do wait "$child" || true; done
  rm -f /tmp/gateway.pid
  if [ -e /tmp/gateway-reloading ] || [ -e /tmp/gateway-stopping ]; then continue; fi
  echo "$(date -u +%FT%TZ) the application ended by itself, starting it again" >>"$log"
  sleep "$RESTART_DELAY_SECONDS" 9>&-
done
