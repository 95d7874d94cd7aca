//! `lockgate`, the program on the host: environments, builds, deploys and what one sees of them.
//!
//! ```text
//! cli ─▶ context ─▶ commands ─┬▶ workspace ─▶ deploy ─▶ lockgate-builds
//!                             ├▶ environment, runtime, server
//!                             └▶ views ─▶ the terminal, or JSON
//! ```

mod cli;
mod config;
mod context;
mod error;

mod certificates;
mod home;
mod names;
mod trust;

mod environment;
mod runtime;
mod server;

mod adoption;

mod image;

mod deploy;
mod watch;
mod workspace;

mod commands;
mod views;

use std::process::ExitCode;

fn main() -> ExitCode {
    commands::run()
}
