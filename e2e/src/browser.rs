//! Chromium as a person has it: it resolves `*.localhost` by itself, and trusts what the stores of
//! its user say, nothing else. Each look is one process with a profile of its own.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, geteuid};
use tempfile::TempDir;

use crate::world::{Ran, ran};
use crate::{World, until};

/// How long one look may take, on a machine that has much else to do.
const WITHIN: Duration = Duration::from_secs(90);

#[expect(
    clippy::expect_used,
    reason = "journeys start the programs here; a test ends by panic"
)]
impl World {
    /// What a browser makes of a page: the page as HTML, and on standard error why it shows none.
    pub fn look(&self, url: &str) -> Ran {
        self.browse(&["--dump-dom"], url)
    }

    /// A picture of what a browser shows.
    pub fn picture(&self, url: &str, file: &Path) {
        let picture = format!("--screenshot={}", file.display());
        self.browse(&[&picture, "--window-size=900,600"], url);
        assert!(file.is_file(), "there is a picture");
    }

    fn browse(&self, what: &[&str], url: &str) -> Ran {
        let profile = TempDir::new_in(self.dir()).expect("a folder for a profile");
        let mut command = self.command("chromium");
        command
            .args(["--headless=new", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--no-first-run", "--disable-background-networking"])
            .arg(format!("--user-data-dir={}", profile.path().display()));
        if geteuid().is_root() {
            // Its own rule: root has no sandbox.
            command.arg("--no-sandbox");
        }
        command.args(what).arg(url);
        bounded(&mut command, url)
    }
}

/// Runs a program and everything that it starts to its end, or to the end of its time.
#[expect(
    clippy::expect_used,
    reason = "journeys start the programs here; a test ends by panic"
)]
fn bounded(command: &mut Command, what: &str) -> Ran {
    let files = TempDir::new().expect("a folder");
    let file = |name: &str| std::fs::File::create(files.path().join(name)).expect("a file");
    let child = command
        .stdin(Stdio::null())
        .stdout(file("out"))
        .stderr(file("err"))
        .process_group(0)
        .spawn()
        .expect("`chromium` starts");
    let mut group = Group(child);
    let status = until(&format!("a browser has shown {what}"), WITHIN, || {
        group.0.try_wait().expect("it is our child")
    });
    let read = |name: &str| std::fs::read(files.path().join(name)).unwrap_or_default();
    ran(&std::process::Output {
        status,
        stdout: read("out"),
        stderr: read("err"),
    })
}

/// A process and its children; none is left when this is dropped.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let Ok(leader) = i32::try_from(self.0.id()) else {
            return;
        };
        // They may all have ended.
        let _ = killpg(Pid::from_raw(leader), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}
