#!/usr/bin/env bash
# Runs one of the gateway's scripts with its configuration: main.sh -r bin/reset-gateway.sh [ARGUMENT…]
set -euo pipefail

app=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
usage="usage: main.sh -r bin/SCRIPT.sh|lib/SCRIPT.sh [ARGUMENT…]"

if [ "${1:-}" != -r ] || [ $# -lt 2 ]; then
  echo "$usage" >&2
  exit 2
fi
script=$2
shift 2

case $script in
*..*) ;;
bin/*.sh | lib/*.sh)
  if [ -f "$app/$script" ]; then
    set -a
    # shellcheck source=config.conf
    . "$app/config.conf"
    set +a
    exec bash "$app/$script" "$@"
  fi
  ;;
esac
echo "main.sh: there is no script \`$script\` in $app" >&2
echo "$usage" >&2
exit 2
