//! Files that only one program sees in place of the machine's own: it runs in a mount namespace of
//! its own. That takes root.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use nix::unistd::geteuid;

use crate::World;

/// What a program sees instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mount {
    /// This file in place of another.
    File(PathBuf, &'static str),
    /// An empty folder, where there is one.
    Empty(&'static str),
}

/// Whether this process may give programs other files; journeys that need it tell and end.
pub fn may_mount() -> bool {
    geteuid().is_root()
}

#[expect(
    clippy::expect_used,
    reason = "journeys start the programs here; a test ends by panic"
)]
impl World {
    /// A program of this machine in this world, with other files.
    pub fn with_mounts(&self, mounts: &[Mount], program: &str) -> Command {
        let mut script = "set -e\n".to_owned();
        for mount in mounts {
            // Writing to a String cannot fail.
            let _ = match mount {
                Mount::File(from, at) => {
                    let from = from.display();
                    writeln!(script, "mount --bind {from} {at}")
                }
                Mount::Empty(at) => {
                    writeln!(script, "if test -d {at}; then mount -t tmpfs none {at}; fi")
                }
            };
        }
        script.push_str("exec \"$@\"\n");
        let mut command = self.command("unshare");
        command.args(["--mount", "--propagation", "private"]);
        command.args(["sh", "-c", &script, "sh", program]);
        command
    }

    /// A program that asks the name server at 127.0.0.1, whatever this machine asks.
    pub fn resolving(&self, program: &str) -> Command {
        let write = |name: &str, text: &str| {
            let path = self.dir().join(name);
            std::fs::write(&path, text).expect("a file");
            path
        };
        let server = write("resolv.conf", "nameserver 127.0.0.1\n");
        let order = write("nsswitch.conf", "hosts: files dns\n");
        let mounts = [
            Mount::File(server, "/etc/resolv.conf"),
            Mount::File(order, "/etc/nsswitch.conf"),
        ];
        self.with_mounts(&mounts, program)
    }

    /// `lockgate` on a machine that has no certificates of its own, so that nothing but this world's
    /// browsers is told of an authority.
    pub fn without_system_store(&self, args: &[&str]) -> Command {
        let mounts = [
            Mount::Empty("/usr/local/share"),
            Mount::Empty("/etc/pki/ca-trust/source"),
            Mount::Empty("/etc/pki/trust"),
            Mount::Empty("/etc/ca-certificates/trust-source"),
        ];
        let program = self.program("lockgate");
        let path = program.get_program().to_string_lossy().into_owned();
        let mut command = self.with_mounts(&mounts, &path);
        command.args(args);
        command
    }
}
