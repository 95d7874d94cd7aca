//! The place of the control socket: taken over from a dead agent, never from a
//! living one.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

/// Why the socket cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    /// Another agent listens there.
    #[error("another agent answers on `{0}`")]
    Taken(PathBuf),
    /// The path or its folder.
    #[error("cannot listen on the control socket `{path}`")]
    Bind {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Listens on `path`, mode 0600 from the first moment at which it can be found.
pub(crate) async fn bind(path: &Path) -> Result<UnixListener, SocketError> {
    if UnixStream::connect(path).await.is_ok() {
        return Err(SocketError::Taken(path.to_owned()));
    }
    let listen = || -> io::Result<UnixListener> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        // Bound under another name first: nobody can connect between bind and chmod.
        // The name is no longer than the real one, which fits by a byte perhaps.
        let mut hidden = path.to_owned();
        hidden.set_file_name(format!(".{:x}", std::process::id()));
        let _ = std::fs::remove_file(&hidden);
        let listener = UnixListener::bind(&hidden)?;
        std::fs::set_permissions(&hidden, Permissions::from_mode(0o600))?;
        std::fs::rename(&hidden, path)?;
        Ok(listener)
    };
    listen().map_err(|source| SocketError::Bind {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dead_agents_socket_is_taken_over_and_a_living_ones_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/agent.sock");
        drop(bind(&path).await.unwrap());
        let alive = bind(&path).await.unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let error = bind(&path).await.unwrap_err();
        assert!(matches!(error, SocketError::Taken(_)), "{error}");
        drop(alive);
    }
}
