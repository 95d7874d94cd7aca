//! The entry points that scripts and applications of the shell system call, laid over
//! the `app/` of a release.
//!
//! ```text
//! app/lib/reload-gateway.sh …       ─▶ lockgate-agent reload …
//! app/main.sh -r bin/reset-….sh     ─▶ app/bin/reset-gateway.sh ─▶ lockgate-agent reset
//! app/main.sh, anything else        ─▶ app/main.own.sh, the workspace's own
//! ```
//!
//! A build carries the workspace's own scripts, so that the same archive works in a
//! container without an agent. The shims are laid over them in the release's folder
//! before each start: what was fetched is verified by then, and a release that is there
//! already counts as whole by its files' names, so that it stays one. An agent of
//! another version lays its own over those.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// What each shim says of itself, and is known by.
const MARK: &str = "# Laid over by lockgate-agent";

/// Where the workspace's own `main.sh` is kept.
const OWN_MAIN: &str = "main.own.sh";

/// Scripts, and what the agent is told instead.
const COMMANDS: [(&str, &str); 9] = [
    ("lib/reload-gateway.sh", "reload"),
    // A build that was fetched is one that runs.
    ("lib/fetch-gateway-build.sh", "reload"),
    ("lib/start-app-gateway.sh", "start"),
    ("lib/stop-app-gateway.sh", "stop"),
    ("lib/reset-nginx.sh", "reset door"),
    ("lib/start-vpn.sh", "vpn start"),
    ("lib/stop-vpn.sh", "vpn stop"),
    ("bin/reset-gateway.sh", "reset --format json"),
    ("bin/update-nginx-locations.sh", "routes set"),
];

/// Lays the shims over a release. `agent` is the agent's own program, `socket` where it
/// is asked; both absolute. What is as it should be is not touched.
pub(crate) fn lay(release: &Path, agent: &Path, socket: &Path) -> io::Result<()> {
    let app = release.join("app");
    for folder in ["bin", "lib"] {
        fs::create_dir_all(app.join(folder))?;
    }
    keep_own_main(&app)?;
    write(&app.join("main.sh"), &main_sh())?;
    for (name, command) in COMMANDS {
        write(&app.join(name), &shim(agent, socket, command))?;
    }
    Ok(())
}

/// Moves the workspace's own `main.sh` aside, once.
fn keep_own_main(app: &Path) -> io::Result<()> {
    let main = app.join("main.sh");
    match fs::read(&main) {
        Ok(text) if is_ours(&text) => Ok(()),
        Ok(_) => fs::rename(&main, app.join(OWN_MAIN)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn is_ours(text: &[u8]) -> bool {
    let second = text.split(|byte| *byte == b'\n').nth(1).unwrap_or_default();
    second.starts_with(MARK.as_bytes())
}

/// Puts a script in its place by one rename, so that nobody runs half of one.
fn write(path: &Path, text: &str) -> io::Result<()> {
    if fs::read(path).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(());
    }
    let fresh = path.with_extension("sh.new");
    fs::write(&fresh, text)?;
    fs::set_permissions(&fresh, Permissions::from_mode(0o755))?;
    fs::rename(&fresh, path)
}

fn shim(agent: &Path, socket: &Path, command: &str) -> String {
    let (agent, socket) = (quoted(agent), quoted(socket));
    format!(
        "#!/bin/sh\n{MARK}.\n\
         if [ -z \"${{LOCKGATE_SOCKET:-}}\" ]; then LOCKGATE_SOCKET={socket}; fi\n\
         export LOCKGATE_SOCKET\n\
         exec {agent} {command}\n"
    )
}

fn main_sh() -> String {
    format!(
        r#"#!/bin/sh
{MARK}; the workspace's own main.sh, where there is one, is {OWN_MAIN}.
app=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd) || exit 1
case "${{1:-}} ${{2:-}}" in
'-r bin/reset-gateway.sh' | '-r bin/update-nginx-locations.sh')
    exec "$app/$2"
    ;;
esac
if [ -x "$app/{OWN_MAIN}" ]; then exec "$app/{OWN_MAIN}" "$@"; fi
if [ -f "$app/{OWN_MAIN}" ]; then exec bash "$app/{OWN_MAIN}" "$@"; fi
echo "usage: main.sh -r bin/reset-gateway.sh|bin/update-nginx-locations.sh" >&2
exit 2
"#
    )
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.to_string_lossy().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laid(release: &Path) {
        lay(
            release,
            Path::new("/a b/agent"),
            Path::new("/run/it's.sock"),
        )
        .unwrap();
    }

    fn read(release: &Path, name: &str) -> String {
        fs::read_to_string(release.join("app").join(name)).unwrap()
    }

    #[test]
    fn all_entry_points_are_there_and_can_be_run() {
        let release = tempfile::tempdir().unwrap();
        laid(release.path());
        for (name, _) in COMMANDS.into_iter().chain([("main.sh", "")]) {
            let about = fs::metadata(release.path().join("app").join(name)).unwrap();
            assert_eq!(about.permissions().mode() & 0o777, 0o755, "{name}");
        }
        assert_eq!(
            read(release.path(), "lib/stop-vpn.sh"),
            "#!/bin/sh\n# Laid over by lockgate-agent.\n\
             if [ -z \"${LOCKGATE_SOCKET:-}\" ]; then LOCKGATE_SOCKET='/run/it'\\''s.sock'; fi\n\
             export LOCKGATE_SOCKET\n\
             exec '/a b/agent' vpn stop\n"
        );
    }

    #[test]
    fn the_workspace_s_own_scripts_stay_and_its_main_is_kept_once() {
        let release = tempfile::tempdir().unwrap();
        let app = release.path().join("app");
        fs::create_dir_all(app.join("lib")).unwrap();
        fs::write(app.join("main.sh"), "#!/bin/bash\necho own\n").unwrap();
        fs::write(app.join("lib/other.sh"), "other").unwrap();
        fs::write(app.join("lib/stop-vpn.sh"), "own").unwrap();
        laid(release.path());
        laid(release.path());
        assert_eq!(
            read(release.path(), "main.own.sh"),
            "#!/bin/bash\necho own\n"
        );
        assert_eq!(read(release.path(), "lib/other.sh"), "other");
        assert!(read(release.path(), "lib/stop-vpn.sh").contains("vpn stop"));
        // An agent that lies elsewhere lays its own.
        lay(release.path(), Path::new("/agent"), Path::new("/s")).unwrap();
        assert!(read(release.path(), "lib/stop-vpn.sh").contains("exec '/agent'"));
        assert_eq!(
            read(release.path(), "main.own.sh"),
            "#!/bin/bash\necho own\n"
        );
    }
}
