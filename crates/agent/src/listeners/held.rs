//! Which processes hold a socket: `/proc/PID/fd` names sockets by their number.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use lockgate_model::Holder;

use super::Found;
use super::table::Socket;
use crate::process::program_name;

/// The sockets with who holds each. A process of another user may keep its descriptors to itself;
/// it is left out then.
pub(super) fn find(sockets: Vec<Socket>, is_own: impl Fn(u32, &Path) -> bool) -> Vec<Found> {
    let mut holders: BTreeMap<u64, Vec<Holder>> = sockets
        .iter()
        .map(|socket| (socket.inode, Vec::new()))
        .collect();
    for pid in pids() {
        let mut known: Option<Holder> = None;
        for inode in sockets_of(pid) {
            let Some(holders) = holders.get_mut(&inode) else {
                continue;
            };
            let holder = known.get_or_insert_with(|| {
                let folder = Path::new("/proc").join(pid.to_string());
                Holder {
                    pid,
                    name: program_name(&folder),
                    own: is_own(pid, &folder),
                }
            });
            // It may hold one socket by several descriptors.
            if holders.last().is_none_or(|last| last.pid != pid) {
                holders.push(holder.clone());
            }
        }
    }
    let found = |socket: Socket| Found {
        transport: socket.transport,
        address: socket.address,
        processes: holders.get(&socket.inode).cloned().unwrap_or_default(),
    };
    sockets.into_iter().map(found).collect()
}

fn pids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    let mut pids: Vec<u32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    pids
}

/// The numbers of a process's sockets.
fn sockets_of(pid: u32) -> Vec<u64> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"));
    let links = entries.into_iter().flatten();
    let inode = |entry: std::io::Result<fs::DirEntry>| {
        let link = fs::read_link(entry.ok()?.path()).ok()?;
        let number = link.to_str()?.strip_prefix("socket:[")?;
        number.strip_suffix(']')?.parse().ok()
    };
    links.filter_map(inode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listeners::table;

    #[test]
    fn a_socket_is_held_by_the_process_that_made_it() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let _another = listener.try_clone().unwrap();
        let address = listener.local_addr().unwrap();
        let own = std::process::id();
        let found = find(table::read(), |pid, _| pid == own);
        let ours = found.iter().find(|one| one.address == address).unwrap();
        let [holder] = ours.processes.as_slice() else {
            panic!("{ours:?}");
        };
        assert_eq!((holder.pid, holder.own), (own, true));
        assert!(holder.name.starts_with("lockgate"), "{holder:?}");
    }
}
