//! Where a build comes from: what git and node say. Neither has to be there.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use lockgate_builds::pack::Provenance;
use tokio::process::Command;

/// A question to git may take so long; a checkout on a slow disk is not worth more.
const WITHIN: Duration = Duration::from_secs(3);

/// Asks git and node, all at once.
pub(crate) async fn gather(root: &Path, built_at: SystemTime) -> Provenance {
    let (commit, branch, status, node_version) = tokio::join!(
        answer(root, "git", &["rev-parse", "--short=12", "HEAD"]),
        answer(root, "git", &["symbolic-ref", "--short", "--quiet", "HEAD"]),
        answer(
            root,
            "git",
            &[
                "--no-optional-locks",
                "status",
                "--porcelain",
                "--untracked-files=no"
            ]
        ),
        answer(root, "node", &["--version"]),
    );
    Provenance {
        built_at,
        branch,
        // Without a commit there is nothing to differ from.
        dirty: commit
            .as_ref()
            .and(status)
            .map(|changes| !changes.is_empty()),
        commit,
        node_version,
        tool: concat!("lockgate ", env!("CARGO_PKG_VERSION")).to_owned(),
    }
}

async fn answer(root: &Path, program: &str, args: &[&str]) -> Option<String> {
    let asked = Command::new(program)
        .args(args)
        .current_dir(root)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(WITHIN, asked).await.ok()?.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
