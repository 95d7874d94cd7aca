//! Which client gets which address: `lockgate-agent vpn-address`, started by openvpn for
//! each client that comes or goes.
//!
//! All clients have one certificate, and openvpn's own memory of addresses goes by its name.
//! So a client is known by where it comes from, and by the hardware address that it tells, where
//! it does. Neither is proof of anything: an address in use is never taken from whoever has
//! it, and what is remembered only decides among free ones.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};

use lockgate_model::ports;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::kept::write_private;

/// The name of the hidden command.
pub(super) const NAME: &str = "vpn-address";

const TABLE: &str = "table.json";
const LOCK: &str = "lock";

/// More are not remembered: those that have been away longest are forgotten.
const MOST: usize = 1024;

/// A client tells it; more of it is not looked at.
const MOST_BYTES: usize = 64;

/// `vpn-address FOLDER connect FILE`, `vpn-address FOLDER disconnect`
#[derive(Debug, clap::Args)]
pub(crate) struct AddressArgs {
    /// The folder in which addresses are remembered.
    folder: PathBuf,
    /// What happens.
    what: What,
    /// Where openvpn reads what the client shall be told.
    answer: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    Connect,
    Disconnect,
}

/// Why there is no address.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AddressError {
    /// The folder or a file in it.
    #[error("cannot use `{path}`")]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// 65,533 clients at once.
    #[error(
        "every address of {}/{} is in use",
        ports::VPN_NETWORK,
        ports::VPN_PREFIX
    )]
    NoneLeft,
    /// Not started by openvpn.
    #[error("`{0}` is not set: only openvpn starts this command")]
    Variable(&'static str),
}

