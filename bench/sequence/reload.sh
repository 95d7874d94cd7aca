#!/usr/bin/env bash
# Brings one gateway to the current build: remove, fetch, TERM, sleep, start.
#
#   reload.sh FOLDER ARCHIVE_URL PORT
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$1 archive=$2 port=$3
mkdir -p "$folder"

rm -rf "$folder/gateway"
curl -fsS "$archive" | tar xz -C "$folder"

if [[ -f "$folder/pid" ]]; then
    kill -TERM "$(< "$folder/pid")"
    sleep 1
fi

BENCH_PORT=$port node --enable-source-maps --require "$here/port.cjs" \
    "$folder/gateway/app-gateway/main.js" > "$folder/log" 2>&1 < /dev/null &
echo $! > "$folder/pid"
