#!/usr/bin/env bash
# main.sh -r bin/SCRIPT.sh
set -euo pipefail
app=$(cd "$(dirname "$0")" && pwd)
. "$app/config.conf"
[ "${1:-}" = -r ] || { echo "usage: main.sh -r bin/SCRIPT.sh" >&2; exit 2; }
exec bash "$app/$2"
