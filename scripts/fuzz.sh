#!/usr/bin/env bash
# Feeds the readers of what others wrote with what nobody would write, each for a while.
#   scripts/fuzz.sh                  8 seconds each, with the same start every time
#   scripts/fuzz.sh SECONDS [NAME…]  longer, or some of them, each time with another start
# What is found lies in fuzz/artifacts and ends the same program again:
#   fuzz/target/release/NAME fuzz/artifacts/NAME/crash-…
set -euo pipefail
cd "$(dirname "$0")/../fuzz"

seconds=${1:-8}
seed=(-seed=1)
[ $# = 0 ] || { shift; seed=(); }
[ $# -gt 0 ] || set -- bundle map metafile secrets sources

RUSTC_WRAPPER="$PWD/instrument.sh" cargo build --locked --quiet --release

failed=()
for name in "$@"; do
    mkdir -p "corpus/$name" "artifacts/$name"
    log=artifacts/$name.log
    if "target/release/$name" "corpus/$name" "seeds/$name" "${seed[@]}" \
        -artifact_prefix="artifacts/$name/" -max_total_time="$seconds" -timeout=10 \
        -print_final_stats=1 >"$log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        echo "fuzz: $name: nothing in $runs runs of $seconds s"
    else
        tail -n 40 "$log"
        echo "fuzz: $name: FOUND; all of it in fuzz/$log"
        failed+=("$name")
    fi
done
[ ${#failed[@]} = 0 ]
