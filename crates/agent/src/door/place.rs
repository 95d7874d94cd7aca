//! Takes the door's ports before anything runs.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use lockgate_model::{environment as var, ports};
use tracing::warn;

use super::Driver;
use crate::config::Config;
use crate::error::CommandError;
use crate::listeners::{Expected, who_has};
use crate::process::{Mark, in_words, sweep};

/// What a driver needs to open the door.
#[derive(Debug)]
pub(crate) enum Taken {
    /// Bound sockets.
    Embedded(Vec<TcpListener>),
    /// nginx binds them itself.
    Nginx {
        /// Its program.
        program: PathBuf,
        /// Addresses that were free a moment ago.
        listen: Vec<SocketAddr>,
    },
}

/// Folders in which system programs lie, where `PATH` does not name them.
const SYSTEM_FOLDERS: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin";

/// Takes the ports. The folder of the agent's state must be locked: what an agent that
/// was killed has left on a port is ended.
pub(crate) fn take(config: &Config) -> Result<Taken, CommandError> {
    let program = match config.driver {
        Driver::Embedded => None,
        Driver::Nginx => Some(nginx_program(config)?),
    };
    // The supervisor does so too, but only once the ports are taken.
    let left = sweep(&Mark::of_state(&config.state()));
    if !left.is_empty() {
        let left = in_words(&left).join(", ");
        warn!(left, "killed what an earlier agent had left behind");
    }
    let mut listeners = vec![listen(config.door).map_err(|error| cannot_listen(config, &error))?];
    if let Some(addr) = config.door_in_vpn {
        match listen(addr) {
            Ok(listener) => listeners.push(listener),
            Err(error) => warn!(
                %error,
                holder = holder(config, addr, &error),
                "cannot listen on {addr}: user containers do not reach the gateway at {}",
                ports::VPN_GATEWAY
            ),
        }
    }
    Ok(match program {
        None => Taken::Embedded(listeners),
        Some(program) => Taken::Nginx {
            program,
            listen: listeners
                .iter()
                .filter_map(|listener| listener.local_addr().ok())
                .collect(),
        },
    })
}

/// Where the door should listen.
pub(crate) fn listens(config: &Config) -> Vec<Expected> {
    let what = format!("door ({})", config.driver.as_str());
    let all = [Some(config.door), config.door_in_vpn];
    let all = all.into_iter().flatten();
    all.map(|addr| Expected::tcp(what.clone(), addr)).collect()
}

fn cannot_listen(config: &Config, error: &io::Error) -> CommandError {
    let addr = config.door;
    let failed = CommandError::failed(format!("cannot listen on the gateway's port {addr}"));
    let failed = failed.because(error);
    let failed = match holder(config, addr, error) {
        Some(holder) => failed.cause(holder),
        None => failed,
    };
    failed.hint(format!(
        "`{}` says the port; is another process using it?",
        var::GATEWAY_HTTP_PORT
    ))
}

/// Who has the address, where somebody does.
fn holder(config: &Config, addr: SocketAddr, error: &io::Error) -> Option<String> {
    let is_taken = error.kind() == io::ErrorKind::AddrInUse;
    is_taken.then(|| who_has(addr, &config.state()))?
}

fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(addr)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn nginx_program(config: &Config) -> Result<PathBuf, CommandError> {
    let own = config.environment.iter().find(|(name, _)| name == "PATH");
    let own = own.map(|(_, value)| value.to_string_lossy().into_owned());
    let folders = format!("{}:{SYSTEM_FOLDERS}", own.unwrap_or_default());
    folders
        .split(':')
        .filter(|folder| folder.starts_with('/'))
        .map(|folder| Path::new(folder).join("nginx"))
        .find(|program| program.is_file())
        .ok_or_else(|| {
            CommandError::configuration(format!(
                "`{}` is `nginx`, and no `nginx` is installed here",
                var::LOCKGATE_DOOR
            ))
            .cause(format!("it is in none of `{folders}`"))
            .hint(format!(
                "install it, or set `{}=embedded`: the agent serves the door itself then",
                var::LOCKGATE_DOOR
            ))
        })
}
