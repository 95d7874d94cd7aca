//! Files that are put into a container, running or not.

use std::io;

use bollard::errors::Error;
use bollard::query_parameters::UploadToContainerOptionsBuilder;

use super::{Engine, EngineError};

/// A file for a container.
pub(in super::super) struct File<'a> {
    /// Its name in its folder.
    pub(in super::super) name: &'a str,
    /// What it holds.
    pub(in super::super) content: &'a [u8],
    /// Whether it holds a secret.
    pub(in super::super) private: Private,
}

/// Who reads a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Private {
    /// Its owner: whoever the container's own program is.
    Yes,
    /// Everybody in the container.
    No,
}

impl Engine {
    /// Puts files into a folder of a container, which is made where it is missing.
    pub(in super::super) async fn put(
        &self,
        id: &str,
        name: &str,
        folder: &str,
        files: &[File<'_>],
    ) -> Result<(), EngineError> {
        let names: Vec<String> = files
            .iter()
            .map(|file| format!("`{folder}/{}`", file.name))
            .collect();
        let refused = self.refused(format!("put {} into `{name}`", names.join(" and ")));
        let is_private = |file: &File<'_>| file.private == Private::Yes;
        let owner = if files.iter().any(is_private) {
            self.owner(id).await?
        } else {
            0
        };
        let put = async {
            let archive = archive(folder, files, owner).map_err(|err| Error::IOError { err })?;
            // The root is there in every image.
            let options = UploadToContainerOptionsBuilder::default().path("/").build();
            let body = bollard::body_full(archive.into());
            self.docker
                .upload_to_container(id, Some(options), body)
                .await
        };
        put.await.map_err(refused)
    }

    /// The user that a container's program is, by number: who reads its private files.
    async fn owner(&self, id: &str) -> Result<u64, EngineError> {
        let found = self.docker.inspect_container(id, None).await;
        let found = found.map_err(self.refused("show a container"))?;
        let user = found.config.and_then(|config| config.user);
        let user = user.unwrap_or_default();
        let name = user.split(':').next().unwrap_or_default();
        if name.is_empty() || name.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(name.parse().unwrap_or(0));
        }
        let users = self.file(id, "/etc/passwd").await?.unwrap_or_default();
        Ok(number_of(name, &String::from_utf8_lossy(&users)).unwrap_or(0))
    }
}

/// A user's number in the text of a `passwd` file.
fn number_of(name: &str, users: &str) -> Option<u64> {
    let mut lines = users.lines().map(|line| line.split(':'));
    let mut fields = lines.find(|fields| fields.clone().next() == Some(name))?;
    fields.nth(2)?.parse().ok()
}

fn archive(folder: &str, files: &[File<'_>], owner: u64) -> io::Result<Vec<u8>> {
    let folder = folder.trim_start_matches('/');
    let mut archive = tar::Builder::new(Vec::new());
    let mut append = |path: String, kind, mode, owner, content: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(owner);
        header.set_gid(0);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, path, content)
    };
    append(
        format!("{folder}/"),
        tar::EntryType::Directory,
        0o755,
        0,
        &[],
    )?;
    for file in files {
        let (mode, owner) = match file.private {
            Private::Yes => (0o600, owner),
            Private::No => (0o644, 0),
        };
        let path = format!("{folder}/{}", file.name);
        append(path, tar::EntryType::Regular, mode, owner, file.content)?;
    }
    archive.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_its_owners_alone_and_the_rest_is_everybodys() {
        let file = |name, private| File {
            name,
            content: b"secret",
            private,
        };
        let files = [file("token", Private::Yes), file("servers", Private::No)];
        let bytes = archive("/etc/lockgate", &files, 1000).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let header = entry.header();
            (
                path,
                header.mode().unwrap(),
                header.uid().unwrap(),
                entry.size(),
            )
        });
        let entries: Vec<_> = entries.collect();
        let expected = [
            ("etc/lockgate/".to_owned(), 0o755, 0, 0),
            ("etc/lockgate/token".to_owned(), 0o600, 1000, 6),
            ("etc/lockgate/servers".to_owned(), 0o644, 0, 6),
        ];
        assert_eq!(entries, expected);
    }

    #[test]
    fn users_are_found_by_their_name() {
        let users = "root:x:0:0:root:/root:/bin/bash\nnode:x:1000:1000::/home/node:/bin/sh\n";
        assert_eq!(number_of("node", users), Some(1000));
        assert_eq!(number_of("root", users), Some(0));
        assert_eq!(number_of("nobody", users), None);
        assert_eq!(number_of("node", "node:x"), None);
    }
}