/// Does what openvpn asks for.
pub(crate) fn address(args: &AddressArgs) -> Result<(), AddressError> {
    let folder = Folder::lock(&args.folder)?;
    let mut table = folder.read();
    match args.what {
        What::Connect => {
            let from = told("trusted_ip").or_else(|| told("trusted_ip6"));
            let from = from.ok_or(AddressError::Variable("trusted_ip"))?;
            let hardware = told("IV_HWADDR").unwrap_or_default();
            let address = table.take(&identity(&from, &hardware))?;
            folder.write(&table)?;
            let answer = args.answer.as_deref().unwrap_or(Path::new("/dev/null"));
            fs::write(answer, format!("ifconfig-push {address} 255.255.0.0\n"))
                .map_err(failed(answer))
        }
        What::Disconnect => {
            let address = told("ifconfig_pool_remote_ip").and_then(|it| it.parse().ok());
            table.free(address.ok_or(AddressError::Variable("ifconfig_pool_remote_ip"))?);
            folder.write(&table)
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "openvpn tells of its clients by the environment of this command alone"
)]
fn told(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn identity(from: &str, hardware: &str) -> String {
    let mut identity = format!("{from} {hardware}");
    while identity.len() > MOST_BYTES {
        identity.pop();
    }
    identity
}

/// Makes the folder for this user, and has every address free: no client is connected.
pub(super) fn prepare(path: &Path, owner: Option<(u32, u32)>) -> Result<(), AddressError> {
    let made = fs::DirBuilder::new().mode(0o700).create(path);
    match made {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            return Err(failed(path)(source));
        }
        _ => {}
    }
    let (user, group) = owner.unwrap_or((0, 0));
    chown(path, Some(user), Some(group)).map_err(failed(path))?;
    let folder = Folder::lock(path)?;
    let lock = path.join(LOCK);
    chown(&lock, Some(user), Some(group)).map_err(failed(&lock))?;
    let mut table = folder.read();
    for entry in &mut table.entries {
        entry.in_use = false;
    }
    folder.write(&table)
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> AddressError {
    let path = path.to_owned();
    move |source| AddressError::File { path, source }
}

/// The folder, locked: clients come at the same time.
struct Folder {
    path: PathBuf,
    _lock: Flock<File>,
}

impl Folder {
    fn lock(path: &Path) -> Result<Self, AddressError> {
        let lock = path.join(LOCK);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock)
            .map_err(failed(&lock))?;
        let locked = Flock::lock(file, FlockArg::LockExclusive);
        let locked = locked.map_err(|(_, errno): (_, Errno)| failed(&lock)(errno.into()))?;
        Ok(Self {
            path: path.to_owned(),
            _lock: locked,
        })
    }

    /// A table that cannot be read is an empty one: clients shall connect.
    fn read(&self) -> Table {
        let text = fs::read(self.path.join(TABLE)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    fn write(&self, table: &Table) -> Result<(), AddressError> {
        let path = self.path.join(TABLE);
        let write = || {
            write_private(&path, &serde_json::to_vec(table)?)?;
            // The agent writes it as root, and openvpn's user reads it.
            let owner = fs::metadata(&self.path)?;
            chown(&path, Some(owner.uid()), Some(owner.gid()))
        };
        write().map_err(failed(&path))
    }
}

/// Who had which address.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Table {
    /// Counts clients that came.
    came: u64,
    entries: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    identity: String,
    address: Ipv4Addr,
    in_use: bool,
    /// The number of the client that came last.
    last: u64,
}

impl Table {
    /// The address that this client had and nobody has now; else the lowest that nobody had.
    fn take(&mut self, identity: &str) -> Result<Ipv4Addr, AddressError> {
        self.came += 1;
        let had = |entry: &&mut Entry| !entry.in_use && entry.identity == identity;
        if let Some(entry) = self.entries.iter_mut().find(had) {
            entry.in_use = true;
            entry.last = self.came;
            return Ok(entry.address);
        }
        if self.entries.len() >= MOST {
            self.forget_one();
        }
        let address = self.fresh().ok_or(AddressError::NoneLeft)?;
        self.entries.push(Entry {
            identity: identity.to_owned(),
            address,
            in_use: true,
            last: self.came,
        });
        Ok(address)
    }

    fn free(&mut self, address: Ipv4Addr) {
        for entry in &mut self.entries {
            entry.in_use &= entry.address != address;
        }
    }

    fn forget_one(&mut self) {
        let free = self.entries.iter().enumerate().filter(|(_, it)| !it.in_use);
        if let Some((at, _)) = free.min_by_key(|(_, entry)| entry.last) {
            self.entries.swap_remove(at);
        }
    }

    fn fresh(&self) -> Option<Ipv4Addr> {
        let taken: std::collections::BTreeSet<u32> =
            self.entries.iter().map(|it| it.address.to_bits()).collect();
        let first = ports::VPN_GATEWAY.to_bits() + 1;
        let last = ports::VPN_NETWORK.to_bits() | (u32::MAX >> ports::VPN_PREFIX);
        (first..last)
            .find(|address| !taken.contains(address))
            .map(Ipv4Addr::from_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(table: &mut Table, identity: &str) -> String {
        table.take(identity).unwrap().to_string()
    }

    #[test]
    fn a_client_that_comes_back_has_its_address_again() {
        let mut table = Table::default();
        assert_eq!(take(&mut table, "a"), "172.16.0.2");
        assert_eq!(take(&mut table, "b"), "172.16.0.3");
        table.free(Ipv4Addr::new(172, 16, 0, 2));
        assert_eq!(take(&mut table, "c"), "172.16.0.4");
        assert_eq!(take(&mut table, "a"), "172.16.0.2");
    }

    #[test]
    fn nobody_takes_an_address_that_is_in_use() {
        let mut table = Table::default();
        assert_eq!(take(&mut table, "a"), "172.16.0.2");
        assert_eq!(take(&mut table, "a"), "172.16.0.3");
    }

    #[test]
    fn who_has_been_away_longest_is_forgotten_first() {
        let mut table = Table::default();
        for client in 0..MOST {
            table.take(&format!("{client}")).unwrap();
        }
        let second = table.entries[1].address;
        table.free(second);
        assert_eq!(table.take("new").unwrap(), second);
        assert_eq!(table.entries.len(), MOST);
    }

    #[test]
    fn after_a_restart_every_address_is_free_and_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("addresses");
        let owner = fs::metadata(dir.path()).unwrap();
        let owner = Some((owner.uid(), owner.gid()));
        prepare(&path, owner).unwrap();
        let folder = Folder::lock(&path).unwrap();
        let mut table = folder.read();
        let (a, b) = (take(&mut table, "a"), take(&mut table, "b"));
        folder.write(&table).unwrap();
        drop(folder);
        prepare(&path, owner).unwrap();
        let mut table = Folder::lock(&path).unwrap().read();
        assert_eq!((take(&mut table, "b"), take(&mut table, "a")), (b, a));
    }
}
