#!/usr/bin/env bash
# Serves the folder of builds.
set -euo pipefail
exec python3 -m http.server "${PORT:-8090}" --bind 0.0.0.0 --directory "$BUILDS"
