//! What there is of this machine.

use std::path::{Path, PathBuf};

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};

use super::super::check::{Check, Finding, Group};
use super::super::machine::{self, Agent, Need, Node};
use super::{Facts, apart, find, of_files, version_of};
use crate::environment::RuntimeKind;

const GROUP: Group = Group::Machine;
/// This program's version, which the agent has to have, too.
const OWN: &str = env!("CARGO_PKG_VERSION");

pub(super) async fn look(facts: &Facts<'_>) -> Vec<Check> {
    let own = Check::new(GROUP, "lockgate", Finding::ok(OWN));
    let home = facts.ctx.config.home.clone();
    let rest = of_files(GROUP, "disk", move || {
        let mut checks = vec![room(home.dir())];
        if !same_disk(home.dir(), home.builds()) {
            checks.push(room(home.builds()));
        }
        checks.extend([watches(), files()]);
        let seen = home.look_at_sockets();
        let writable = can_write(home.sockets());
        let sockets = machine::sockets(home.sockets(), &seen, writable);
        checks.push(Check::new(GROUP, "sockets", sockets));
        checks
    });
    let (agent, node, rest) = tokio::join!(agent(&facts.ctx.config.agent), node(facts), rest);
    let mut all = vec![own, agent, node];
    all.extend(rest);
    all
}

async fn agent(path: &Path) -> Check {
    let file = path.to_owned();
    let seen = match apart(move || std::fs::metadata(file)).await {
        None => Agent::Silent("its file does not answer".to_owned()),
        Some(Err(error)) => Agent::Missing(error),
        Some(Ok(_)) => match version_of(path).await {
            Ok(lines) => Agent::Said(lines),
            Err(why) => Agent::Silent(why),
        },
    };
    Check::new(GROUP, "agent", machine::agent(path, &seen, OWN))
}

async fn node(facts: &Facts<'_>) -> Check {
    let mut kinds = facts.environments.iter().map(|it| it.runtime);
    let need = if kinds.clone().any(|it| it == RuntimeKind::Local) {
        Need::Gateways
    } else if kinds.next().is_none() {
        Need::Perhaps
    } else {
        Need::Nobody
    };
    let path = facts.ctx.config.of_user("PATH").cloned();
    let seen = match apart(move || find(path.as_deref(), "node")).await.flatten() {
        None => Node::Missing,
        Some(program) => match version_of(&program).await {
            Ok(lines) => Node::Said(program, lines.concat()),
            Err(why) => Node::Silent(program, why),
        },
    };
    Check::new(GROUP, "node", machine::node(need, &seen))
}

fn room(folder: &Path) -> Check {
    let seen = statvfs(&existing(folder)).map_err(|error| error.to_string());
    let free = seen.map(|it| it.blocks_available().saturating_mul(it.fragment_size()));
    Check::new(GROUP, "disk", machine::room(folder, &free))
}

/// The folder, or the one that it would be made in.
fn existing(folder: &Path) -> PathBuf {
    let found = folder.ancestors().find(|it| it.exists());
    found.unwrap_or(Path::new("/")).to_owned()
}

fn same_disk(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let disk = |folder: &Path| std::fs::metadata(existing(folder)).ok().map(|it| it.dev());
    disk(one) == disk(other)
}

fn can_write(folder: &Path) -> bool {
    access(&existing(folder), AccessFlags::W_OK | AccessFlags::X_OK).is_ok()
}

fn watches() -> Check {
    let read = |name: &str| {
        let path = Path::new("/proc/sys/fs/inotify").join(name);
        std::fs::read_to_string(path).ok()?.trim().parse().ok()
    };
    let (most, instances) = (read("max_user_watches"), read("max_user_instances"));
    Check::new(GROUP, "watching", machine::watches(most, instances))
}

fn files() -> Check {
    let seen = getrlimit(Resource::RLIMIT_NOFILE).map_err(|error| error.to_string());
    Check::new(GROUP, "open files", machine::files(&seen))
}
