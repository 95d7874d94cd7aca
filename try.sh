#!/usr/bin/env bash
# Sets up, builds Lockgate and the example, and runs `lockgate up` on it:
# three gateways on this host, current with every build, until Ctrl-C.
set -euo pipefail
cd "$(dirname "$0")"

scripts/setup.sh
target="$(uname -m)-unknown-linux-gnu"
RUSTFLAGS="-C target-feature=+crt-static" \
    cargo build --locked --release --target "$target" -p lockgate -p lockgate-agent
scripts/example.sh
printf '\nIn another terminal, for `lockgate` by its name:\n  export PATH="%s:$PATH"\n\n' "$PWD/target/$target/release"
exec "target/$target/release/lockgate" up examples/gateway "$@"
