#!/usr/bin/env bash
# Installs what the checks need and this machine lacks. Rust (rustup) and Node are expected to be there.
#   scripts/setup.sh          what `lockgate` needs to be built and tried
#   scripts/setup.sh checks   also what the checks need
#   scripts/setup.sh bench    what is measured beside Lockgate, too
set -euo pipefail
cd "$(dirname "$0")/.."

need() { command -v "$1" >/dev/null 2>&1; }
for program in cargo node npm; do
    need "$program" || { echo "error: \`$program\` is not installed; Lockgate is built with Rust 1.95 or newer and tried with Node 20 or newer" >&2; exit 1; }
done

# Debian and Ubuntu packages, by the program that shows they are there.
packages=()
need cc || packages+=(gcc libc6-dev)
need git || packages+=(git)
need curl || packages+=(curl)
if [ "${1:-}" = checks ]; then
    need c++ || packages+=(g++)
    need faketime || packages+=(faketime)
    need openssl || packages+=(openssl)
    need python3 || packages+=(python3)
    need dig || packages+=(bind9-dnsutils)
    need chromium || packages+=(chromium fonts-dejavu-core)
    need certutil || packages+=(libnss3-tools)
    need ip || packages+=(iproute2)
    need ping || packages+=(iputils-ping)
    need dockerd || packages+=(docker.io)
    need debootstrap || packages+=(debootstrap)
    need nginx || packages+=(nginx)
    need openvpn || packages+=(openvpn)
    need nft || packages+=(nftables)
    need iptables || packages+=(iptables)
fi
if [ "${1:-}" = bench ]; then
    need python3 || packages+=(python3)
    need nginx || packages+=(nginx)
    need tini || packages+=(tini)
    need s6-supervise || packages+=(s6)
fi
if [ ${#packages[@]} -gt 0 ]; then
    echo "setup: installing ${packages[*]}"
    as_root=() policy=/usr/sbin/policy-rc.d
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    # A packaged service would be started at once: this refuses it, where nothing decides that yet.
    if [ ! -e "$policy" ]; then
        trap '"${as_root[@]}" rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" install -m 755 /dev/stdin "$policy"
    fi
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi
[ "${1:-}" = checks ] || exit 0

cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
# Unoptimised where a run takes a second anyway: that takes a third of the time to build.
need just || { echo "setup: installing just"; cargo install --quiet --locked --debug just; }
need cargo-nextest || { echo "setup: installing cargo-nextest"; cargo install --quiet --locked --debug cargo-nextest; }
need cargo-deny || { echo "setup: installing cargo-deny"; cargo install --quiet --locked --debug cargo-deny; }
