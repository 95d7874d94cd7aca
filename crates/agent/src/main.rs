//! `lockgate-agent`: the program in the gateway.
//!
//! It converges to the statement meant for its gateway: fetches the build, starts
//! it, keeps it running, and tells what it really runs.
//!
//! ```text
//!   build server ══ HTTP ══▶ converge ──Target──▶ supervisor ──▶ node
//!        ▲                    │    ▲                  │
//!        └────── report ◀─────┴────┴──── Snapshot ◀───┤
//!                                                     ▼
//!   clients ═══════════════════════════════════════▶ door
//!   user containers ═══════════════════════════════▶ vpn
//! ```

mod arenas;
mod check;
mod cli;
mod commands;
mod error;

mod config;
mod state;

mod config_conf;
mod converge;
mod hosts;
mod release;
mod report;
mod server;
mod shims;

mod control;
mod door;
mod vpn;

mod exec_step;
mod gate;
mod inspect;
mod listener;
mod listeners;
mod logs;
mod memory;
mod open_files;
mod preload;
mod probe;
mod process;
mod reaper;
mod supervisor;
mod trust;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
