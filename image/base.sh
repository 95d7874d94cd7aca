#!/usr/bin/env bash
# Makes the base of the gateway image from Debian's packages, where no registry can be
# asked for one: image/base.sh OUTPUT.tar [NODE]. NODE is the program that goes in as
# `node`; without it one is installed from npm. As root, on Debian or Ubuntu.
#   docker import --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' OUTPUT.tar NAME
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
output=${1:?usage: image/base.sh OUTPUT.tar [NODE]}
node=${2:-}
suite=bookworm

[ "$(id -u)" = 0 ] || { echo "error: debootstrap needs root: sudo $0 $*" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "error: \`debootstrap\` is not installed: apt-get install debootstrap" >&2; exit 1; }

mkdir -p "$(dirname "$output")"
work=$(mktemp -d "$(dirname "$output")/.base.XXXXXX")
# Nothing is mounted below it, so it can be removed as it is.
trap 'rm -rf "$work"' EXIT
root=$work/root

if [ -z "$node" ]; then
    npm install --prefix "$work/npm" --no-audit --no-fund --loglevel=error --no-save "node-linux-$(case "$(uname -m)" in x86_64) echo x64 ;; aarch64) echo arm64 ;; esac)@24"
    node=$(echo "$work"/npm/node_modules/node-linux-*/bin/node)
fi

# The packages come from where this machine's own come from.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v -m1 security || true)
packages=$(paste -sd, "$here/packages.txt")
debootstrap --variant=minbase --include="$packages" "$suite" "$root" ${mirror:+"$mirror"} >"$work/log" 2>&1 ||
    { tail -n 20 "$work/log" >&2; echo "error: debootstrap failed" >&2; exit 1; }

install -m 755 "$node" "$root/usr/local/bin/node"
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/*.log \
    "$root"/usr/share/{doc,man,info,locale}/* "$root/etc/nginx/sites-enabled/default"
tar -C "$root" --numeric-owner -cf "$work/base.tar" .
mv "$work/base.tar" "$output"
