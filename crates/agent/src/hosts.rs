//! The names of the host's front door in the gateway's own hosts file.
//!
//! ```text
//! the server's file, `https://ADDRESS:PORT` ─┐
//! DOMAIN, the statement's organization ──────┴─▶ block ─▶ /etc/hosts, written in place
//! ```
//!
//! Only the block between two marker lines is the agent's. The file is an engine's mount in a
//! container, so it cannot be replaced by another; where it cannot be written, that is a problem
//! to be shown and nothing else. A gateway that has no file of its own is not told of any.

mod block;

use std::fs::OpenOptions;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use lockgate_model::{GANYMEDE, ORGANIZATION_PREFIX, OrganizationId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::block::{Block, rewritten};
use crate::converge::View;
use crate::server::Servers;

/// Keeps the block.
#[derive(Debug)]
pub(crate) struct Hosts {
    /// The file; without one nothing is done.
    file: Option<PathBuf>,
    servers: Servers,
    domain: String,
    /// Why the names do not lead to the front door.
    problem: watch::Sender<Option<String>>,
}

/// A block that could not be brought into the file.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{path}` cannot be {act}, so names of `{domain}` do not lead to the front door here: {source}"
)]
struct HostsError {
    path: PathBuf,
    act: &'static str,
    domain: String,
    source: io::Error,
}

/// What of a view the names depend on; contact made anew means that the server may have moved.
#[derive(Debug, PartialEq, Eq)]
struct Known {
    organization: Option<String>,
    contacts: u64,
}

impl Known {
    fn of(view: &View) -> Self {
        Self {
            organization: view.organization.clone(),
            contacts: view.contacts,
        }
    }
}

impl Hosts {
    /// The names of this domain (a port behind it does not count), in this file.
    pub(crate) fn new(file: Option<PathBuf>, servers: Servers, domain: &str) -> Self {
        Self {
            file,
            servers,
            domain: domain.split(':').next().unwrap_or_default().to_owned(),
            problem: watch::Sender::new(None),
        }
    }

    /// Why the names do not lead to the front door, as it changes.
    pub(crate) fn problem(&self) -> watch::Receiver<Option<String>> {
        self.problem.subscribe()
    }

    /// Brings the block to what it should be for an organization; says once what keeps it from that.
    pub(crate) fn bring(&self, organization: Option<&str>) {
        let Some(file) = &self.file else {
            return;
        };
        let problem = self.write(file, organization).err();
        let problem = problem.map(|error| error.to_string());
        if *self.problem.borrow() == problem {
            return;
        }
        if let Some(problem) = &problem {
            warn!(%problem, "names of the front door");
        }
        self.problem.send_replace(problem);
    }

    /// Follows what the loop shows until `stop`.
    pub(crate) async fn follow(self, mut views: watch::Receiver<View>, stop: CancellationToken) {
        let mut known = None;
        loop {
            let now = Known::of(&views.borrow_and_update());
            if known.as_ref() != Some(&now) {
                self.bring(now.organization.as_deref());
                known = Some(now);
            }
            tokio::select! {
                () = stop.cancelled() => return,
                changed = views.changed() => if changed.is_err() {
                    return;
                },
            }
        }
    }

