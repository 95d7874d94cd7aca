#!/bin/sh
# Cargo's wrapper of rustc: what is fuzzed tells which of its branches were taken, by the flags
# of cargo-fuzz without a sanitizer, which stable Rust takes too. All else is built as it is.
case " $* " in
*" --crate-name lockgate_builds "* | *" --crate-name oxc_parser "* | *" --crate-name serde_json "*)
    set -- "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
        -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
esac
exec "$@"
