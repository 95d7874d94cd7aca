#!/usr/bin/env bash
# Makes the base of the gateway image from Debian's packages, where no registry can be
# asked for one; the same as the Dockerfile beside it. As root, on Debian or Ubuntu:
#
#   image/base.sh OUTPUT.tar [NODE]
#   docker import OUTPUT.tar lockgate/gateway-base:bookworm-node24
#   lockgate image build
#
# NODE is the program that goes in as `node`; without it one is installed from npm.
# Variables: SUITE (bookworm), NODE_VERSION of npm's (24), PACKAGES to add, separated by
# spaces, MIRROR (where this machine's own packages come from, if that has the suite).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
fail() { echo "error: $1" >&2; exit 1; }

case "${1:-}" in "" | -*) sed -n '2,/^set/{s/^# \{0,1\}//;/^set/!p}' "$0"; exit 2 ;; esac
output=$1 node=${2:-} suite=${SUITE:-bookworm}

[ "$(id -u)" = 0 ] || fail "debootstrap needs root: sudo $0 $*"
command -v debootstrap >/dev/null || fail "\`debootstrap\` is not installed: apt-get install debootstrap"
scripts=/usr/share/debootstrap/scripts
[ -e "$scripts/$suite" ] || fail "debootstrap knows no suite \`$suite\`; a newer debootstrap may"
[ -n "$node" ] || command -v npm >/dev/null ||
    fail "\`npm\` is not installed, which has Node's program: name one, as in \`$0 $output /usr/bin/node\`"
[ -z "$node" ] || [ -x "$node" ] || fail "\`$node\` is no program"

mkdir -p "$(dirname "$output")"
work=$(mktemp -d "$(dirname "$output")/.base.XXXXXX")
root=$work/root
child=
# However it ends: debootstrap first, then what it has mounted, then the files of this file system.
finish() {
    trap '' INT TERM HUP
    [ -z "$child" ] || kill -TERM -- "-$child" 2>/dev/null || true
    wait
    for mounted in proc sys dev; do
        umount --quiet --recursive "$root/$mounted" 2>/dev/null || true
    done
    rm -rf --one-file-system "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Runs a command so that a signal is heard at once, its output kept for an error.
logged() {
    local code=0
    set -m
    "$@" >"$work/log" 2>&1 &
    child=$!
    set +m
    wait "$child" || code=$?
    child=
    [ "$code" = 0 ] || { tail -n 20 "$work/log" >&2; fail "\`$1\` failed with exit code $code"; }
}

if [ -z "$node" ]; then
    case "$(uname -m)" in
        x86_64) machine=x64 ;;
        aarch64) machine=arm64 ;;
        *) fail "npm has no Node for $(uname -m): name a program as the second argument" ;;
    esac
    logged npm install --prefix "$work/npm" --no-audit --no-fund --loglevel=error --no-save "node-linux-$machine@${NODE_VERSION:-24}"
    node=$work/npm/node_modules/node-linux-$machine/bin/node
fi

# This machine's own mirror has the suite when both are of one distribution, which a suite's
# script tells; anything else comes from where debootstrap thinks.
mirror=${MIRROR:-}
# shellcheck source=/dev/null
own=$(. /etc/os-release && echo "${VERSION_CODENAME:-none}")
if [ -z "$mirror" ] && [ "$(readlink -f "$scripts/$suite")" = "$(readlink -f "$scripts/$own")" ]; then
    # shellcheck disable=SC2016 # apt fills it in
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v -m1 security || true)
fi
components=main
# Ubuntu has nginx and OpenVPN elsewhere.
[ "$(basename "$(readlink -f "$scripts/$suite")")" != gutsy ] || components=main,universe
read -ra more <<<"${PACKAGES:-}"
packages=$(cat "$here/packages.txt" - < <(printf '%s\n' "${more[@]}") | sed '/^$/d' | paste -sd,)
logged debootstrap --variant=minbase --components="$components" --include="$packages" "$suite" "$root" ${mirror:+"$mirror"}

install -m 755 "$node" "$root/usr/local/bin/node"
for program in "node --version" "nginx -v"; do
    # shellcheck disable=SC2086 # a program and its option
    logged chroot "$root" $program
done
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/*.log \
    "$root"/usr/share/{doc,man,info,locale}/* "$root/etc/nginx/sites-enabled/default"
tar -C "$root" --numeric-owner --one-file-system -cf "$work/base.tar" .
mv "$work/base.tar" "$output"
echo "$output: $suite, node $(chroot "$root" node --version), $(du -h "$output" | cut -f1)"
