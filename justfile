# One word a check; `./test.sh` and CI run the same words.

set shell := ["bash", "-euo", "pipefail", "-c"]

target := "target/" + arch() + "-unknown-linux-gnu/release"

# Lists the words
list:
    @just --list --unsorted

# Every check, in the order in which they fail fastest
check: fmt walls lint deny doc first test fuzz preload e2e docker

# Formatting is rustfmt's
fmt:
    cargo fmt --all --check

# Clippy, with every warning an error
lint:
    cargo clippy --locked --workspace --all-targets -- -D warnings

# The crate walls: who may import whom
walls:
    scripts/walls.sh

# Licences, banned crates, sources
deny:
    cargo deny --locked check licenses bans sources

# The documentation builds without a warning
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items

# Node 22 and 24 beside the default one, installed once
nodes:
    scripts/nodes.sh

# Bundles with and without front-end code, by the tools of the field
corpus:
    scripts/corpus.sh

# Tests are built for the whole workspace, whichever of them run: other selections would mean other
# features of the same crates, and build all of them again. The programs that journeys start come along.

# Unit and component tests
test: nodes corpus
    cargo nextest run --locked --workspace -E 'not package(lockgate-e2e)'

# Readers of what others wrote, fed with what nobody would write: 8 seconds each, or `just fuzz SECONDS`
fuzz *seconds:
    scripts/fuzz.sh {{seconds}}

# The preload under each Node that is supported
preload:
    scripts/preload-tests.sh

# The example application, built once, again when its sources change
example:
    scripts/example.sh

# Journeys with real processes
e2e: example nodes
    cargo nextest run --locked --workspace -E 'package(lockgate-e2e) & not binary(/^(docker|image)$/)'

# Journeys with gateways in containers, beside a Docker engine of their own; needs root
docker *filter: example
    cargo nextest run --locked --workspace --no-run
    scripts/docker-journeys.sh {{filter}}

# README's first command, as a new user would run it
first:
    scripts/first-command.sh

# Both programs, static, in one release build
build:
    RUSTFLAGS="-C target-feature=+crt-static" cargo build --locked --release --target {{arch()}}-unknown-linux-gnu -p lockgate -p lockgate-agent
    @ls -l {{target}}/lockgate {{target}}/lockgate-agent

# `docker-start` and `pool` measure on a Docker engine of their own, `vpn` in a network of its own; they need root.
# Benchmarks: `just bench pack`, `serve`, `proxy`, `deploy`, `reload`, `boot`, `rest`, `docker-start`, `pool`, `vpn` or `all`; `--quick` for a look
bench *what="all": build example
    cargo build --locked --release -p lockgate-bench
    LOCKGATE_BIN_DIR={{target}} {{ if what =~ '^(docker-start|pool)' { "scripts/engine.sh" } else if what =~ '^vpn' { "scripts/alone.sh" } else { "" } }} target/release/lockgate-bench {{what}}