    fn write(&self, file: &Path, organization: Option<&str>) -> Result<(), HostsError> {
        let failed = |act| {
            move |source| HostsError {
                path: file.to_owned(),
                act,
                domain: self.domain.clone(),
                source,
            }
        };
        let old = std::fs::read(file).map_err(failed("read"))?;
        let names = names(&self.domain, organization);
        let block = self.servers.front().map(|front| Block {
            address: front.ip(),
            names: &names,
        });
        let new = rewritten(&old, block.as_ref());
        if new == old {
            return Ok(());
        }
        write_in_place(file, &old, &new).map_err(failed("written"))?;
        let address = block.map(|block: Block<'_>| block.address);
        info!(
            address = address.map(tracing::field::display::<IpAddr>),
            ?names,
            "names of the front door"
        );
        Ok(())
    }
}

/// The names that lead to the front door. User containers' are as many as there are containers, and
/// a hosts file knows no wildcard: they are left out.
fn names(domain: &str, organization: Option<&str>) -> Vec<String> {
    let organization = organization.and_then(|id| OrganizationId::parse(id).ok());
    let organization = organization.map(|id| format!("{ORGANIZATION_PREFIX}{id}.{domain}"));
    let site = [domain.to_owned(), format!("{GANYMEDE}.{domain}")];
    site.into_iter().chain(organization).collect()
}

/// Writes what differs from where it does: what stands before, others may be reading.
fn write_in_place(path: &Path, old: &[u8], new: &[u8]) -> io::Result<()> {
    let same = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.seek(SeekFrom::Start(same as u64))?;
    file.write_all(new.get(same..).unwrap_or_default())?;
    file.set_len(new.len() as u64)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    const ID: &str = "0d1b3c5e-0000-4000-8000-00000000000a";

    struct World {
        folder: tempfile::TempDir,
        hosts: Hosts,
    }

    impl World {
        fn new(servers: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = |name: &str| folder.path().join(name);
            fs::write(path("hosts"), "127.0.0.1 localhost\n").unwrap();
            fs::write(path("servers"), servers).unwrap();
            let servers = Servers {
                file: Some(path("servers")),
                given: Vec::new(),
                port: 8090,
            };
            let hosts = Hosts::new(Some(path("hosts")), servers, "dev.test:8443");
            Self { folder, hosts }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn lines(&self) -> Vec<String> {
            let text = fs::read_to_string(self.path("hosts")).unwrap();
            text.lines().map(str::to_owned).collect()
        }
    }

    const SERVERS: &str = "http://172.17.0.1:8090\nhttps://172.17.0.1:443\n";

    #[test]
    fn the_block_follows_organization_and_address_and_goes_with_the_front_door() {
        let world = World::new(SERVERS);
        let inode = || fs::metadata(world.path("hosts")).unwrap().ino();
        let before = inode();
        world.hosts.bring(Some(ID));
        let lines = world.lines();
        assert_eq!(lines[0], "127.0.0.1 localhost");
        let expected = format!("172.17.0.1\tdev.test ganymede.dev.test org-{ID}.dev.test");
        assert_eq!(lines[2], expected);
        world.hosts.bring(None);
        assert_eq!(world.lines()[2], "172.17.0.1\tdev.test ganymede.dev.test");
        fs::write(world.path("servers"), SERVERS.replace("17.0.1", "18.0.5")).unwrap();
        world.hosts.bring(Some("x y"));
        assert_eq!(world.lines()[2], "172.18.0.5\tdev.test ganymede.dev.test");
        fs::write(world.path("servers"), "http://172.17.0.1:8090\n").unwrap();
        world.hosts.bring(Some(ID));
        assert_eq!(world.lines(), ["127.0.0.1 localhost"]);
        assert_eq!((inode(), &*world.hosts.problem.borrow()), (before, &None));
    }

    #[test]
    fn without_a_file_of_its_own_nothing_is_done() {
        let world = World::new(SERVERS);
        let hosts = Hosts::new(None, world.hosts.servers.clone(), "dev.test");
        hosts.bring(Some(ID));
        assert_eq!(*hosts.problem.borrow(), None);
        assert_eq!(world.lines(), ["127.0.0.1 localhost"]);
    }

    #[test]
    fn a_file_that_cannot_be_had_is_a_problem_until_it_can() {
        let world = World::new(SERVERS);
        let mut told = world.hosts.problem();
        fs::rename(world.path("hosts"), world.path("aside")).unwrap();
        world.hosts.bring(None);
        world.hosts.bring(None);
        let problem = told.borrow_and_update().clone().unwrap();
        assert!(
            problem.contains("hosts` cannot be read, so names of `dev.test` do not lead"),
            "{problem}"
        );
        fs::rename(world.path("aside"), world.path("hosts")).unwrap();
        world.hosts.bring(None);
        assert_eq!(*told.borrow(), None);
    }

    #[test]
    fn only_what_differs_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let check = |old: &str, new: &str| {
            fs::write(&path, old).unwrap();
            write_in_place(&path, old.as_bytes(), new.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), new);
        };
        check("same", "same, longer");
        check("same, longer", "same");
        check("abc", "xyz");
        check("", "new");
    }
}
