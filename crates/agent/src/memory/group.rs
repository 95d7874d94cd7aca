//! A cgroup of a test's own, with a limit.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io, thread};

/// A mebibyte.
pub(crate) const MIB: u64 = 1 << 20;

/// A cgroup of version 1 below the test's own, or of version 2 below the root; removed
/// when nobody is in it.
pub(crate) struct Group {
    /// Where `cgroup.procs` is.
    pub(crate) folder: PathBuf,
    limit: &'static str,
}

impl Group {
    /// Needs the right to make one, which root has outside of containers.
    pub(crate) fn new() -> io::Result<Self> {
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let of_memory = own.lines().find_map(|line| line.split_once(":memory:"));
        let (parent, limit) = match of_memory {
            Some((_, own)) => {
                let parent = Path::new("/sys/fs/cgroup/memory").join(own.trim_start_matches('/'));
                (parent, "memory.limit_in_bytes")
            }
            // A cgroup of version 2 that has processes cannot have limited ones below it.
            None => (PathBuf::from("/sys/fs/cgroup"), "memory.max"),
        };
        let folder = parent.join(format!("lockgate-test-{}", std::process::id()));
        fs::create_dir(&folder)?;
        let group = Self { folder, limit };
        if !group.folder.join(limit).exists() {
            fs::write(parent.join("cgroup.subtree_control"), "+memory")?;
        }
        fs::metadata(group.folder.join(limit))?;
        Ok(group)
    }

    /// From now on its processes have so much together.
    pub(crate) fn limit(&self, mib: u64) {
        let file = self.folder.join(self.limit);
        fs::write(file, (mib * MIB).to_string()).unwrap();
    }

    /// A process goes there; its children to come with it.
    pub(crate) fn enter(&self, pid: u32) {
        fs::write(self.folder.join("cgroup.procs"), pid.to_string()).unwrap();
    }

    /// This process goes back to where it came from.
    pub(crate) fn leave(&self) {
        let back = self.folder.parent().unwrap().join("cgroup.procs");
        fs::write(back, std::process::id().to_string()).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Those that were killed leave it a moment later.
        for _ in 0..1000 {
            if fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        println!("`{}` is left behind", self.folder.display());
    }
}
