//! Benchmarks: each mechanism beside its alternative, in one run.
//!
//! Results are printed, never asserted: a figure belongs to the machine it was
//! measured on, which is named below every table. Contenders take turns, round by
//! round, so that what else the machine does meets all of them.
//!
//! A benchmark whose alternative is not installed says so and measures the rest.

mod application;
mod bare;
mod boot;
mod clock;
mod deploy;
mod docker_start;
mod engine;
mod environment;
mod error;
mod home;
mod http;
mod machine;
mod nginx;
mod pack;
mod pool;
mod process;
mod proxy;
mod reload;
mod rest;
mod samples;
mod sequence;
mod serve;
mod table;
mod usage;
mod validate;
mod vpn;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use crate::table::print;

/// Measures Lockgate beside what it replaces, and prints medians with [min–max].
#[derive(Debug, Parser)]
#[command(name = "lockgate-bench", version)]
struct Options {
    /// What to measure.
    #[arg(value_enum, default_value_t = What::All)]
    what: What,
    /// Rounds of each measurement; contenders take turns within a round.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// A look in a minute instead of figures: one round, few reloads.
    #[arg(long)]
    quick: bool,
    /// The workspace with the built application.
    #[arg(long, default_value = "examples/gateway")]
    workspace: PathBuf,
    /// The folder of `lockgate` and `lockgate-agent`.
    #[arg(long, env = "LOCKGATE_BIN_DIR", default_value = "target/release")]
    bin_dir: PathBuf,
    /// The base image that `docker-start` and `pool` build from, in the engine of `DOCKER_HOST`.
    #[arg(long, env = "LOCKGATE_TEST_BASE")]
    base: Option<String>,
    /// Whether nobody shares its network: `vpn` takes some names and addresses for itself.
    #[arg(long, env = "LOCKGATE_ALONE", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    alone: bool,
    /// The folder of the shell sequence that `deploy` measures itself against.
    #[arg(long, default_value = "bench/sequence")]
    sequence: PathBuf,
    /// The scan with regular expressions that `validate` measures itself against.
    #[arg(long, default_value = "bench/validate/scan.cjs")]
    scan: PathBuf,
}

/// A benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Files to tar.gz: ours beside `tar czf`.
    Pack,
    /// A bundle judged: ours beside regular expressions in node.
    Validate,
    /// The archive to eight clients: ours beside nginx and python3.
    Serve,
    /// Requests through both doors: ours beside nginx in both places.
    Proxy,
    /// A written bundle to new code on three gateways: ours beside bare starts and a shell sequence.
    Deploy,
    /// Reloads under load: lost requests and pauses, ours beside the shell sequence.
    Reload,
    /// The example's start to its first answer, with and without a compile cache.
    Boot,
    /// An agent at rest: memory and wake-ups, beside tini and s6-supervise.
    Rest,
    /// A gateway container's cold start, beside the base image with the smallest server.
    DockerStart,
    /// A deploy to three and to twenty containers, phase by phase.
    Pool,
    /// A VPN from nothing to the first ping, beside `openssl dhparam`; fifty clients at once.
    Vpn,
    /// All of them.
    All,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let mut failed = false;
    for (what, run) in [
        (What::Pack, pack::pack as fn(&Options) -> _),
        (What::Validate, validate::validate),
        (What::Serve, serve::serve),
        (What::Proxy, proxy::proxy),
        (What::Deploy, deploy::deploy),
        (What::Reload, reload::reload),
        (What::Boot, boot::boot),
        (What::Rest, rest::rest),
        (What::DockerStart, docker_start::docker_start),
        (What::Pool, pool::pool),
        (What::Vpn, vpn::vpn),
    ] {
        if options.what != What::All && options.what != what {
            continue;
        }
        match run(&options) {
            Ok(tables) => {
                for table in tables {
                    print(&table.render());
                }
            }
            Err(error) => {
                failed = true;
                print(&error.rendered());
            }
        }
    }
    print(&machine::line());
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
