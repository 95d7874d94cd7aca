#!/usr/bin/env bash
# Brings a gateway to its working state: VPN, then nginx, then the application, each begun afresh or left running.
# Says exactly {"status": "ok"} or {"status": "error", "error": "…"}; what the steps say goes to stderr.
set -euo pipefail

lib=$(cd "$(dirname "${BASH_SOURCE[0]}")/../lib" && pwd)

step() {
  if ! bash "$lib/$1" >&2; then
    printf '{"status": "error", "error": "%s failed"}\n' "$1"
    exit 1
  fi
}

step start-vpn.sh
step reset-nginx.sh
# The application may be who calls this: it is started when it does not run, and never stopped.
setsid --fork bash "$lib/start-app-gateway.sh" </dev/null >>"${LOG_FILE:-/tmp/gateway.log}" 2>&1
echo '{"status": "ok"}'
