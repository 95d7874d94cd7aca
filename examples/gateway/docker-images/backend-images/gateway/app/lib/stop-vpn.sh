#!/usr/bin/env bash
# Stops the VPN that start-vpn.sh has started and removes its keys.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/end-process.sh"

for work in /tmp/vpn-*/; do
  if [ ! -e "$work/server.conf" ]; then continue; fi
  if [ -s "$work/pid" ]; then
    pid=$(cat "$work/pid")
    # The id may belong to another process by now.
    if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = openvpn ]; then end_process "$pid" 5; fi
  fi
  rm -rf "$work"
done
rm -f /tmp/vpn-config.json
