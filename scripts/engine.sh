#!/usr/bin/env bash
# Runs a command beside a Docker engine of its own: scripts/engine.sh COMMAND [ARGUMENT…]
#
# Engine, containers, command and everything they start live in fresh namespaces for
# network, mounts and processes, which end with the command or with this script: no
# container, bridge, firewall rule or daemon is left, and another engine of this machine
# is not touched. Two of them may run side by side. Images stay below target/engine. The command finds the engine by
# DOCKER_HOST, its process by the file `pid` beside that socket, and the base of the gateway image by LOCKGATE_TEST_BASE. Needs root.
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
place=$top/target/engine
[ $# -gt 0 ] || { echo "usage: scripts/engine.sh COMMAND [ARGUMENT…]" >&2; exit 2; }

if [ "${LOCKGATE_ENGINE_INSIDE:-}" != yes ]; then
    [ "$(id -u)" = 0 ] || { echo "error: a Docker engine of our own needs root" >&2; exit 1; }
    for program in dockerd debootstrap ip iptables; do
        command -v "$program" >/dev/null || { echo "error: \`$program\` is not installed: scripts/setup.sh checks" >&2; exit 1; }
    done
    mkdir -p "$place"
    # The base is made where there is a network, once for each list of packages.
    base=$place/base-$(cat "$top"/image/{packages.txt,base.sh} | sha256sum | cut -c1-12)
    exec 9>"$place/base.lock"
    flock 9
    if [ ! -e "$base.tar" ]; then
        echo "engine: making the base image from Debian's packages"
        "$top/image/base.sh" "$base.tar" ${LOCKGATE_TEST_NODE:+"$LOCKGATE_TEST_NODE"}
    fi
    # Each engine has a folder of its own; a third one waits.
    data=$place/data
    exec 9>"$data.lock"
    if ! flock -n 9; then
        data=$place/data-2
        exec 9>"$data.lock"
        flock 9
    fi
    # Sockets have short paths.
    run=$(mktemp -d /tmp/lgengine.XXXXXX)
    trap 'rm -rf "$run"' EXIT
    LOCKGATE_ENGINE_INSIDE=yes LOCKGATE_ENGINE_RUN=$run LOCKGATE_ENGINE_BASE=$base LOCKGATE_ENGINE_DATA=$data \
        setpriv --pdeathsig KILL unshare --net --mount --pid --fork --mount-proc --kill-child "$0" "$@" 9>&-
    exit
fi

run=$LOCKGATE_ENGINE_RUN base=$LOCKGATE_ENGINE_BASE data=$LOCKGATE_ENGINE_DATA
unset LOCKGATE_ENGINE_INSIDE LOCKGATE_ENGINE_RUN LOCKGATE_ENGINE_BASE LOCKGATE_ENGINE_DATA
ip link set lo up
export DOCKER_HOST=unix://$run/docker.sock
# As under an init, an engine that ends comes back: journeys restart it.
: >"$data.log"
keep_engine() {
    until [ -e "$run/ended" ]; do
        dockerd --data-root "$data" --exec-root "$run/exec" --pidfile "$run/pid" --host "$DOCKER_HOST" \
            --bip 172.17.0.1/16 >>"$data.log" 2>&1 || true
        sleep 0.2
    done
}
keep_engine &
keeper=$!
deadline=$((SECONDS + 30))
until docker version >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] ||
        { tail -n 30 "$data.log" >&2; echo "error: the Docker engine does not start" >&2; exit 1; }
    sleep 0.1
done
# What an interrupted run left in the data folder.
docker ps -aq | xargs -r docker rm -f >/dev/null
export LOCKGATE_TEST_BASE=lockgate-test/base:${base##*-}
docker image inspect "$LOCKGATE_TEST_BASE" >/dev/null 2>&1 ||
    docker import --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' "$base.tar" "$LOCKGATE_TEST_BASE" >/dev/null

code=0
"$@" || code=$?
# In good order, so that the data folder is whole for the next run.
docker ps -aq | xargs -r docker rm -f >/dev/null
touch "$run/ended"
kill "$(cat "$run/pid")" && wait "$keeper" || true
exit "$code"
