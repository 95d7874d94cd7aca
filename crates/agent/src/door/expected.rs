//! nginx's configuration where people look for it: `/etc/nginx/conf.d/reverse-proxy.conf`.
//!
//! A link for readers. nginx itself is started with the file's own path and reads no other.

use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use tracing::debug;

/// The folder of a system's nginx.
pub(super) const FOLDER: &str = "/etc/nginx/conf.d";
/// The shell system's file in it.
const NAME: &str = "reverse-proxy.conf";

/// Links the name to the configuration, where the folder is there and has nothing of that name. A folder
/// that cannot be written is left as it is: the link is a convenience.
pub(super) fn link(folder: &Path, config: &Path) {
    let path = folder.join(NAME);
    match symlink(config, &path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => debug!(%error, path = %path.display(), "no link to nginx's configuration"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_leads_to_the_configuration_and_takes_no_others_place() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("nginx.conf");
        std::fs::write(&config, "events {}").unwrap();
        let read = || std::fs::read_to_string(folder.path().join(NAME)).unwrap();
        for _ in 0..2 {
            link(folder.path(), &config);
            assert_eq!(read(), "events {}");
        }
        std::fs::remove_file(folder.path().join(NAME)).unwrap();
        std::fs::write(folder.path().join(NAME), "own").unwrap();
        link(folder.path(), &config);
        assert_eq!(read(), "own");
        link(&folder.path().join("nowhere"), &config);
    }
}
